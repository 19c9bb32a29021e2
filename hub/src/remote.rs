//! A file that is read from the Hub without being downloaded: by ranges, or as a stream.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use url::Url;
use whence_schemas::retry::{RetryBudget, RetryPolicy};

use crate::body::Body;
use crate::client::Client;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Subject};
use crate::retry::wait_out;

/// A file of a snapshot, to be read in pieces. Clones share what they learn about its location.
#[derive(Debug, Clone)]
pub struct RemoteFile(Arc<Remote>);

#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) client: Arc<Client>,
    pub(crate) retry: RetryPolicy,
    pub(crate) subject: Subject,
    pub(crate) url: Url,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    /// The storage server's signed address. It saves one request per range until it expires.
    pub(crate) location: Mutex<Option<Url>>,
}

impl RemoteFile {
    pub(crate) fn new(remote: Remote) -> Self {
        Self(Arc::new(remote))
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// Returns the bytes in `range`, and goes on with the next byte when a connection breaks. They
    /// cannot be verified: only the whole file has a digest.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, Error> {
        if range.start > range.end || range.end > self.0.size {
            return Err(Error::OutOfRange {
                subject: self.0.subject.clone(),
                range,
                size: self.0.size,
            });
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.0.read(range).await
    }

    /// Returns all bytes in order. The stream continues after a connection that broke, and fails at
    /// its end if the bytes are not those of the snapshot.
    pub fn stream(&self) -> RemoteStream {
        RemoteStream {
            hasher: Some(self.0.digest.hasher(self.0.size)),
            budget: RetryBudget::new(self.0.retry),
            remote: Arc::clone(&self.0),
            body: None,
            position: 0,
        }
    }
}

impl Remote {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, Error> {
        let mut bytes = BytesMut::with_capacity((range.end - range.start) as usize);
        let mut budget = RetryBudget::new(self.retry);
        loop {
            let held = bytes.len();
            let rest = range.start + held as u64..range.end;
            let Err(error) = self.receive(rest, &mut bytes).await else {
                return Ok(bytes.freeze());
            };
            if bytes.len() > held {
                budget = RetryBudget::new(self.retry);
            }
            wait_out(&mut budget, error).await?;
        }
    }

    /// Appends the bytes in `range`; if it fails, those that have arrived.
    async fn receive(&self, range: Range<u64>, bytes: &mut BytesMut) -> Result<(), Error> {
        if range.is_empty() {
            return Ok(());
        }
        let mut body = self.open(range).await?;
        while let Some(piece) = body.next(&self.subject).await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// Asks the storage server if its address is known, and the Hub otherwise.
    async fn open(&self, range: Range<u64>) -> Result<Body, Error> {
        if let Some(location) = self.location() {
            let asked = self.open_at(&location, range.clone()).await;
            match asked {
                // The address has expired. The Hub signs another.
                Err(error) if !error.may_pass() => self.set_location(None),
                asked => return asked,
            }
        }
        let body = self.open_at(&self.url, range).await?;
        if !self.client.is_hub(body.url()) {
            self.set_location(Some(body.url().clone()));
        }
        Ok(body)
    }

    async fn open_at(&self, url: &Url, range: Range<u64>) -> Result<Body, Error> {
        Body::open(&self.client, url, range, self.size, &self.subject).await
    }

    fn location(&self) -> Option<Url> {
        let location = self.location.lock();
        location.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_location(&self, url: Option<Url>) {
        let location = self.location.lock();
        *location.unwrap_or_else(PoisonError::into_inner) = url;
    }
}

/// All bytes of a remote file, in pieces.
#[derive(Debug)]
pub struct RemoteStream {
    remote: Arc<Remote>,
    body: Option<Body>,
    position: u64,
    /// Taken when the bytes are verified.
    hasher: Option<Hasher>,
    budget: RetryBudget,
}

impl RemoteStream {
    /// Returns the next piece; `None` after the last one, when all bytes are verified.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.position < self.remote.size {
            match self.receive().await {
                Ok(piece) => {
                    self.position += piece.len() as u64;
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&piece);
                    }
                    self.budget = RetryBudget::new(self.remote.retry);
                    return Ok(Some(piece));
                }
                Err(error) => {
                    self.body = None;
                    wait_out(&mut self.budget, error).await?;
                }
            }
        }
        self.verify()?;
        Ok(None)
    }

    async fn receive(&mut self) -> Result<Bytes, Error> {
        let body = if let Some(body) = &mut self.body {
            body
        } else {
            let range = self.position..self.remote.size;
            self.body.insert(self.remote.open(range).await?)
        };
        let piece = body.next(&self.remote.subject).await?;
        piece.ok_or_else(|| Error::CutShort {
            subject: self.remote.subject.clone(),
            received: self.position,
            size: self.remote.size,
        })
    }

    fn verify(&mut self) -> Result<(), Error> {
        let Some(found) = self.hasher.take().map(Hasher::finish) else {
            return Ok(());
        };
        if found == self.remote.digest {
            return Ok(());
        }
        Err(Error::Damaged {
            subject: Box::new(self.remote.subject.clone()),
            expected: self.remote.digest.clone(),
            found,
        })
    }
}
