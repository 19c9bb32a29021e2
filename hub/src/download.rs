//! One file from the Hub into the cache: resumed, verified, then named.
//!
//! Bytes that have arrived are kept: a connection that breaks continues at the next byte, and so
//! does the next process after one that was killed. A blob gets its name only when all of its bytes
//! hash to that name.

use std::fs;
use std::path::PathBuf;

use url::Url;
use whence_schemas::retry::{RetryBudget, RetryPolicy};

use crate::blob::{BlobWriter, DiskFailed, on_disk};
use crate::body::Body;
use crate::cache::{BlobAge, Cache};
use crate::client::Client;
use crate::digest::Digest;
use crate::error::{Error, Subject};
use crate::repo::Snapshot;
use crate::retry::wait_out;

/// How far the download of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// Path of the file inside the repository.
    pub file: &'a str,
    /// Bytes that the cache holds, those of an earlier attempt included.
    pub done: u64,
    /// Bytes that the file has.
    pub size: u64,
}

/// Called for each piece that arrives.
pub type OnProgress<'a> = &'a (dyn Fn(Transfer<'_>) + Send + Sync);

/// Ignores progress.
pub fn no_progress(_: Transfer<'_>) {}

/// A file that the cache should hold.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) path: &'a str,
    pub(crate) url: Url,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// Downloads files with one client into one cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Downloader<'a> {
    pub(crate) client: &'a Client,
    pub(crate) cache: &'a Cache,
    pub(crate) retry: RetryPolicy,
}

/// Why no more bytes are received.
enum Stop {
    /// The disk failed; the writer knows why.
    Disk,
    Hub(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Hub(error)
    }
}

impl Downloader<'_> {
    /// Returns the path of the file, after downloading whatever the cache lacks.
    pub(crate) async fn fetch(
        &self,
        wanted: &Wanted<'_>,
        progress: OnProgress<'_>,
    ) -> Result<PathBuf, Error> {
        let repo = &wanted.snapshot.repo;
        let pointer = self.cache.pointer(wanted.snapshot, wanted.path);
        let blob = self.cache.blob(repo, &wanted.digest);
        self.cache.prepare(&blob, &pointer)?;
        let _lock = self.cache.lock(repo, &wanted.digest).await?;
        // Whoever held the lock may have downloaded this very file.
        if pointer.is_file() {
            return Ok(pointer);
        }
        let age = if blob.is_file() {
            BlobAge::Old
        } else {
            self.collect(wanted, progress).await?;
            BlobAge::New
        };
        let cache = self.cache.clone();
        on_disk(move || {
            cache.link(&blob, &pointer, age)?;
            Ok(pointer)
        })
        .await
    }

    /// Collects the bytes of a blob, verifies them and gives the blob its name.
    async fn collect(&self, wanted: &Wanted<'_>, progress: OnProgress<'_>) -> Result<(), Error> {
        let repo = &wanted.snapshot.repo;
        let partial = self.cache.partial(repo, &wanted.digest);
        loop {
            let opened = BlobWriter::open(partial.clone(), wanted.digest.clone(), wanted.size);
            let mut writer = opened.await?;
            let is_resumed = writer.written() > 0;
            let received = self.receive(wanted, &mut writer, progress).await;
            // An error of the disk is the cause of whatever else failed, so it comes first.
            let found = writer.finish().await?;
            received?;
            if found == wanted.digest {
                let blob = self.cache.blob(repo, &wanted.digest);
                return fs::rename(&partial, &blob)
                    .map_err(|error| Error::disk("name the download", &blob, error));
            }
            fs::remove_file(&partial)
                .map_err(|error| Error::disk("remove the damaged", &partial, error))?;
            // The bytes that an earlier process left may be at fault, so the file is tried once
            // from its beginning.
            if !is_resumed {
                return Err(Error::Damaged {
                    subject: Box::new(Subject::file(wanted.snapshot, wanted.path)),
                    expected: wanted.digest.clone(),
                    found,
                });
            }
        }
    }

    /// Receives bytes until the writer has all of them. The time to give up counts from the last
    /// byte that arrived.
    async fn receive(
        &self,
        wanted: &Wanted<'_>,
        writer: &mut BlobWriter,
        progress: OnProgress<'_>,
    ) -> Result<(), Error> {
        let mut budget = RetryBudget::new(self.retry);
        while writer.written() < wanted.size {
            let before = writer.written();
            match self.pull(wanted, writer, progress).await {
                Ok(()) | Err(Stop::Disk) => return Ok(()),
                Err(Stop::Hub(error)) => {
                    if writer.written() > before {
                        budget = RetryBudget::new(self.retry);
                    }
                    wait_out(&mut budget, error).await?;
                }
            }
        }
        Ok(())
    }

    /// Receives bytes over one connection.
    async fn pull(
        &self,
        wanted: &Wanted<'_>,
        writer: &mut BlobWriter,
        progress: OnProgress<'_>,
    ) -> Result<(), Stop> {
        let subject = Subject::file(wanted.snapshot, wanted.path);
        let range = writer.written()..wanted.size;
        let opened = Body::open(self.client, &wanted.url, range, wanted.size, &subject);
        let mut body = opened.await?;
        while let Some(piece) = body.next(&subject).await? {
            let appended = writer.append(piece).await;
            appended.map_err(|DiskFailed| Stop::Disk)?;
            progress(Transfer {
                file: wanted.path,
                done: writer.written(),
                size: wanted.size,
            });
        }
        Ok(())
    }
}
