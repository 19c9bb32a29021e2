//! Where a sampler is, and what it held when a job was submitted.

use std::path::Path;

use serde::{Deserialize, Serialize};
use whence_schemas::job::ModelSource;

use crate::Error;

/// The folder of a masked language model.
///
/// A person names the folder. A job also says what its files held, so that it means the same
/// tomorrow and on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the path of a folder, or an object with its `path` and `digest`"
)]
pub enum SamplerSource {
    /// Whatever the folder holds.
    Folder(String),
    /// What it held.
    Pinned(ModelSource),
}

impl SamplerSource {
    /// The parameter that names it.
    pub(crate) const PARAMETER: &'static str = "sampler";

    /// Returns the folder.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) => Path::new(path),
            Self::Pinned(source) => Path::new(&source.path),
        }
    }

    /// Returns the same with the digest of what the folder holds now; pinned already, as it is.
    ///
    /// Fails if there is no such folder, or its name is not UTF-8.
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
            Ok(path) => Ok(ModelSource { path, digest }),
            Err(_) => Err(refused(path, "its name is not UTF-8".to_owned())),
        }
    }

    /// Fails if there is no such folder, or it holds other files than the job says.
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

/// Returns the error of a sampler that cannot be used.
pub(super) fn refused(path: &Path, reason: String) -> Error {
    Error::Sampler {
        path: path.to_owned(),
        reason,
    }
}
