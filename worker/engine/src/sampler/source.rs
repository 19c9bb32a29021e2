//! Where a sampler's files are, and their digest when the job was submitted.

use std::path::Path;

use serde::{Deserialize, Serialize};
use whence_schemas::job::ModelSource;

use crate::Error;

/// The folder of a masked language model.
///
/// A user gives just the folder. A submitted job also records a digest of its files, so that the
/// job means the same tomorrow and on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the path of a folder, or an object with its `path` and `digest`"
)]
pub enum SamplerSource {
    /// A folder, with whatever files it holds.
    Folder(String),
    /// A folder, with the digest of the files it held.
    Pinned(ModelSource),
}

impl SamplerSource {
    /// The name of the parameter that gives the sampler.
    pub(crate) const PARAMETER: &'static str = "sampler";

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) => Path::new(path),
            Self::Pinned(source) => Path::new(&source.path),
        }
    }

    /// Returns the source with a digest of the folder's current files. A source that already has a
    /// digest is returned unchanged.
    ///
    /// Fails if there is no such folder, or if its path is not UTF-8.
    pub(crate) fn pinned(&self) -> Result<ModelSource, Error> {
        let path = match self {
            Self::Pinned(source) => return Ok(source.clone()),
            Self::Folder(path) => Path::new(path),
        };
        let folder = path
            .canonicalize()
            .map_err(|error| refused(path, format!("there is no such folder: {error}")))?;
        let digest = crate::digest(&folder)?;
        match folder.into_os_string().into_string() {
            Ok(path) => Ok(ModelSource {
                path,
                digest,
                base: None,
            }),
            Err(_) => Err(refused(path, "its name is not UTF-8".to_owned())),
        }
    }

    /// Fails if there is no such folder, or if its files differ from those the job recorded.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let path = self.path();
        if !path.is_dir() {
            return Err(refused(path, "there is no such folder".to_owned()));
        }
        let Self::Pinned(ModelSource { digest, .. }) = self else {
            return Ok(());
        };
        let found = crate::digest(path)?;
        if found == *digest {
            return Ok(());
        }
        Err(refused(
            path,
            format!(
                "its files have digest {found}, the job says {digest}; submit the job again or restore the files"
            ),
        ))
    }
}

/// Returns the error for a sampler that cannot be used.
pub(super) fn refused(path: &Path, reason: String) -> Error {
    Error::Sampler {
        path: path.to_owned(),
        reason,
    }
}
