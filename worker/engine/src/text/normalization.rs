//! How SentencePiece normalizes a text before it looks for pieces, and where each normalized byte
//! came from.
//!
//! The library that finds the pieces normalizes internally and does not report positions. This
//! module repeats the computation and keeps them. The rules are in the model file: a table from
//! character sequences to their replacements, stored as a trie in the layout of Darts, and four
//! switches. Source: `normalizer.cc` and `sentencepiece_model.proto` of SentencePiece.

use prost::Message;
use sentencepiece_rs::{PieceType, SentencePieceModel};

/// The character that SentencePiece writes for a blank.
const BLANK: &str = "▁";

/// The fields of a SentencePiece model file that define normalization.
#[derive(Message)]
struct ModelFile {
    #[prost(message, optional, tag = "2")]
    trainer: Option<Trainer>,
    #[prost(message, optional, tag = "3")]
    rules: Option<Rules>,
}

#[derive(Message)]
struct Trainer {
    #[prost(bool, optional, tag = "24")]
    treat_whitespace_as_suffix: Option<bool>,
}

#[derive(Message)]
struct Rules {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    escape_whitespaces: Option<bool>,
}

/// The normalization rules of a model.
#[derive(Debug)]
pub(super) struct Normalization {
    charsmap: Option<Charsmap>,
    /// Pieces that are never normalized, longest first.
    literals: Vec<String>,
    blank: &'static str,
    blank_before: bool,
    blank_behind: bool,
    removes_extra_blanks: bool,
}

/// A normalized text.
#[derive(Debug, Default)]
pub(super) struct Normalized {
    pub(super) text: String,
    /// For each byte of `text`, the byte range of the original that it came from.
    origins: Vec<(usize, usize)>,
}

impl Normalized {
    fn push(&mut self, text: &str, origin: (usize, usize)) {
        self.text.push_str(text);
        self.origins.resize(self.text.len(), origin);
    }

    /// Returns the byte range of the original that `start..end` of the normalized text came from.
    /// The result is empty if the range is empty or beyond the end.
    pub(super) fn origin(&self, start: usize, end: usize) -> (usize, usize) {
        match self.origins.get(start..end) {
            Some([first, .., last]) => (first.0, last.1),
            Some([only]) => *only,
            _ => {
                let last = self.origins.last().map_or(0, |last| last.1);
                (last, last)
            }
        }
    }
}

impl Normalization {
    /// Reads the rules from the bytes of the model file that `model` was parsed from. If they are
    /// damaged, the error says what is wrong.
    pub(super) fn read(bytes: &[u8], model: &SentencePieceModel) -> Result<Self, String> {
        let file = ModelFile::decode(bytes).map_err(|error| error.to_string())?;
        let rules = file.rules.unwrap_or_default();
        let trainer = file.trainer.unwrap_or_default();
        let charsmap = rules.precompiled_charsmap.unwrap_or_default();
        let literals = model.pieces().iter();
        let literals = literals.filter(|piece| piece.kind == PieceType::UserDefined);
        let mut literals: Vec<_> = literals.map(|piece| piece.piece.clone()).collect();
        literals.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
        let adds_blank = rules.add_dummy_prefix.unwrap_or(true);
        let behind = trainer.treat_whitespace_as_suffix.unwrap_or(false);
        Ok(Self {
            charsmap: (!charsmap.is_empty())
                .then(|| Charsmap::read(&charsmap))
                .transpose()?,
            literals,
            blank: if rules.escape_whitespaces.unwrap_or(true) {
                BLANK
            } else {
                " "
            },
            blank_before: adds_blank && !behind,
            blank_behind: adds_blank && behind,
            removes_extra_blanks: rules.remove_extra_whitespaces.unwrap_or(true),
        })
    }

