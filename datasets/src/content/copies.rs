//! Plain copies of compressed files, and of files in other encodings than UTF-8, in a cache folder.
//!
//! A shard starts in the middle of a file. A compressed file has no middle: to reach a row, all
//! bytes before it must be unpacked, so that reading a file of n shards would unpack it n/2 times.
//! It is therefore unpacked once, to disk rather than into memory, because it may be larger than
//! the memory. The same holds for encodings such as UTF-16: rows are found by the bytes of UTF-8.
//!
//! A copy is named by the digest of the file it was made from, so that it never goes stale. The
//! folder is shared by all programs of a user: a copy is written under a temporary name and then
//! renamed, and a lock lets one program make it while others wait. When the folder grows past its
//! bound, the copies that were not used for the longest time are removed. Readers that have such a
//! copy open are not disturbed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use tracing::info;
use whence_schemas::{FormatOptions, cache_folder};

use super::compression::{Compression, MAGIC_BYTES, refused_archive};
use super::encoding::TextEncoding;
use super::failure::carried_by;
use super::{SharedContent, eviction, local, unreadable, zip};
use crate::Error;

/// Bound of the folder unless the caller gives another one.
const MAX_BYTES: u64 = 64 << 30;
/// Files of at least this size are announced before they are unpacked, because that takes a while.
const LARGE_BYTES: u64 = 64 << 20;

/// The folder of plain copies.
#[derive(Debug, Clone)]
pub struct Copies {
    folder: PathBuf,
    max_bytes: u64,
}

/// What is done to a file's bytes to make a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Steps {
    compression: Option<Compression>,
    encoding: Option<TextEncoding>,
}

