//! Tokenizers that the `tokenizers` crate runs: those of `tokenizer.json`, and those that we
//! assemble from the files of older models.

use tokenizers::Tokenizer;

use super::codec::Codec;
use super::encoding::Encoding;
use crate::Error;

/// A tokenizer of the `tokenizers` crate.
#[derive(Debug)]
pub(super) struct Library(Tokenizer);

impl Library {
    /// Wraps a tokenizer. Padding and truncation are switched off: batches are ragged here, and a
    /// text that is too long is an error.
    pub(super) fn new(mut tokenizer: Tokenizer) -> tokenizers::Result<Self> {
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None)?;
        Ok(Self(tokenizer))
    }
}

impl Codec for Library {
    fn encode(&self, text: &str, with_special: bool) -> Result<Encoding, Error> {
        let encoding = self
            .0
            .encode(text, with_special)
            .map_err(|error| Error::Tokenize {
                reason: error.to_string(),
            })?;
        let was_added = encoding.get_special_tokens_mask().iter();
        let ranges = encoding.get_offsets().iter().zip(was_added);
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            ranges: ranges
                .map(|(range, &was_added)| (was_added == 0).then_some(*range))
                .collect(),
        })
    }

    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        // Decoding fails only if the decoder contradicts its vocabulary. The raw tokens are then
        // more useful than an empty text.
        let raw = |_| ids.iter().filter_map(|&id| self.token(id)).collect();
        self.0.decode(ids, skip_special).unwrap_or_else(raw)
    }

    fn token(&self, id: u32) -> Option<String> {
        self.0.id_to_token(id)
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }

    fn is_special(&self, id: u32) -> bool {
        let added = self.0.get_added_tokens_decoder();
        added.get(&id).is_some_and(|token| token.special)
    }

    fn special_ids(&self) -> Vec<u32> {
        let added = self.0.get_added_tokens_decoder().into_iter();
        let special = added.filter(|(_, token)| token.special);
        special.map(|(id, _)| id).collect()
    }

    fn size(&self) -> usize {
        let largest = self.0.get_vocab(true).into_values().max();
        largest.map_or(0, |id| id as usize + 1)
    }
}
