//! `tokenizer.json`, through the tokenizers library.

use std::path::Path;

use super::Encoding;
use crate::Error;

/// A tokenizer that describes itself.
#[derive(Debug)]
pub(super) struct HuggingFace(tokenizers::Tokenizer);

impl HuggingFace {
    pub(super) fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|source| Error::ModelFile {
            path: path.clone(),
            source,
        })?;
        let damaged = |error: tokenizers::Error| Error::ModelContent {
            path: path.clone(),
            reason: error.to_string(),
        };
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(damaged)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(damaged)?;
        Ok(Self(tokenizer))
    }

    pub(super) fn encode(&self, text: &str, skip_special: bool) -> Result<Encoding, Error> {
        let encoding = self
            .0
            .encode(text, !skip_special)
            .map_err(|e| Error::Tokenize {
                reason: e.to_string(),
            })?;
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            offsets: encoding.get_offsets().to_vec(),
        })
    }

    pub(super) fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        // Only a decoder that contradicts its vocabulary fails; the raw tokens then say more than nothing.
        let raw = |_| ids.iter().filter_map(|&id| self.token(id)).collect();
        self.0.decode(ids, skip_special).unwrap_or_else(raw)
    }

    pub(super) fn token(&self, id: u32) -> Option<String> {
        self.0.id_to_token(id)
    }

    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }
}
