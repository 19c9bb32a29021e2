//! The digests by which the Hub names the contents of a file.
//!
//! A file in Git LFS or Xet is named by its SHA-256. A small file is named as Git names a blob: by
//! the SHA-1 of a header with its size, followed by its bytes. The names are also the names of the
//! blobs in the cache.

use std::fmt;

use data_encoding::HEXLOWER;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What the bytes of a file must hash to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-256 of the bytes, in 64 hexadecimal digits.
    Sha256(String),
    /// SHA-1 of the Git blob, in 40 hexadecimal digits.
    GitSha1(String),
}

impl Digest {
    /// Reads a digest, whose kind follows from its length. `None` if `text` is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match text.len() {
            64 if is_hex => Some(Self::Sha256(text.to_owned())),
            40 if is_hex => Some(Self::GitSha1(text.to_owned())),
            _ => None,
        }
    }

    /// Returns the hexadecimal digits, which are the name of the blob in the cache.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitSha1(hex) => hex,
        }
    }

    /// Begins to hash a file of `size` bytes that should have this digest.
    pub(crate) fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::GitSha1(_) => {
                Hasher::GitSha1(Sha1::new_with_prefix(format!("blob {size}\0").as_bytes()))
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hex) => write!(f, "sha256 {hex}"),
            Self::GitSha1(hex) => write!(f, "git sha1 {hex}"),
        }
    }
}

/// Hashes a file piece by piece.
#[derive(Debug, Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    GitSha1(Sha1),
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitSha1(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::Sha256(HEXLOWER.encode(&hasher.finalize())),
            Self::GitSha1(hasher) => Digest::GitSha1(HEXLOWER.encode(&hasher.finalize())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_git_and_lfs_name_them() {
        // `printf 'hello\n' | git hash-object --stdin`, `printf 'hello\n' | sha256sum`.
        let cases = [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ];
        for expected in cases {
            let digest = Digest::parse(expected).unwrap();
            let mut hasher = digest.hasher(6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            assert_eq!(hasher.finish(), digest);
        }
    }

    #[test]
    fn what_is_not_a_digest_names_no_blob() {
        for text in ["", "../../../etc/passwd", &"g".repeat(40), &"A".repeat(64)] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }
}
