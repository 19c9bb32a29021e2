//! Where a model's tokenizer comes from. The most specific source is tried first.

use std::path::Path;
use std::sync::Arc;

use tokenizers::Tokenizer;

use super::class::TokenizerClass;
use super::codec::Codecs;
use super::library::Library;
use super::marian::Marian;
use super::sentencepiece::SentencePiece;
use super::{gguf, unserved, vocab_json};
use crate::Error;
use crate::model::{ModelFiles, disk};

/// Loads the tokenizer. Fails if the model has none of a supported kind, or if it is damaged.
pub(super) fn load(files: &ModelFiles) -> Result<Codecs, Error> {
    let folder = files.text_folder();
    let described = folder.join("tokenizer.json");
    if described.exists() {
        return match Tokenizer::from_bytes(disk::read(&described)?) {
            Ok(tokenizer) => library(tokenizer, &described),
            Err(error) => Err(Error::ModelContent {
                path: described,
                reason: error.to_string(),
            }),
        };
    }
    if let Some(gguf) = files.gguf() {
        return library(gguf::build(&gguf.metadata())?, gguf.path());
    }
    if folder.join("source.spm").exists() {
        return Marian::load(folder);
    }
    let class = TokenizerClass::of_model(files)?;
    if let Some(tokenizer) = SentencePiece::load(folder, &class)? {
        return Ok(Codecs::one(Arc::new(tokenizer)));
    }
    let merges = folder.join("merges.txt");
    if merges.exists() && class.may_be(vocab_json::CLASSES) {
        return library(vocab_json::byte_level(folder, &class)?, &merges);
    }
    Err(unserved::error(folder, &class))
}

/// Wraps a tokenizer of the `tokenizers` crate that was read from the file at `path`.
fn library(tokenizer: Tokenizer, path: &Path) -> Result<Codecs, Error> {
    match Library::new(tokenizer) {
        Ok(library) => Ok(Codecs::one(Arc::new(library))),
        Err(error) => Err(Error::ModelContent {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
    }
}
