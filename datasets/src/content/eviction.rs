//! The bookkeeping of a folder of copies: which are whole, which are in the way.
//!
//! Beside each copy lies a small file. It is the lock that lets one program make the copy while
//! others wait, it holds the copy's length, and its time of modification is when the copy was last
//! used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Extension of the file beside a copy.
const BESIDE: &str = "used";

/// Locks the copy at `path` until the file that is returned is dropped. Waits while another holds
/// the lock.
pub(super) fn lock(path: &Path) -> io::Result<File> {
    let beside = path.with_extension(BESIDE);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(beside)?;
    file.lock()?;
    Ok(file)
}

/// Returns whether the copy is there with the length that was noted when it was made.
pub(super) fn is_whole(path: &Path, mut lock: &File) -> bool {
    let mut noted = String::new();
    let found = fs::metadata(path).map(|found| found.len());
    lock.rewind().is_ok()
        && lock.read_to_string(&mut noted).is_ok()
        && found.is_ok_and(|found| noted == found.to_string())
}

/// Notes the copy's length, and that it is used now.
pub(super) fn mark_used(path: &Path, mut lock: &File) -> io::Result<()> {
    let length = fs::metadata(path)?.len().to_string();
    lock.rewind()?;
    lock.set_len(length.len() as u64)?;
    lock.write_all(length.as_bytes())
}

/// Removes the copies that were not used for the longest time until the rest takes `max_bytes`.
/// The one called `kept` stays.
pub(super) fn shrink(folder: &Path, max_bytes: u64, kept: &str) -> io::Result<()> {
    let mut copies = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let beside = path.with_extension(BESIDE);
        // Another program may remove either of them meanwhile. A temporary file has none beside it.
        let (Ok(copy), Ok(used)) = (fs::metadata(&path), fs::metadata(&beside)) else {
            continue;
        };
        if path != beside {
            copies.push((used.modified()?, copy.len(), path));
        }
    }
    for path in superfluous(copies, max_bytes, kept) {
        fs::remove_file(&path)?;
        fs::remove_file(path.with_extension(BESIDE))?;
    }
    Ok(())
}

/// Returns which of the copies, given with their last use and length, have to go.
fn superfluous(
    mut copies: Vec<(SystemTime, u64, PathBuf)>,
    max_bytes: u64,
    kept: &str,
) -> Vec<PathBuf> {
    copies.sort_unstable();
    let mut total: u64 = copies.iter().map(|(_, bytes, _)| bytes).sum();
    let mut gone = Vec::new();
    for (_, bytes, path) in copies {
        if total <= max_bytes {
            break;
        }
        if !path.ends_with(kept) {
            total -= bytes;
            gone.push(path);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_longest_unused_copies_go_first() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let copies = || {
            let copy = |(used, bytes, name): (u64, u64, &str)| (at(used), bytes, name.into());
            [(3, 10, "c"), (1, 10, "a"), (2, 10, "b")]
                .map(copy)
                .to_vec()
        };
        let gone = |max_bytes, kept| superfluous(copies(), max_bytes, kept);
        assert_eq!(gone(30, "c"), [""; 0].map(PathBuf::from));
        assert_eq!(gone(20, "c"), ["a"].map(PathBuf::from));
        assert_eq!(gone(20, "a"), ["b"].map(PathBuf::from));
        assert_eq!(gone(0, "b"), ["a", "c"].map(PathBuf::from));
    }
}
