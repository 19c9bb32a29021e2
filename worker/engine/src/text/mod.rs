//! Between text and token ids.
//!
//! Where a model's tokenizer comes from is one question (`sources`), what it does another (a
//! [`Codec`]): most run in the tokenizers library, Marian's is a pair of SentencePiece models with
//! a shared vocabulary. None pads or truncates: batches are ragged, and a text that is too long is
//! an error the user should see.

mod gguf;
mod library;
mod marian;
mod sources;
mod special_tokens;

use std::fmt::Debug;

use serde_json::Value;

use crate::Error;
use crate::model::ModelFiles;
pub use special_tokens::SpecialTokens;

/// The tokenizer of a model.
#[derive(Debug)]
pub struct Tokenizer {
    codec: Box<dyn Codec>,
    special: SpecialTokens,
}

/// Turns texts into ids and back.
trait Codec: Debug + Send + Sync {
    /// Encodes a text, with the special tokens the model expects around it or without.
    fn encode(&self, text: &str, side: Side, with_special: bool) -> Result<Encoding, Error>;

    /// Turns ids back into text.
    fn decode(&self, ids: &[u32], skip_special: bool) -> String;

    /// Returns a token as the vocabulary has it, or `None` for an id without one.
    fn token(&self, id: u32) -> Option<String>;

    /// Returns the id of a token of the vocabulary.
    fn id(&self, token: &str) -> Option<u32>;

    /// Returns whether the vocabulary says that a token is special.
    fn is_special(&self, id: u32) -> bool;

    /// Returns the number of ids, those of added tokens counted.
    fn size(&self) -> usize;
}

/// Which text of an encoder-decoder model is encoded. Decoder-only models have the source alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Target,
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
    /// Loads the tokenizer of the model in `files`, whose configuration is `config`.
    ///
    /// Fails if the model has no tokenizer of a kind we know, or its files are damaged.
    pub fn load(files: &ModelFiles, config: &Value) -> Result<Self, Error> {
        let codec = sources::load(files)?;
        let special = SpecialTokens::resolve(files, config, |token| codec.id(token))?;
        Ok(Self { codec, special })
    }

    /// Encodes what an encoder reads.
    pub fn encode_source(&self, text: &str, skip_special: bool) -> Result<Vec<u32>, Error> {
        Ok(self.codec.encode(text, Side::Source, !skip_special)?.ids)
    }

    /// Encodes what the decoder of an encoder-decoder model produces, without its start token.
    pub fn encode_target(&self, text: &str, skip_special: bool) -> Result<Vec<u32>, Error> {
        Ok(self.codec.encode(text, Side::Target, !skip_special)?.ids)
    }

    /// Encodes a text of a decoder-only model.
    ///
    /// A second start token, which some templates add before a text that has one, is dropped, as
    /// Inseq drops it.
    pub fn encode_prompt(&self, text: &str, skip_special: bool) -> Result<Encoding, Error> {
        let mut encoding = self.codec.encode(text, Side::Source, !skip_special)?;
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
        self.codec.decode(ids, skip_special)
    }

    /// Returns a token as the vocabulary has it, marks included.
    pub fn token(&self, id: u32) -> String {
        // Embedding tables are often padded beyond the vocabulary.
        self.codec.token(id).unwrap_or_else(|| format!("<{id}>"))
    }

    /// Returns the number of ids, those of added tokens counted: every id it gives is smaller.
    pub fn size(&self) -> usize {
        self.codec.size()
    }

    /// Returns whether a token has a meaning of its own, rather than standing for text.
    pub fn is_special(&self, id: u32) -> bool {
        let SpecialTokens {
            bos,
            eos,
            pad,
            decoder_start,
            ..
        } = &self.special;
        eos.contains(&id)
            || *pad == id
            || [*bos, *decoder_start].contains(&Some(id))
            || self.codec.is_special(id)
    }

    /// Returns the tokens with a meaning of their own.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }
}
