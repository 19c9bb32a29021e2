//! The queries of earlier prompts, kept in the user's state folder.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Queries that are remembered from one run to the next.
const REMEMBERED: usize = 2000;

/// What was typed, oldest first, each on one line.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<String>,
    /// How many entries are in the file already.
    saved: usize,
}

impl History {
    /// Reads the history. There is none before the first run.
    pub(super) fn read(path: Option<&Path>) -> Self {
        let text = path.map(fs::read_to_string).and_then(Result::ok);
        let text = text.unwrap_or_default();
        let entries: Vec<String> = text.lines().map(str::to_owned).collect();
        Self {
            saved: entries.len(),
            entries,
        }
    }

    /// Returns all entries, oldest first.
    pub(super) fn entries(&self) -> &[String] {
        &self.entries
    }

    /// Adds what was typed, unless it repeats the last entry.
    pub(super) fn add(&mut self, text: &str) {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !line.is_empty() && self.entries.last() != Some(&line) {
            self.entries.push(line);
        }
    }

    /// Writes the entries to `path`, after those that other prompts have written meanwhile.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        if self.saved == self.entries.len() {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let others = Self::read(Some(path)).entries;
        let all: Vec<&str> = others
            .iter()
            .chain(&self.entries[self.saved..])
            .map(String::as_str)
            .collect();
        let kept = &all[all.len().saturating_sub(REMEMBERED)..];
        fs::write(path, kept.join("\n") + "\n")
    }
}

/// Returns the history's file; `None` if the user has no home folder.
pub(super) fn file() -> Option<PathBuf> {
    path(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

/// Returns the history's file by the XDG rule: below `$XDG_STATE_HOME` if that is an absolute path,
/// or else below `~/.local/state`.
fn path(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute =
        |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute(state).or_else(|| Some(absolute(home)?.join(".local/state")));
    state.map(|state| state.join("whence/sql_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_in_the_state_folder() {
        let of = |state: Option<&str>, home: Option<&str>| {
            path(state.map(Into::into), home.map(Into::into))
        };
        let at = |path: &str| Some(PathBuf::from(path));
        assert_eq!(of(Some("/s"), Some("/h")), at("/s/whence/sql_history"));
        assert_eq!(
            of(Some("s"), Some("/h")),
            at("/h/.local/state/whence/sql_history")
        );
        assert_eq!(of(None, None), None);
    }

    #[test]
    fn two_prompts_keep_the_queries_of_both() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state/history");
        let [mut one, mut two] = [(), ()].map(|()| History::read(Some(&path)));
        one.add("SELECT 1\n  AS a;");
        one.add("SELECT 1 AS a;");
        one.save(&path).expect("it can be written");
        two.add("SELECT 2;");
        two.save(&path).expect("it can be written");
        assert_eq!(
            History::read(Some(&path)).entries(),
            ["SELECT 1 AS a;", "SELECT 2;"]
        );
    }
}
