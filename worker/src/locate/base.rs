//! An adapter and its base, brought together in one folder.
//!
//! The engine looks for the base of an adapter below the adapter's folder, under the name that the
//! adapter gives it. So a folder of links is made: to the adapter's files, and to the base.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use whence_engine::model::AdapterBase;
use whence_hub::{ModelName, Revision};

use super::{LocateError, ModelAddress};

/// Returns the address of the base that the adapter in `folder` names.
///
/// Fails if the name cannot be one on the Hub: a path that does not exist, for example.
pub(super) fn address(folder: &Path, base: &AdapterBase) -> Result<ModelAddress, LocateError> {
    let refused = |_| LocateError::Base {
        adapter: folder.to_owned(),
        base: base.name.clone(),
    };
    let mut name = ModelName::parse(&base.name).map_err(refused)?;
    if let Some(revision) = &base.revision {
        name.revision = Revision::new(revision).map_err(refused)?;
    }
    Ok(ModelAddress::Hub(name))
}

/// Returns a folder below `cache` with the files of `adapter`, and `base` under the name `name`.
///
/// The folder is called after everything it links to, so that it never changes once it is there.
pub(super) fn join(
    adapter: &Path,
    name: &str,
    base: &Path,
    cache: &Path,
) -> Result<PathBuf, LocateError> {
    let unreadable = |source| LocateError::disk("read the folder", adapter, source);
    let adapter = adapter.canonicalize().map_err(unreadable)?;
    let base = base.canonicalize().map_err(unreadable)?;
    let files = files(&adapter).map_err(unreadable)?;
    let folder = cache.join(key(&files, name, &base));
    if folder.is_dir() {
        return Ok(folder);
    }
    let failed = |source| LocateError::disk("make the folder", &folder, source);
    fs::create_dir_all(cache).map_err(failed)?;
    let made = tempfile::tempdir_in(cache).map_err(failed)?;
    link_all(made.path(), &files, name, &base).map_err(failed)?;
    match fs::rename(made.path(), &folder) {
        // Another process was faster, and its folder has the same links.
        Err(_) if folder.is_dir() => Ok(folder),
        Err(error) => Err(failed(error)),
        Ok(()) => {
            // It has another name now, so there is nothing left to remove.
            let _ = made.keep();
            Ok(folder)
        }
    }
}

/// Returns the adapter's files, sorted.
fn files(adapter: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(adapter)? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn key(files: &[PathBuf], name: &str, base: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    let paths = files
        .iter()
        .map(PathBuf::as_path)
        .chain([base, Path::new(name)]);
    for path in paths {
        hasher
            .update(path.as_os_str().as_encoded_bytes())
            .update(&[0]);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

fn link_all(folder: &Path, files: &[PathBuf], name: &str, base: &Path) -> io::Result<()> {
    for file in files {
        let name = file.file_name().unwrap_or_default();
        std::os::unix::fs::symlink(file, folder.join(name))?;
    }
    let link = folder.join(name);
    fs::create_dir_all(link.parent().unwrap_or(folder))?;
    std::os::unix::fs::symlink(base, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(name: &str, revision: Option<&str>) -> AdapterBase {
        AdapterBase {
            name: name.to_owned(),
            revision: revision.map(str::to_owned),
        }
    }

    #[test]
    fn the_base_is_on_the_hub_at_the_revision_that_peft_recorded() {
        let found = |name, revision| address(Path::new("a"), &base(name, revision));
        let main = found("lab/base", None).unwrap();
        assert_eq!(main.to_string(), "hf://lab/base@main");
        let tag = found("lab/base", Some("v2")).unwrap();
        assert_eq!(tag.to_string(), "hf://lab/base@v2");
        let path = found("/home/me/base", None).unwrap_err().to_string();
        assert!(path.contains("/home/me/base"), "{path}");
    }

    #[test]
    fn the_folder_has_the_adapter_and_below_it_the_base() {
        let folder = tempfile::tempdir().unwrap();
        let (adapter, base) = (folder.path().join("adapter"), folder.path().join("base"));
        for (folder, file) in [(&adapter, "adapter_config.json"), (&base, "config.json")] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join(file), file).unwrap();
        }
        let cache = folder.path().join("cache");
        let joined = join(&adapter, "lab/base", &base, &cache).unwrap();
        let read = |path: &str| fs::read_to_string(joined.join(path)).unwrap();
        assert_eq!(read("adapter_config.json"), "adapter_config.json");
        assert_eq!(read("lab/base/config.json"), "config.json");
        assert_eq!(join(&adapter, "lab/base", &base, &cache).unwrap(), joined);
        // A file that the adapter gets later is part of it.
        fs::write(adapter.join("tokenizer.json"), "").unwrap();
        let other = join(&adapter, "lab/base", &base, &cache).unwrap();
        assert!(other.join("tokenizer.json").exists());
    }
}
