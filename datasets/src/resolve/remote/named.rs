//! What an address stands for that is given as the name of a dataset.

use whence_schemas::location::{DatasetLocation, DatasetOrigin};
use whence_schemas::store::is_bucket;

use super::anywhere::Anywhere;
use super::repositories::RepoAddress;
use crate::Error;
use crate::content::KeptRanges;
use crate::resolve::address::{bucket, split_settings};
use crate::resolve::glob::is_magic;
use crate::resolve::hub::env_hub;
use crate::resolve::source::Source;

/// What an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// All of a repository on the Hub.
    Repository {
        /// Its name.
        repository: String,
        /// The branch, tag or commit, if one is named.
        revision: Option<String>,
    },
    /// A folder of a bucket, at this address.
    Folder(String),
    /// A file, or a pattern of files.
    Files,
}

/// Finds out what `address` stands for. Asks a bucket whether it has a file of this name.
pub fn named(address: &str) -> Result<Named, Error> {
    if let Some(found) = on_hub(address) {
        if !found.path.is_empty() {
            return Ok(Named::Files);
        }
        return Ok(Named::Repository {
            repository: found.repository,
            revision: found.revision,
        });
    }
    let (plain, settings) = split_settings(address);
    if !is_bucket(plain) || is_magic(plain) {
        return Ok(Named::Files);
    }
    let key = plain[bucket(plain).len()..].trim_start_matches('/');
    if !key.is_empty() && !key.ends_with('/') {
        let location = DatasetLocation {
            data_files: vec![address.to_owned()],
            ..DatasetLocation::of(DatasetOrigin::Files)
        };
        let files = Anywhere::new(&location, None, &KeptRanges::of_process())?;
        if files.has_file(plain)? {
            return Ok(Named::Files);
        }
    }
    let folder = plain.trim_end_matches('/');
    Ok(Named::Folder(match settings {
        Some(settings) => format!("{folder}?{settings}"),
        None => folder.to_owned(),
    }))
}

/// Returns an address on the Hub with the commit that its revision has now. Any other address is
/// returned as it is.
pub fn pinned(address: &str) -> Result<String, Error> {
    match on_hub(address) {
        Some(found) => found.pin(env_hub()?),
        None => Ok(address.to_owned()),
    }
}

/// Returns what an address on the Hub names; `None` if it is somewhere else.
fn on_hub(address: &str) -> Option<RepoAddress> {
    let is_web = address.starts_with("http://") || address.starts_with("https://");
    // Without settings there is no Hub, but there are other web servers.
    let hub = is_web.then(|| env_hub().ok()).flatten();
    RepoAddress::parse(address, hub.map_or("hf:", |hub| hub.endpoint()))
}
