//! A model on disk: a Hugging Face folder, or one GGUF file.
//!
//! A GGUF file contains what a folder keeps in several files, so it stands in for whatever the
//! folder around it lacks. It is opened once, here. Files that would turn the model into another
//! one, such as an adapter, are checked first, so that no model can be read without this check.

mod companions;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;

use super::config::ConfigFile;
use super::weights::Checkpoint;
use super::weights::gguf::GgufFile;
use crate::{Error, Notice};

/// The files of a model.
#[derive(Debug)]
pub struct ModelFiles {
    path: PathBuf,
    folder: PathBuf,
    gguf: Option<Arc<GgufFile>>,
    notices: Vec<Notice>,
}

impl ModelFiles {
    /// Opens the model at `path`: a folder, or a `.gguf` file.
    ///
    /// Fails if a GGUF file is damaged, if the folder has several of them, or if a file beside the
    /// model makes it unreadable for whence, such as an adapter or quantized weights.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (folder, gguf) = if path.is_file() {
            if !is_gguf(path) {
                return Err(Error::ModelRefused {
                    path: path.to_owned(),
                    reason: "is a file; a model is a folder, or a GGUF file".to_owned(),
                    next: "name the folder that the file is in".to_owned(),
                });
            }
            let folder = path.parent().unwrap_or(Path::new("."));
            (folder, Some(path.to_owned()))
        } else if Checkpoint::exists(path) {
            (path, None)
        } else {
            (path, only_gguf(path)?)
        };
        let notices = companions::inspect(folder, gguf.is_some())?;
        let open = |file: PathBuf| -> Result<_, Error> {
            let file = GgufFile::open(&file)?;
            file.require_whole_model()?;
            Ok(Arc::new(file))
        };
        Ok(Self {
            path: path.to_owned(),
            folder: folder.to_owned(),
            gguf: gguf.map(open).transpose()?,
            notices,
        })
    }

    /// Returns notices about files beside the model.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Returns the model's path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the folder that contains the model's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the model's configuration. Fails if there is none.
    pub fn config(&self) -> Result<ConfigFile, Error> {
        const CONFIG: &str = "config.json";
        match &self.gguf {
            Some(gguf) if !self.folder.join(CONFIG).exists() => {
                Ok(ConfigFile::from_fields(gguf.path(), gguf.config()?))
            }
            _ => ConfigFile::read(&self.folder, CONFIG),
        }
    }

    /// Reads the model's generation defaults; empty if it has none.
    pub fn generation_config(&self) -> Result<ConfigFile, Error> {
        ConfigFile::read_optional(&self.folder, "generation_config.json")
    }

    /// Opens the model's tensors, which will be read as `dtype`.
    pub fn checkpoint(&self, dtype: DType) -> Result<Checkpoint, Error> {
        match &self.gguf {
            Some(gguf) => Checkpoint::from_gguf(gguf.clone(), dtype),
            None => Checkpoint::open(&self.folder, dtype),
        }
    }

    /// Returns the GGUF file, if the weights come from one.
    pub(crate) fn gguf(&self) -> Option<&GgufFile> {
        self.gguf.as_deref()
    }
}

/// Returns whether `path` has the extension of a GGUF file.
pub(crate) fn is_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Returns the only GGUF file in `folder`, or `None` if there is none. Fails if there are several.
fn only_gguf(folder: &Path) -> Result<Option<PathBuf>, Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_gguf_files_one_must_be_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.gguf", "b.GGUF"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let message = ModelFiles::open(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("a.gguf") && message.contains("b.GGUF"),
            "{message}"
        );
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let message = ModelFiles::open(&missing).unwrap_err().to_string();
        assert!(message.contains("missing"), "{message}");
    }
}
