//! Writes a blob and hashes it on the way, on a thread of its own.
//!
//! Bytes go to the place in the file where they belong, and a file that an earlier process left
//! behind is hashed first and then continued.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::digest::{Digest, Hasher};
use crate::error::Error;

/// Pieces that may wait for the disk. With the pieces of HTTP, at most a few MiB.
const QUEUE: usize = 32;

/// A partial file that is being written.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    written: u64,
    pieces: mpsc::Sender<Bytes>,
    thread: JoinHandle<Result<Digest, Error>>,
}

impl BlobWriter {
    /// Opens the partial file of a blob of `size` bytes, and hashes what it already holds.
    pub(crate) async fn open(path: PathBuf, digest: Digest, size: u64) -> Result<Self, Error> {
        let opened = on_disk(move || {
            resume(&path, &digest, size)
                .map_err(|error| Error::disk("open", &path, error))
                .map(|(file, hasher, held)| (path, file, hasher, held))
        });
        let (path, file, hasher, written) = opened.await?;
        let (pieces, queue) = mpsc::channel(QUEUE);
        let thread = spawn_blocking(move || {
            write(file, hasher, queue).map_err(|error| Error::disk("write", &path, error))
        });
        Ok(Self {
            written,
            pieces,
            thread,
        })
    }

    /// Returns how many bytes the file holds, those of earlier processes included.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Appends bytes. Fails if the disk does; the reason is what [`Self::finish`] returns.
    pub(crate) async fn append(&mut self, bytes: Bytes) -> Result<(), DiskFailed> {
        self.written += bytes.len() as u64;
        self.pieces.send(bytes).await.map_err(|_| DiskFailed)
    }

    /// Waits until everything is on the disk, and returns what it hashes to.
    pub(crate) async fn finish(self) -> Result<Digest, Error> {
        drop(self.pieces);
        joined(self.thread).await
    }
}

/// The writing thread has ended.
#[derive(Debug)]
pub(crate) struct DiskFailed;

/// Runs work that waits for the disk.
pub(crate) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    joined(spawn_blocking(work)).await
}

async fn joined<T>(thread: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    match thread.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => {
                let error = io::Error::other(error);
                Err(Error::disk("write to", Path::new("the cache"), error))
            }
        },
    }
}

/// Opens a partial file and hashes its bytes. One that is longer than the blob is begun anew.
fn resume(path: &Path, digest: &Digest, size: u64) -> io::Result<(File, Hasher, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path)?;
    let mut hasher = digest.hasher(size);
    let held = file.metadata()?.len();
    if held > size {
        file.set_len(0)?;
        return Ok((file, hasher, 0));
    }
    let mut buffer = vec![0; 1 << 20];
    let mut hashed = 0;
    while hashed < held {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        hashed += read as u64;
    }
    file.seek(SeekFrom::Start(hashed))?;
    Ok((file, hasher, hashed))
}

fn write(
    mut file: File,
    mut hasher: Hasher,
    mut queue: mpsc::Receiver<Bytes>,
) -> io::Result<Digest> {
    while let Some(bytes) = queue.blocking_recv() {
        file.write_all(&bytes)?;
        hasher.update(&bytes);
    }
    // Before the blob gets its name: after a power cut a name must not stand for nothing.
    file.sync_all()?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'hello\n' | sha256sum`.
    const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    async fn written_after(held: &[u8]) -> (u64, Digest) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.incomplete");
        std::fs::write(&path, held).unwrap();
        let digest = Digest::parse(HELLO).unwrap();
        let mut writer = BlobWriter::open(path.clone(), digest, 6).await.unwrap();
        let start = writer.written();
        let rest = Bytes::copy_from_slice(&b"hello\n"[start as usize..]);
        writer.append(rest).await.unwrap();
        let found = writer.finish().await.unwrap();
        assert_eq!(std::fs::read(path).unwrap().len(), 6);
        (start, found)
    }

    #[tokio::test]
    async fn a_blob_is_continued_where_it_was_left() {
        let whole = Digest::parse(HELLO).unwrap();
        assert_eq!(written_after(b"").await, (0, whole.clone()));
        assert_eq!(written_after(b"hel").await, (3, whole.clone()));
        assert_eq!(written_after(b"too long").await, (0, whole));
    }

    #[tokio::test]
    async fn a_blob_whose_beginning_is_wrong_is_noticed() {
        let (start, found) = written_after(b"HEL").await;
        assert_eq!(start, 3);
        assert_ne!(found.as_str(), HELLO);
    }

    #[tokio::test]
    async fn a_full_disk_ends_the_writing() {
        let path = PathBuf::from("/dev/full");
        let digest = Digest::parse(HELLO).unwrap();
        let mut writer = BlobWriter::open(path, digest, 6).await.unwrap();
        let _ = writer.append(Bytes::from_static(b"hello\n")).await;
        let error = writer.finish().await.unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
    }
}
