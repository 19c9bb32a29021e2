//! Marian's tokenizer: one SentencePiece model each for source and target, over one vocabulary for
//! both or, if `separate_vocabs` is set, one vocabulary each.
//!
//! A leading language code such as `>>fr<<` is a single token. Special tokens in the text are
//! split off before SentencePiece sees the rest, as transformers splits off added tokens. If the
//! two vocabularies give a special token different ids, each side's text gets its own id;
//! transformers uses the source's id on both sides.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::added_tokens::{AddedTokens, Part};
use super::codec::{Codec, Codecs};
use super::encoding::Encoding;
use super::pieces::Pieces;
use super::vocab_json;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::sides::Sides;

const END: &str = "</s>";
const UNKNOWN: &str = "<unk>";
const SPECIAL: &[&str] = &[END, UNKNOWN, "<pad>"];
/// The character that SentencePiece writes for a blank.
const BLANK: char = '▁';

/// Marian's tokenizer for one side.
#[derive(Debug)]
pub(super) struct Marian {
    pieces: Pieces,
    vocabulary: Arc<Vocabulary>,
}

/// Tokens and their ids.
#[derive(Debug)]
struct Vocabulary {
    special: AddedTokens,
    ids: HashMap<String, u32>,
    tokens: HashMap<u32, String>,
    end: u32,
    unknown: u32,
}

impl Marian {
    /// Loads the tokenizers of both sides.
    ///
    /// Fails if a file is missing or damaged.
    pub(super) fn load(folder: &Path) -> Result<Codecs, Error> {
        let config = ConfigFile::read_optional(folder, "tokenizer_config.json")?;
        let is_separate = config.flag_or("separate_vocabs", false)?;
        require_files(folder, is_separate)?;
        let source = Arc::new(Vocabulary::read(&folder.join("vocab.json"))?);
        let target = if is_separate {
            Arc::new(Vocabulary::read(&folder.join("target_vocab.json"))?)
        } else {
            source.clone()
        };
        let side = |pieces: &str, vocabulary| -> Result<Arc<dyn Codec>, Error> {
            let pieces = Pieces::load(&folder.join(pieces))?;
            Ok(Arc::new(Self { pieces, vocabulary }))
        };
        Ok(Codecs {
            sides: Sides {
                source: side("source.spm", source)?,
                target: side("target.spm", target)?,
            },
            has_one_vocabulary: !is_separate,
        })
    }

    /// Appends the tokens of one part of a text to `encoding`.
    fn push_part(&self, part: &Part<'_>, encoding: &mut Encoding) -> Result<(), Error> {
        if let Some(token) = part.token {
            encoding.push(token, Some(part.range()));
            return Ok(());
        }
        let (code, text) = split_language_code(part.text);
        // `text` is the end of the part, so the difference in length is where it starts.
        let start = part.start + part.text.len() - text.len();
        if let Some(code) = code {
            let id = self.vocabulary.id_or_unknown(code);
            encoding.push(id, Some((part.start, start)));
        }
        for piece in self.pieces.cut(text, start)? {
            let id = self.vocabulary.id_or_unknown(&piece.text);
            encoding.push(id, Some(piece.range));
        }
        Ok(())
    }
}

impl Vocabulary {
    fn read(path: &Path) -> Result<Self, Error> {
        let ids = vocab_json::read(path)?;
        let id_of = |token: &str| {
            let missing = || Error::ModelContent {
                path: path.to_owned(),
                reason: format!("it has no `{token}`"),
            };
            ids.get(token).copied().ok_or_else(missing)
        };
        let (end, unknown) = (id_of(END)?, id_of(UNKNOWN)?);
        Ok(Self {
            special: AddedTokens::special(SPECIAL, |token| ids.get(token).copied()),
            tokens: ids.iter().map(|(token, id)| (*id, token.clone())).collect(),
            ids,
            end,
            unknown,
        })
    }

    fn id_or_unknown(&self, token: &str) -> u32 {
        self.ids.get(token).copied().unwrap_or(self.unknown)
    }
}

impl Codec for Marian {
    fn encode(&self, text: &str, with_special: bool) -> Result<Encoding, Error> {
        let mut encoding = Encoding::default();
        for part in self.vocabulary.special.split(text) {
            self.push_part(&part, &mut encoding)?;
        }
        if with_special {
            encoding.push(self.vocabulary.end, None);
        }
        Ok(encoding)
    }

    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let tokens = &self.vocabulary.tokens;
        let mut text = String::new();
        for &id in ids {
            let token = tokens.get(&id).map_or(UNKNOWN, String::as_str);
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
        self.vocabulary.tokens.get(&id).cloned()
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.vocabulary.ids.get(token).copied()
    }

    /// Always false: Marian names its special tokens in its configuration, not in the vocabulary.
    fn is_special(&self, _: u32) -> bool {
        false
    }

    fn special_ids(&self) -> Vec<u32> {
        self.vocabulary.special.special_ids()
    }

    fn size(&self) -> usize {
        let largest = self.vocabulary.tokens.keys().max();
        largest.map_or(0, |&id| id as usize + 1)
    }
}

/// Fails if one of the files that make up the tokenizer is missing.
fn require_files(folder: &Path, is_separate: bool) -> Result<(), Error> {
    let mut needed = vec!["source.spm", "target.spm", "vocab.json"];
    if is_separate {
        needed.push("target_vocab.json");
    }
    let is_missing = |file: &&&str| !folder.join(file).exists();
    let Some(missing) = needed.iter().find(is_missing) else {
        return Ok(());
    };
    Err(Error::ModelRefused {
        path: folder.to_owned(),
        reason: format!(
            "has no `{missing}`: Marian's tokenizer is `{}`",
            needed.join("`, `")
        ),
        next: format!("copy `{missing}` from where the model is from"),
    })
}

/// Splits a leading `>>code<<` off a text.
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
