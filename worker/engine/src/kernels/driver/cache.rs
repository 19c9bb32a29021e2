//! Where compiled kernels are kept.
//!
//! A file is named after the digest of everything that it was compiled from, so it is never stale.
//! Several processes may compile the same file at once: each writes one of its own and then gives
//! it the name that all look for.

use std::path::{Path, PathBuf};

use super::DriverError;

/// Returns the file of the kernels that were compiled from `parts`, made by `compile` if it is not
/// there. `compile` gets the path to write to.
pub(super) fn compiled(
    parts: &[&str],
    compile: impl FnOnce(&Path) -> Result<(), DriverError>,
) -> Result<PathBuf, DriverError> {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&part.len().to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let (folder, digest) = (folder(), hasher.finalize().to_hex());
    let file = folder.join(digest.as_str());
    if file.exists() {
        return Ok(file);
    }
    std::fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    let own = folder.join(format!("{digest}-{}", std::process::id()));
    compile(&own)?;
    std::fs::rename(&own, &file).map_err(|error| unusable(&file, &error))?;
    Ok(file)
}

/// Returns the user's own folder: machine code is loaded from it, so nobody else may write there.
fn folder() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")));
    let cache = cache.unwrap_or_else(std::env::temp_dir);
    cache.join("whence").join("kernels")
}

pub(super) fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> DriverError {
    DriverError::Unusable {
        name: path.display().to_string(),
        reason: reason.to_string(),
    }
}