    /// Normalizes a text.
    pub(super) fn apply(&self, text: &str) -> Normalized {
        let mut output = Normalized::default();
        let mut at = 0;
        while self.removes_extra_blanks
            && let (" ", length) = self.first(&text[at..])
        {
            at += length;
        }
        if at == text.len() {
            return output;
        }
        if self.blank_before {
            output.push(self.blank, (at, at));
        }
        // Starts as if after a blank: what the first characters become may itself begin with one.
        let mut is_behind_blank = self.removes_extra_blanks;
        while at < text.len() {
            let (mut becomes, length) = self.first(&text[at..]);
            if is_behind_blank {
                becomes = becomes.trim_start_matches(' ');
            }
            for character in becomes.chars() {
                if character == ' ' {
                    output.push(self.blank, (at, at + length));
                } else {
                    output.push(character.encode_utf8(&mut [0; 4]), (at, at + length));
                }
            }
            if !becomes.is_empty() {
                is_behind_blank = self.removes_extra_blanks && becomes.ends_with(' ');
            }
            at += length;
        }
        if self.removes_extra_blanks {
            let length = output.text.trim_end_matches(self.blank).len();
            output.text.truncate(length);
            output.origins.truncate(length);
        }
        if self.blank_behind {
            output.push(self.blank, (at, at));
        }
        output
    }

    /// Returns what a prefix of `text` becomes, and the length of that prefix in bytes. The prefix
    /// is a literal piece, else the longest one with a rule, else the first character, which stays
    /// as it is. An empty text gives an empty prefix.
    fn first<'a>(&'a self, text: &'a str) -> (&'a str, usize) {
        let literal = self.literals.iter().find(|l| text.starts_with(l.as_str()));
        if let Some(literal) = literal {
            return (literal, literal.len());
        }
        let mapped = self.charsmap.as_ref();
        mapped.and_then(|map| map.longest(text)).unwrap_or_else(|| {
            let length = text.chars().next().map_or(0, char::len_utf8);
            (&text[..length], length)
        })
    }
}

/// The trie from character sequences to their replacements.
#[derive(Debug)]
struct Charsmap {
    /// Units of a double-array trie. Each holds its label, whether a value follows, and the offset
    /// to its children.
    units: Vec<u32>,
    /// The replacements, each terminated by a zero byte. The trie's values are positions in this
    /// text.
    texts: String,
}

impl Charsmap {
    /// Parses the trie's length, the trie and the replacements. Fails if they do not fit together.
    fn read(blob: &[u8]) -> Result<Self, String> {
        let broken = || "its table of normalization rules is damaged".to_owned();
        let (length, rest) = blob.split_first_chunk::<4>().ok_or_else(broken)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (trie, texts) = rest.split_at_checked(length).ok_or_else(broken)?;
        let (units, []) = trie.as_chunks::<4>() else {
            return Err(broken());
        };
        Ok(Self {
            units: units.iter().map(|unit| u32::from_le_bytes(*unit)).collect(),
            texts: str::from_utf8(texts).map_err(|_| broken())?.to_owned(),
        })
    }

    /// Returns the replacement for the longest known prefix of `text`, and the prefix's length in
    /// bytes.
    fn longest(&self, text: &str) -> Option<(&str, usize)> {
        let mut found = None;
        let mut node = children(*self.units.first()?);
        for (index, byte) in text.bytes().enumerate() {
            node ^= usize::from(byte);
            let Some(&unit) = self.units.get(node) else {
                break;
            };
            // The highest bit marks a value unit, which no byte can lead to.
            if unit & 0x8000_00FF != u32::from(byte) {
                break;
            }
            node ^= children(unit);
            if unit & 0x100 != 0 {
                let value = self.units.get(node).map(|value| value & 0x7FFF_FFFF);
                found = value.map(|value| (value as usize, index + 1)).or(found);
            }
        }
        let (start, length) = found?;
        let becomes = self.texts.get(start..)?.split('\0').next()?;
        Some((becomes, length))
    }
}

/// Returns the offset from a unit to its children.
fn children(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 0x200) >> 6)) as usize
}
