//! Where a model's tokenizer comes from, the most telling source first.

use tokenizers::Tokenizer;

use super::library::Library;
use super::marian::Marian;
use super::{Codec, gguf};
use crate::Error;
use crate::model::ModelFiles;

/// Loads the tokenizer. Fails if the model has none of a kind we know, or it is damaged.
pub(super) fn load(files: &ModelFiles) -> Result<Box<dyn Codec>, Error> {
    let folder = files.folder();
    let described = folder.join("tokenizer.json");
    if !described.exists() {
        if let Some(gguf) = files.gguf() {
            let metadata = gguf.metadata();
            let library = Library::of(gguf::build(&metadata)?);
            return match library {
                Ok(library) => Ok(Box::new(library)),
                Err(error) => Err(metadata.refused(error.to_string())),
            };
        }
        if folder.join("source.spm").exists() {
            return Ok(Box::new(Marian::load(folder)?));
        }
    }
    let bytes = std::fs::read(&described).map_err(|source| Error::ModelFile {
        path: described.clone(),
        source,
    })?;
    match Tokenizer::from_bytes(bytes).and_then(Library::of) {
        Ok(library) => Ok(Box::new(library)),
        Err(error) => Err(Error::ModelContent {
            path: described,
            reason: error.to_string(),
        }),
    }
}
