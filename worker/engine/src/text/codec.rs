//! The interface between the texts of one side and token ids.

use std::fmt::Debug;
use std::sync::Arc;

use super::encoding::Encoding;
use crate::Error;
use crate::sides::Sides;

/// Converts texts of one side into token ids and back.
pub(super) trait Codec: Debug + Send + Sync {
    /// Encodes a text. `with_special` adds the special tokens that the model expects around a
    /// text.
    fn encode(&self, text: &str, with_special: bool) -> Result<Encoding, Error>;

    /// Decodes ids into text, leaving out special tokens if `skip_special` is set.
    fn decode(&self, ids: &[u32], skip_special: bool) -> String;

    /// Returns a token as the vocabulary spells it, or `None` if no token has this id.
    fn token(&self, id: u32) -> Option<String>;

    /// Returns the id of a token, spelled as in the vocabulary.
    fn id(&self, token: &str) -> Option<u32>;

    /// Returns whether the vocabulary itself marks a token as special.
    fn is_special(&self, id: u32) -> bool;

    /// Returns the tokens that the vocabulary itself marks as not standing for text.
    fn special_ids(&self) -> Vec<u32>;

    /// Returns the number of ids, added tokens included.
    fn size(&self) -> usize;
}

/// The codecs of both sides of a model.
pub(super) struct Codecs {
    pub(super) sides: Sides<Arc<dyn Codec>>,
    /// Whether an id means the same token on both sides.
    pub(super) has_one_vocabulary: bool,
}

impl Codecs {
    /// Uses one codec for both sides.
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
