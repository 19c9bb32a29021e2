//! Shows what arrives over the network on standard error: a bar on a terminal, one line per file in a
//! log.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use whence_datasets::content::{Arrival, Listening, listen};
use whence_hub::{Settings, Transfer};

use super::terminal::can_move_its_cursor;
use crate::args::ProgressMode;

/// A display of all files that are downloaded at the moment.
#[derive(Debug)]
pub(crate) struct Downloads {
    shown: Shown,
    arrived: Mutex<Arrived>,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

#[derive(Debug, Default)]
struct Arrived {
    /// For each file that is downloaded, the bytes that are there and the bytes that it has.
    files: BTreeMap<String, (u64, u64)>,
    /// For each file that is read in parts, the bytes that were read.
    parts: BTreeMap<String, u64>,
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
        let arrived = Mutex::default();
        Self { shown, arrived }
    }

    /// Shows that a piece of a file has arrived.
    pub(crate) fn note(&self, transfer: Transfer<'_>) {
        let arrived = self.arrived.lock();
        let files = &mut arrived.unwrap_or_else(PoisonError::into_inner).files;
        let progress = (transfer.done, transfer.size);
        let is_new = files.insert(transfer.file.to_owned(), progress).is_none();
        match &self.shown {
            Shown::Bar(bar) => {
                if is_new {
                    bar.set_style(style(DOWNLOADING));
                }
                bar.set_length(files.values().map(|(_, size)| size).sum());
                bar.set_position(files.values().map(|(done, _)| done).sum());
                bar.set_message(transfer.file.to_owned());
            }
            Shown::Lines if is_new => {
                let size = HumanBytes(transfer.size);
                line(&format!("downloading {} ({size})", transfer.file));
            }
            Shown::Lines | Shown::Nothing => {}
        }
    }

    /// Shows that a part of a file has arrived, when it is not known how much of the file will be read.
    fn note_part(&self, file: &str, num_bytes: u64) {
        let arrived = self.arrived.lock();
        let parts = &mut arrived.unwrap_or_else(PoisonError::into_inner).parts;
        let is_new = !parts.contains_key(file);
        *parts.entry(file.to_owned()).or_default() += num_bytes;
        match &self.shown {
            Shown::Bar(bar) => {
                if is_new {
                    bar.set_style(style(READING));
                }
                bar.set_position(parts.values().sum());
                bar.set_message(file.to_owned());
            }
            Shown::Lines if is_new => line(&format!("reading {file}")),
            Shown::Lines | Shown::Nothing => {}
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// A display of what arrives of data files, until it is dropped.
#[derive(Debug)]
pub(crate) struct DataArrivals {
    downloads: Arc<Downloads>,
    _listening: Listening,
}

impl DataArrivals {
    /// Shows data files on standard error, unless `mode` or the environment does not want it.
    pub(crate) fn show(mode: ProgressMode) -> Self {
        let hidden = matches!(mode, ProgressMode::Json | ProgressMode::None);
        let settings = Settings::from_env(|name| std::env::var(name).ok());
        let is_unwanted = settings.is_ok_and(|settings| settings.hides_progress);
        let downloads = Arc::new(Downloads::start(hidden || is_unwanted));
        let shown = Arc::clone(&downloads);
        let listening = listen(Arc::new(move |arrival| match arrival {
            Arrival::Download(transfer) => shown.note(transfer),
            Arrival::Range { file, num_bytes } => shown.note_part(file, num_bytes),
        }));
        Self {
            downloads,
            _listening: listening,
        }
    }
}

impl Drop for DataArrivals {
    fn drop(&mut self) {
        self.downloads.finish();
    }
}

const DOWNLOADING: &str =
    "downloading {msg} {bar:24} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const READING: &str = "reading {msg}: {bytes}, {bytes_per_sec}";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn line(text: &str) {
    // Whoever closed standard error does not want the line.
    let _ = writeln!(std::io::stderr(), "{text}");
}
