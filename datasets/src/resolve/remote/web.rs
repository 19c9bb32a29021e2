//! Files on web servers as a source of datasets. Each is named, because servers list nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use whence_schemas::location::DataFile;

use crate::Error;
use crate::content::{
    KeptRanges, PinnedFile, RemoteFailure, SharedContent, Version, WebFacts, WebFile, describe,
    remote, wait, web_client,
};
use crate::files::network_failed;
use crate::resolve::source::Source;

/// Web servers. All paths are addresses.
pub(super) struct Web {
    /// What servers have said of files so far.
    known: Mutex<HashMap<String, WebFacts>>,
    kept: KeptRanges,
}

impl Web {
    pub(super) fn new(kept: KeptRanges) -> Self {
        Self {
            known: Mutex::default(),
            kept,
        }
    }

    fn facts(&self, address: &str) -> Result<WebFacts, Error> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = known().get(address) {
            return Ok(facts.clone());
        }
        let client = web_client().map_err(network_failed)?;
        let facts = wait(|| describe(client, address)).map_err(network_failed)??;
        known().insert(address.to_owned(), facts.clone());
        Ok(facts)
    }
}

impl Source for Web {
    fn files_below(&self, folder: &str, _depth: Option<usize>) -> Result<Vec<String>, Error> {
        Err(not_listed(folder))
    }

    fn has_file(&self, path: &str) -> Result<bool, Error> {
        match self.facts(path) {
            Ok(_) => Ok(true),
            Err(Error::Remote(failure)) if matches!(*failure, RemoteFailure::Missing { .. }) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        Err(not_listed(path))
    }

    fn describe(&self, path: &str, split: &str) -> Result<DataFile, Error> {
        let facts = self.facts(path)?;
        Ok(DataFile {
            split: split.to_owned(),
            path: path.to_owned(),
            member: None,
            bytes: facts.num_bytes,
            digest: facts.version.to_string(),
        })
    }

    fn open(&self, file: &DataFile) -> Result<SharedContent, Error> {
        let client = web_client().map_err(network_failed)?.clone();
        let version = pinned_version(file)?;
        let source = WebFile::new(client, &file.path, file.bytes, version);
        let file = PinnedFile {
            source: Arc::new(source),
            name: file.path.clone(),
            num_bytes: file.bytes,
            version: file.digest.clone(),
        };
        Ok(remote(file, &self.kept))
    }
}

fn not_listed(folder: &str) -> Error {
    Error::Pattern {
        pattern: folder.to_owned(),
        reason: "a web server does not list its files; name each of them".to_owned(),
    }
}

/// Returns the version that a file was pinned with.
pub(super) fn pinned_version(file: &DataFile) -> Result<Version, Error> {
    Version::parse(&file.digest).ok_or_else(|| Error::Content {
        path: file.path.clone().into(),
        reason: format!("`{}` is not the version of a remote file", file.digest),
    })
}
