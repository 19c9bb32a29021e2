//! Git LFS pointers: the few lines of text that Git checks out if a large file was not fetched.
//!
//! Both models and datasets can contain them, and both report them by name: a pointer is neither
//! damaged weights nor a malformed row.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The bytes that every pointer begins with.
///
/// Source: <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>.
const START: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Returns whether `bytes` are a pointer or the beginning of one.
pub fn is_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(START)
}

/// Returns whether the file at `path` is a pointer. Fails if it cannot be read.
pub fn is_pointer_file(path: &Path) -> io::Result<bool> {
    let mut start = Vec::with_capacity(START.len());
    let file = File::open(path)?;
    file.take(START.len() as u64).read_to_end(&mut start)?;
    Ok(is_pointer(&start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_told_from_a_file_that_speaks_of_one() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        assert!(is_pointer(pointer));
        assert!(!is_pointer(
            b"{\"text\": \"version https://git-lfs.github.com/spec/v1\"}"
        ));
        assert!(!is_pointer(b"version"));
    }
}
