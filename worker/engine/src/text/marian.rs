//! Marian's tokenizer: SentencePiece models for source and target, one vocabulary for both.
//!
//! A leading language code `>>fr<<` is a token of its own; special tokens that stand in the text
//! are split off before SentencePiece sees the rest, as transformers splits off added tokens.

use std::collections::HashMap;
use std::path::Path;

use sentencepiece_rs::SentencePieceProcessor;

use super::{Codec, Encoding, Side};
use crate::Error;

const END: &str = "</s>";
const UNKNOWN: &str = "<unk>";
const PADDING: &str = "<pad>";
/// How SentencePiece writes a blank.
const BLANK: char = '▁';

/// Marian's tokenizer.
#[derive(Debug)]
pub(super) struct Marian {
    source: Pieces,
    target: Pieces,
    ids: HashMap<String, u32>,
    tokens: HashMap<u32, String>,
    end: u32,
    unknown: u32,
}

/// A SentencePiece model.
struct Pieces(SentencePieceProcessor);

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pieces")
            .field(&self.0.model().vocab_size())
            .finish()
    }
}

impl Marian {
    pub(super) fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("vocab.json");
        let ids = super::vocabulary::read(&path)?;
        let id_of = |token: &str| {
            let missing = || Error::ModelContent {
                path: path.clone(),
                reason: format!("it has no `{token}`"),
            };
            ids.get(token).copied().ok_or_else(missing)
        };
        let (end, unknown) = (id_of(END)?, id_of(UNKNOWN)?);
        Ok(Self {
            source: Pieces::load(folder, "source.spm")?,
            target: Pieces::load(folder, "target.spm")?,
            tokens: ids.iter().map(|(token, id)| (*id, token.clone())).collect(),
            ids,
            end,
            unknown,
        })
    }

    fn ids(&self, pieces: &Pieces, text: &str, with_special: bool) -> Result<Vec<u32>, Error> {
        let mut ids = Vec::new();
        for part in split_special(text) {
            match part {
                Part::Special(token) => ids.push(self.id_or_unknown(token)),
                Part::Text(text) => {
                    let (code, text) = split_language_code(text);
                    ids.extend(code.map(|code| self.id_or_unknown(code)));
                    ids.extend(
                        pieces
                            .of(text)?
                            .iter()
                            .map(|piece| self.id_or_unknown(piece)),
                    );
                }
            }
        }
        if with_special {
            ids.push(self.end);
        }
        Ok(ids)
    }

    fn id_or_unknown(&self, token: &str) -> u32 {
        self.id(token).unwrap_or(self.unknown)
    }
}

impl Codec for Marian {
    fn encode(&self, text: &str, side: Side, with_special: bool) -> Result<Encoding, Error> {
        let pieces = match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        };
        let ids = self.ids(pieces, text, with_special)?;
        Ok(Encoding {
            offsets: vec![(0, 0); ids.len()],
            ids,
        })
    }

    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut text = String::new();
        for &id in ids {
            let token = self.tokens.get(&id).map_or(UNKNOWN, String::as_str);
            let is_special = [END, UNKNOWN, PADDING].contains(&token);
            if !is_special {
                text.push_str(token);
            } else if !skip_special {
                text.push_str(token);
                text.push(' ');
            }
        }
        text.replace(BLANK, " ").trim().to_owned()
    }

    fn token(&self, id: u32) -> Option<String> {
        self.tokens.get(&id).cloned()
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// The vocabulary marks none: Marian's special tokens are named in its configuration.
    fn is_special(&self, _: u32) -> bool {
        false
    }

    fn size(&self) -> usize {
        let largest = self.tokens.keys().max();
        largest.map_or(0, |&id| id as usize + 1)
    }
}

impl Pieces {
    fn load(folder: &Path, name: &str) -> Result<Self, Error> {
        let path = folder.join(name);
        let bytes = std::fs::read(&path).map_err(|source| Error::ModelFile {
            path: path.clone(),
            source,
        })?;
        let processor = SentencePieceProcessor::from_serialized_model(&bytes).map_err(|error| {
            Error::ModelContent {
                path,
                reason: error.to_string(),
            }
        })?;
        Ok(Self(processor))
    }

    fn of(&self, text: &str) -> Result<Vec<String>, Error> {
        self.0.encode(text).map_err(|error| Error::Tokenize {
            reason: error.to_string(),
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    Special(&'t str),
}

/// Cuts a text at the special tokens that stand in it.
fn split_special(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((start, token)) = [END, UNKNOWN, PADDING]
        .iter()
        .filter_map(|token| rest.find(token).map(|start| (start, *token)))
        .min()
    {
        if start > 0 {
            parts.push(Part::Text(&rest[..start]));
        }
        parts.push(Part::Special(token));
        rest = &rest[start + token.len()..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// Cuts a leading `>>code<<` off a text.
fn split_language_code(text: &str) -> (Option<&str>, &str) {
    let code = text
        .strip_prefix(">>")
        .and_then(|rest| rest.rfind("<<"))
        .filter(|&length| length > 0);
    match code {
        Some(length) => {
            let (code, rest) = text.split_at(length + ">><<".len());
            (Some(code), rest)
        }
        None => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_tokens_and_language_codes_are_split_off() {
        let parts = split_special("a </s>b<unk>");
        assert_eq!(
            parts,
            [
                Part::Text("a "),
                Part::Special(END),
                Part::Text("b"),
                Part::Special(UNKNOWN)
            ]
        );
        assert_eq!(
            split_language_code(">>fr<< Hello"),
            (Some(">>fr<<"), " Hello")
        );
        assert_eq!(split_language_code(">><< Hello"), (None, ">><< Hello"));
        assert_eq!(split_language_code("Hello >>fr<<"), (None, "Hello >>fr<<"));
    }
}
