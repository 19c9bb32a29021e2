//! What turns the texts of one side into token ids and back.

use std::fmt::Debug;
use std::sync::Arc;

use super::encoding::Encoding;
use crate::Error;
use crate::sides::Sides;

/// Turns texts of one side into ids and back.
pub(super) trait Codec: Debug + Send + Sync {
    /// Encodes a text, with the special tokens the model expects around it or without.
    fn encode(&self, text: &str, with_special: bool) -> Result<Encoding, Error>;

    /// Turns ids back into text.
    fn decode(&self, ids: &[u32], skip_special: bool) -> String;

    /// Returns a token as the vocabulary has it, or `None` for an id without one.
    fn token(&self, id: u32) -> Option<String>;

    /// Returns the id of a token of the vocabulary.
    fn id(&self, token: &str) -> Option<u32>;

    /// Returns whether the vocabulary says that a token is special.
    fn is_special(&self, id: u32) -> bool;

    /// Returns the tokens that the vocabulary itself has for something else than text.
    fn special_ids(&self) -> Vec<u32>;

    /// Returns the number of ids, those of added tokens counted.
    fn size(&self) -> usize;
}

/// What turns the texts of each side into ids and back.
pub(super) struct Codecs {
    pub(super) sides: Sides<Arc<dyn Codec>>,
    /// Whether an id is the same token on both.
    pub(super) has_one_vocabulary: bool,
}

impl Codecs {
    /// Takes a codec that serves both sides.
    pub(super) fn one(codec: Arc<dyn Codec>) -> Self {
        Self {
            sides: Sides {
                source: codec.clone(),
                target: codec,
            },
            has_one_vocabulary: true,
        }
    }
}