impl Copies {
    /// Keeps copies in `folder`, which is made when it is needed, up to `max_bytes` together. A
    /// single larger copy is kept nevertheless while it is the newest.
    pub fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self { folder, max_bytes }
    }

    /// Keeps copies in the user's cache folder, see [`cache_folder`]. `variable` looks up an
    /// environment variable.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        Self::new(cache_folder(variable).join("unpacked"), MAX_BYTES)
    }

    /// Returns a copy of a file from a server that sends no parts of it, so that it is transferred
    /// once; `version` tells its bytes from those of every other file. Any other file is returned as
    /// it is.
    pub fn whole(&self, content: &SharedContent, version: &str) -> Result<SharedContent, Error> {
        if content.has_ranges().map_err(unreadable(content))? {
            return Ok(SharedContent::clone(content));
        }
        let key = key(&["whole", version]);
        self.copy(content, content.name(), &key, || {
            content.reader(0).map_err(unreadable(content))
        })
    }

    /// Returns a file's bytes unpacked and as UTF-8: the file itself if it is plain, else its copy.
    ///
    /// `digest` is that of the file's bytes. Files with the same digest share one copy. Fails if the
    /// file is an archive of several files, or damaged.
    pub fn plain(
        &self,
        content: &SharedContent,
        digest: &str,
        options: &FormatOptions,
    ) -> Result<SharedContent, Error> {
        let start = content.read_range(0..content.num_bytes().min(MAGIC_BYTES));
        let start = start.map_err(unreadable(content))?;
        if let Some(what) = refused_archive(&start) {
            return Err(refused(content, &format!("it is {what}; unpack it first")));
        }
        if zip::is_zip(content).map_err(unreadable(content))? {
            let reason = "it is a zip archive, of which each member is a file of its own";
            return Err(refused(content, reason));
        }
        let encoding = options.encoding.as_deref().map(TextEncoding::parse);
        let steps = Steps {
            compression: Compression::from_magic(&start),
            encoding: encoding
                .transpose()
                .map_err(|reason| refused(content, &reason))?
                .flatten(),
        };
        if steps == Steps::default() {
            return Ok(SharedContent::clone(content));
        }
        let key = key(&[digest, &format!("{steps:?}")]);
        self.copy(content, content.name(), &key, || {
            let bytes = content.reader(0).map_err(unreadable(content))?;
            steps.apply(bytes).map_err(unreadable(content))
        })
    }

    /// Returns the bytes of a file in a zip archive, unpacked and as UTF-8; `member` is one of the
    /// names that [`members`](super::members) lists, `digest` is that of the archive's bytes.
    pub fn member(
        &self,
        archive: &SharedContent,
        digest: &str,
        member: &str,
        options: &FormatOptions,
    ) -> Result<SharedContent, Error> {
        let name = format!("{}/{member}", archive.name());
        let key = key(&[digest, "zip", member]);
        let content = self.copy(archive, &name, &key, || zip::unpack(archive, member))?;
        self.plain(&content, &key, options)
    }

    /// Returns the copy called `key`, which messages call `name`. Makes it from what `unpack`
    /// gives unless it is there.
    fn copy(
        &self,
        content: &SharedContent,
        name: &str,
        key: &str,
        unpack: impl FnOnce() -> Result<Box<dyn Read + Send>, Error>,
    ) -> Result<SharedContent, Error> {
        let path = self.folder.join(key);
        let in_folder = |source| Error::File {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(&self.folder).map_err(in_folder)?;
        let lock = eviction::lock(&path).map_err(in_folder)?;
        if !eviction::is_whole(&path, &lock) {
            if content.num_bytes() >= LARGE_BYTES {
                let bytes = content.num_bytes();
                info!(file = name, bytes, "unpacking a large data file");
            }
            let mut temporary = tempfile::NamedTempFile::new_in(&self.folder).map_err(in_folder)?;
            pump(&mut unpack()?, temporary.as_file_mut(), name).map_err(|stop| match stop {
                Stop::Read(source) => damaged(name, &source),
                Stop::Write(source) => in_folder(source),
            })?;
            temporary.as_file().sync_all().map_err(in_folder)?;
            let persisted = temporary.persist(&path);
            persisted.map_err(|error| in_folder(error.error))?;
        }
        eviction::mark_used(&path, &lock).map_err(in_folder)?;
        let copy = local::named(&path, name.to_owned()).map_err(in_folder)?;
        drop(lock);
        eviction::shrink(&self.folder, self.max_bytes, key).map_err(in_folder)?;
        Ok(copy)
    }
}

impl Steps {
    fn apply(self, bytes: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        let unpacked = match self.compression {
            Some(compression) => compression.unpack(bytes)?,
            None => bytes,
        };
        Ok(match self.encoding {
            Some(encoding) => encoding.decode(unpacked),
            None => unpacked,
        })
    }
}

/// Returns the name of a copy: the digest of what determines its bytes.
fn key(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Which side of a copy failed.
enum Stop {
    Read(io::Error),
    Write(io::Error),
}

/// Copies everything, and reports progress after each gibibyte.
fn pump(from: &mut dyn Read, to: &mut File, name: &str) -> Result<(), Stop> {
    const PROGRESS_BYTES: u64 = 1 << 30;
    let mut buffer = vec![0; 1 << 18];
    let (mut done, mut reported) = (0, 0);
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Stop::Read(error)),
        };
        to.write_all(&buffer[..read]).map_err(Stop::Write)?;
        done += read as u64;
        if done / PROGRESS_BYTES > reported {
            reported = done / PROGRESS_BYTES;
            info!(file = name, unpacked_bytes = done, "unpacking");
        }
    }
}

fn refused(content: &SharedContent, reason: &str) -> Error {
    Error::Format {
        path: content.name().into(),
        reason: reason.to_owned(),
    }
}

fn damaged(name: &str, error: &io::Error) -> Error {
    let reason = format!("it cannot be unpacked: {error}");
    carried_by(error).map_or_else(
        || Error::Content {
            path: name.into(),
            reason,
        },
        Error::Remote,
    )
}
