//! The dispatch of paths and addresses to the source that has their files.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use whence_schemas::location::{DataFile, DatasetLocation};

use super::bucket::Bucket;
use super::repositories::Repositories;
use super::web::Web;
use crate::Error;
use crate::content::{KeptRanges, SharedContent};
use crate::resolve::address::{self, Place};
use crate::resolve::hub::HubDatasets;
use crate::resolve::local::LocalSource;
use crate::resolve::source::Source;

/// Files anywhere, by their paths and addresses.
pub struct Anywhere {
    kept: KeptRanges,
    /// Settings of the buckets that have some.
    settings: BTreeMap<String, String>,
    buckets: Mutex<HashMap<String, Arc<Bucket>>>,
    web: Web,
    repositories: Repositories,
}

impl Anywhere {
    /// Prepares to read the files of `location`. Without `hub`, the Hub is the one that the
    /// environment names. Opens no socket. What is read of remote files is kept in `kept`.
    pub fn new(
        location: &DatasetLocation,
        hub: Option<HubDatasets>,
        kept: &KeptRanges,
    ) -> Result<Self, Error> {
        Ok(Self {
            settings: address::settings(location)?,
            buckets: Mutex::default(),
            web: Web::new(kept.clone()),
            repositories: Repositories::new(hub),
            kept: kept.clone(),
        })
    }

    /// Calls `act` with the source of the files at `path`.
    fn at<T>(
        &self,
        path: &str,
        act: impl FnOnce(&dyn Source) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let place = address::place(path).map_err(|reason| Error::Pattern {
            pattern: address::shown(path),
            reason,
        })?;
        match place {
            Place::Local => act(&LocalSource),
            Place::Web => act(&self.web),
            Place::Bucket => act(self.bucket(address::bucket(path))?.as_ref()),
            Place::Hub => act(&self.repositories),
        }
    }

    fn bucket(&self, name: &str) -> Result<Arc<Bucket>, Error> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(name) {
            return Ok(Arc::clone(bucket));
        }
        let settings = self.settings.get(name).map(String::as_str);
        let bucket = Arc::new(Bucket::open(name, settings, self.kept.clone())?);
        buckets.insert(name.to_owned(), Arc::clone(&bucket));
        Ok(bucket)
    }
}

impl Source for Anywhere {
    fn reads_addresses(&self) -> bool {
        true
    }

    fn files_below(&self, folder: &str, depth: Option<usize>) -> Result<Vec<String>, Error> {
        self.at(folder, |source| source.files_below(folder, depth))
    }

    fn has_file(&self, path: &str) -> Result<bool, Error> {
        self.at(path, |source| source.has_file(path))
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        self.at(path, |source| source.read(path))
    }

    fn describe(&self, path: &str, split: &str) -> Result<DataFile, Error> {
        self.at(path, |source| source.describe(path, split))
    }

    fn open(&self, file: &DataFile) -> Result<SharedContent, Error> {
        self.at(&file.path, |source| source.open(file))
    }
}
