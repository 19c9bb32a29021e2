//! A model on disk: a Hugging Face folder, one GGUF file, or an adapter and its base model.
//!
//! A GGUF file contains what a folder keeps in several files, so it stands in for whatever the
//! folder around it lacks. It is opened once, here. Files that would turn the model into another
//! one are checked first, so that no model can be read without this check.
//!
//! An adapter may be in the folder of its base, as transformers accepts it, or in a folder of its own
//! that names the base.

mod base;
mod companions;
mod gguf_paths;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::DType;

use super::config::ConfigFile;
use super::weights::Checkpoint;
use super::weights::adapter::Adapter;
use super::weights::gguf::GgufFile;
use crate::{Error, Notice};

pub(crate) use base::base_of;
pub use base::{AdapterBase, base_elsewhere};
pub(crate) use gguf_paths::is_gguf;
use gguf_paths::only_gguf;

/// The files of a model.
#[derive(Debug)]
pub struct ModelFiles {
    path: PathBuf,
    folder: PathBuf,
    /// The folder with the tokenizer's files.
    text_folder: PathBuf,
    gguf: Option<Arc<GgufFile>>,
    adapter: Option<Adapter>,
    notices: Vec<Notice>,
}

impl ModelFiles {
    /// Opens the model at `path`: a folder, which may be an adapter, or a `.gguf` file.
    ///
    /// Fails if a GGUF file is damaged, if the folder has several of them, if the weights are
    /// quantized in a format that whence does not read, or if the base of an adapter is not there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let beside = path.parent().filter(|_| path.is_file());
        let folder = beside.unwrap_or(path);
        let Some(adapter) = Adapter::read(folder)? else {
            return Self::open_whole(path);
        };
        if path.is_file() {
            // The digest of a file covers only the file.
            return Err(Error::ModelRefused {
                path: path.to_owned(),
                reason: "has an adapter beside it (`adapter_config.json`)".to_owned(),
                next: "name the folder to apply the adapter, or move the adapter away".to_owned(),
            });
        }
        let base = base_of(&adapter, path)?;
        let files = Self::open_whole(&base)?;
        let mut notices = files.notices;
        if base == path {
            notices.push(Notice::AdapterBeside {
                path: folder.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            // transformers takes the tokenizer that was saved with the adapter, if there is one.
            text_folder: if has_tokenizer(folder) {
                folder.to_owned()
            } else {
                files.text_folder
            },
            adapter: Some(adapter),
            notices,
            ..files
        })
    }

    /// Opens the model at `path`, whatever adapter is beside it.
    fn open_whole(path: &Path) -> Result<Self, Error> {
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
            text_folder: folder.to_owned(),
            gguf: gguf.map(open).transpose()?,
            adapter: None,
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

    /// Returns the folder that contains the configuration and the weights; for an adapter, those of
    /// its base.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the folder that contains the tokenizer's files.
    pub fn text_folder(&self) -> &Path {
        &self.text_folder
    }

    /// Returns the adapter that must be merged into the checkpoint's tensors, if there is one.
    pub(crate) fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
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

/// Returns whether `folder` has files of a tokenizer.
fn has_tokenizer(folder: &Path) -> bool {
    const FILES: &[&str] = &[
        "tokenizer.json",
        "tokenizer_config.json",
        "source.spm",
        "spiece.model",
        "sentencepiece.bpe.model",
        "tokenizer.model",
        "vocab.json",
    ];
    FILES.iter().any(|name| folder.join(name).exists())
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
