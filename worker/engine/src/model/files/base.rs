//! Where the base model of an adapter is.

use std::path::{Path, PathBuf};

use super::gguf_paths::only_gguf;
use crate::Error;
use crate::model::weights::adapter::Adapter;

/// The base model of an adapter, as peft recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterBase {
    /// A path, or a name on the Hub.
    pub name: String,
    /// The revision on the Hub, if peft was told one.
    pub revision: Option<String>,
}

/// Returns the base of the model at `path` if that is an adapter whose base is not on this machine.
/// Whoever fetches the base puts it where the adapter names it, relative to the adapter's folder.
///
/// Fails if it is an adapter that whence cannot merge.
pub fn base_elsewhere(path: &Path) -> Result<Option<AdapterBase>, Error> {
    let Some(adapter) = Adapter::read(path)? else {
        return Ok(None);
    };
    let Some(name) = adapter.base() else {
        return Ok(None);
    };
    if is_beside(&adapter)? || places(&adapter, name).iter().any(|place| place.exists()) {
        return Ok(None);
    }
    Ok(Some(AdapterBase {
        name: name.to_owned(),
        revision: adapter.base_revision().map(str::to_owned),
    }))
}

/// Returns the path of the base of the adapter at `path`. Fails if it is not there, or is an adapter
/// itself.
pub(crate) fn base_of(adapter: &Adapter, path: &Path) -> Result<PathBuf, Error> {
    let folder = adapter.folder();
    if is_beside(adapter)? {
        return Ok(path.to_owned());
    }
    let refused = |reason: String| Error::ModelRefused {
        path: folder.to_owned(),
        reason,
        next: "write the path of the whole base model as `base_model_name_or_path` into its \
               adapter_config.json"
            .to_owned(),
    };
    let Some(name) = adapter.base() else {
        return Err(refused(
            "is an adapter that does not name its base".to_owned(),
        ));
    };
    let places = places(adapter, name);
    let Some(base) = places.iter().find(|place| place.exists()) else {
        return Err(refused(format!(
            "is an adapter of `{name}`, and there is no such folder"
        )));
    };
    if Adapter::read(base)?.is_some() {
        return Err(refused(format!(
            "is an adapter of `{}`, which is an adapter itself",
            base.display()
        )));
    }
    Ok(base.clone())
}

/// Returns whether the base is in the same folder as the adapter.
fn is_beside(adapter: &Adapter) -> Result<bool, Error> {
    let folder = adapter.folder();
    Ok(folder.join("config.json").exists() || only_gguf(folder)?.is_some())
}

/// Returns where a base of this name can be. peft takes a path relative to the current folder. A
/// path relative to the adapter's own folder can be committed together with it.
fn places(adapter: &Adapter, name: &str) -> [PathBuf; 2] {
    [PathBuf::from(name), adapter.folder().join(name)]
}
