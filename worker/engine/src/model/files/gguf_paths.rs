//! Finds GGUF files by their names.

use std::path::{Path, PathBuf};

use crate::Error;

/// Returns whether `path` has the extension of a GGUF file.
pub(crate) fn is_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Returns the only GGUF file in `folder`, or `None` if there is none. Fails if there are several.
pub(super) fn only_gguf(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let at = |source| Error::ModelFile {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        if is_gguf(&path) {
            found.push(path);
        }
    }
    found.sort_unstable();
    if let [first, second, ..] = found.as_slice() {
        return Err(Error::ModelContent {
            path: folder.to_owned(),
            reason: format!(
                "it has several models, `{}` and `{}`; name the file",
                first.display(),
                second.display()
            ),
        });
    }
    Ok(found.pop())
}
