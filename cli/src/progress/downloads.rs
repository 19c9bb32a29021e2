//! Shows what is being downloaded on standard error: a bar on a terminal, one line per file in a log.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use whence_hub::Transfer;

use super::terminal::can_move_its_cursor;

/// A display of all files that are downloaded at the moment.
#[derive(Debug)]
pub(crate) struct Downloads {
    shown: Shown,
    /// For each file, the bytes that are there and the bytes that it has.
    files: Mutex<BTreeMap<String, (u64, u64)>>,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Downloads {
    /// Shows downloads on standard error, unless `hidden`. Nothing is shown before the first byte
    /// arrives: most files are in the cache.
    pub(crate) fn start(hidden: bool) -> Self {
        let shown = if hidden {
            Shown::Nothing
        } else if can_move_its_cursor() {
            Shown::Bar(ProgressBar::no_length())
        } else {
            Shown::Lines
        };
        let files = Mutex::default();
        Self { shown, files }
    }

    /// Shows that a piece of a file has arrived.
    pub(crate) fn note(&self, transfer: Transfer<'_>) {
        let files = self.files.lock();
        let mut files = files.unwrap_or_else(PoisonError::into_inner);
        let progress = (transfer.done, transfer.size);
        let is_new = files.insert(transfer.file.to_owned(), progress).is_none();
        match &self.shown {
            Shown::Bar(bar) => {
                if is_new && files.len() == 1 {
                    bar.set_style(style());
                }
                bar.set_length(files.values().map(|(_, size)| size).sum());
                bar.set_position(files.values().map(|(done, _)| done).sum());
                bar.set_message(transfer.file.to_owned());
            }
            Shown::Lines if is_new => {
                let size = HumanBytes(transfer.size);
                // Whoever closed standard error does not want the line.
                let _ = writeln!(std::io::stderr(), "downloading {} ({size})", transfer.file);
            }
            Shown::Lines | Shown::Nothing => {}
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    let template =
        "downloading {msg} {bar:24} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
