//! Marian's tokenizer: SentencePiece models for source and target, one vocabulary for both.
//!
//! A leading language code `>>fr<<` is a token of its own; special tokens that stand in the text
//! are split off before SentencePiece sees the rest, as transformers splits off added tokens.

use std::collections::HashMap;
use std::path::Path;

use super::added_tokens::{AddedTokens, Part};
use super::pieces::Pieces;
use super::{Codec, Encoding, Side};
use crate::Error;

const END: &str = "</s>";
const UNKNOWN: &str = "<unk>";
const SPECIAL: &[&str] = &[END, UNKNOWN, "<pad>"];
/// How SentencePiece writes a blank.
const BLANK: char = '▁';

/// Marian's tokenizer.
#[derive(Debug)]
pub(super) struct Marian {
    source: Pieces,
    target: Pieces,
    special: AddedTokens,
    ids: HashMap<String, u32>,
    tokens: HashMap<u32, String>,
    end: u32,
    unknown: u32,
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
            source: Pieces::load(&folder.join("source.spm"))?,
            target: Pieces::load(&folder.join("target.spm"))?,
            special: AddedTokens::special(SPECIAL, |token| ids.get(token).copied()),
            tokens: ids.iter().map(|(token, id)| (*id, token.clone())).collect(),
            ids,
            end,
            unknown,
        })
    }

    /// Adds the tokens of a part of a text to `encoding`.
    fn push_part(
        &self,
        pieces: &Pieces,
        part: &Part<'_>,
        encoding: &mut Encoding,
    ) -> Result<(), Error> {
        if let Some(token) = part.token {
            encoding.push(token, Some(part.range()));
            return Ok(());
        }
        let (code, text) = split_language_code(part.text);
        let start = part.start + part.text.len() - text.len();
        if let Some(code) = code {
            encoding.push(self.id_or_unknown(code), Some((part.start, start)));
        }
        for piece in pieces.cut(text, start)? {
            encoding.push(self.id_or_unknown(&piece.text), Some(piece.range));
        }
        Ok(())
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
        let mut encoding = Encoding::default();
        for part in self.special.split(text) {
            self.push_part(pieces, &part, &mut encoding)?;
        }
        if with_special {
            encoding.push(self.end, None);
        }
        Ok(encoding)
    }

    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut text = String::new();
        for &id in ids {
            let token = self.tokens.get(&id).map_or(UNKNOWN, String::as_str);
            let is_special = SPECIAL.contains(&token);
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
    fn a_language_code_is_split_off() {
        assert_eq!(
            split_language_code(">>fr<< Hello"),
            (Some(">>fr<<"), " Hello")
        );
        assert_eq!(split_language_code(">><< Hello"), (None, ">><< Hello"));
        assert_eq!(split_language_code("Hello >>fr<<"), (None, "Hello >>fr<<"));
    }
}
