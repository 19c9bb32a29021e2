//! Between text and token ids.
//!
//! Two kinds of tokenizers: `tokenizer.json`, which describes itself, and Marian's pair of
//! SentencePiece models with a shared vocabulary. Neither pads nor truncates here: batches are
//! ragged, and a text that is too long is an error the user should see.

mod huggingface;
mod marian;
mod special_tokens;

use std::path::Path;

use serde_json::Value;

use crate::Error;
use huggingface::HuggingFace;
use marian::Marian;
pub use special_tokens::SpecialTokens;

/// The tokenizer of a model.
#[derive(Debug)]
pub struct Tokenizer {
    kind: Kind,
    special: SpecialTokens,
}

#[derive(Debug)]
enum Kind {
    HuggingFace(Box<HuggingFace>),
    Marian(Box<Marian>),
}

/// Token ids, and where each token stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// The tokens.
    pub ids: Vec<u32>,
    /// Byte offsets of each; empty ranges for tokens that were added.
    pub offsets: Vec<(usize, usize)>,
}

impl Tokenizer {
    /// Loads the tokenizer of the model in `folder`, whose `config.json` is `config`.
    ///
    /// Fails if the folder has neither `tokenizer.json` nor Marian's files, or they are damaged.
    pub fn load(folder: &Path, config: &Value) -> Result<Self, Error> {
        let is_marian =
            folder.join("source.spm").exists() && !folder.join("tokenizer.json").exists();
        let kind = if is_marian {
            Kind::Marian(Box::new(Marian::load(folder)?))
        } else {
            Kind::HuggingFace(Box::new(HuggingFace::load(folder)?))
        };
        let id_of = |token: &str| match &kind {
            Kind::HuggingFace(tokenizer) => tokenizer.id(token),
            Kind::Marian(tokenizer) => tokenizer.id(token),
        };
        let special = SpecialTokens::resolve(folder, config, id_of)?;
        Ok(Self { kind, special })
    }

    /// Encodes what an encoder reads.
    pub fn encode_source(&self, text: &str, skip_special: bool) -> Result<Vec<u32>, Error> {
        match &self.kind {
            Kind::HuggingFace(tokenizer) => Ok(tokenizer.encode(text, skip_special)?.ids),
            Kind::Marian(tokenizer) => tokenizer.encode_source(text, skip_special),
        }
    }

    /// Encodes what the decoder of an encoder-decoder model produces, without its start token.
    pub fn encode_target(&self, text: &str, skip_special: bool) -> Result<Vec<u32>, Error> {
        match &self.kind {
            Kind::HuggingFace(tokenizer) => Ok(tokenizer.encode(text, skip_special)?.ids),
            Kind::Marian(tokenizer) => tokenizer.encode_target(text, skip_special),
        }
    }

    /// Encodes a text of a decoder-only model.
    ///
    /// A second start token, which some templates add before a text that has one, is dropped, as
    /// Inseq drops it.
    pub fn encode_prompt(&self, text: &str, skip_special: bool) -> Result<Encoding, Error> {
        let mut encoding = match &self.kind {
            Kind::HuggingFace(tokenizer) => tokenizer.encode(text, skip_special)?,
            Kind::Marian(tokenizer) => {
                let ids = tokenizer.encode_source(text, skip_special)?;
                Encoding {
                    offsets: vec![(0, 0); ids.len()],
                    ids,
                }
            }
        };
        if let (Some(bos), [first, second, ..]) = (self.special.bos, encoding.ids.as_slice())
            && *first == bos
            && *second == bos
        {
            encoding.ids.remove(0);
            encoding.offsets.remove(0);
        }
        Ok(encoding)
    }

    /// Turns tokens back into text.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        match &self.kind {
            Kind::HuggingFace(tokenizer) => tokenizer.decode(ids, skip_special),
            Kind::Marian(tokenizer) => tokenizer.decode(ids, skip_special),
        }
    }

    /// Returns a token as the vocabulary has it, marks included.
    pub fn token(&self, id: u32) -> String {
        let token = match &self.kind {
            Kind::HuggingFace(tokenizer) => tokenizer.token(id),
            Kind::Marian(tokenizer) => tokenizer.token(id).map(str::to_owned),
        };
        // Embedding tables are often padded beyond the vocabulary.
        token.unwrap_or_else(|| format!("<{id}>"))
    }

    /// Returns the tokens with a meaning of their own.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }
}
