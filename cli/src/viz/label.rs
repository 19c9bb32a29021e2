//! Tokens as people read them.
//!
//! Byte-level vocabularies (GPT-2, Llama 3, Qwen) spell every byte as a letter: `Ġthe` is ` the`, and
//! `Ã©` is `é`. SentencePiece marks blanks with `▁` and spells bytes that it has no piece for as
//! `<0xE6>`. Both are decoded here. A character that is split into several tokens is shown in each of
//! them, with the number of the part: `日₁`, `日₂`.

use std::fmt::Write;

use crate::byte_level::byte_of;

/// A token's decoded text beside its vocabulary entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The decoded text, blanks included.
    pub text: String,
    /// The vocabulary entry.
    pub raw: String,
}

/// How a vocabulary spells what is not a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vocabulary {
    /// One letter per byte, as in GPT-2.
    ByteLevel,
    /// `▁` for a blank and `<0xE6>` for a byte. Texts without either mark read as they are.
    Marked,
}

/// What SentencePiece writes for a blank; decoded blanks are shown as this, too.
pub(super) const BLANK: char = '▁';

impl Label {
    /// Makes a label that shows what `raw` is, as the vocabulary spells it.
    pub(super) fn of_raw(raw: &str) -> Self {
        Self {
            text: raw.to_owned(),
            raw: raw.to_owned(),
        }
    }

    /// Returns the text as one visible line: `▁` for each blank, and control characters, which could
    /// break the picture, escaped.
    pub fn shown(&self) -> String {
        let mut shown = String::with_capacity(self.text.len());
        for character in self.text.chars() {
            match character {
                ' ' => shown.push(BLANK),
                _ if is_hidden(character) => shown.extend(character.escape_default()),
                _ => shown.push(character),
            }
        }
        shown
    }
}

/// Returns whether `character` is invisible and moves what stands around it: control characters, line
/// separators, and marks that change the direction of the text.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Vocabulary {
    /// Recognizes the vocabulary of an example's tokens.
    ///
    /// Byte-level vocabularies use only the letters of their table, and never `▁`. Letters of that table
    /// also occur in ordinary words (`ġ`, `ł`), so one token must have the mark of a blank or of a line
    /// break, or all of them must read as UTF-8 beyond ASCII.
    pub(super) fn of<'t>(tokens: impl Iterator<Item = &'t str> + Clone) -> Self {
        let ordinary = tokens.filter(|token| !is_special(token));
        let is_byte_level = (ordinary.clone())
            .flat_map(str::chars)
            .all(|letter| byte_of(letter).is_some());
        if !is_byte_level {
            return Self::Marked;
        }
        let has_mark = ordinary.clone().any(|token| token.contains(['Ġ', 'Ċ']));
        let bytes: Vec<u8> = ordinary.flat_map(str::chars).filter_map(byte_of).collect();
        let is_beyond_ascii = std::str::from_utf8(&bytes).is_ok_and(|text| !text.is_ascii());
        if has_mark || is_beyond_ascii {
            Self::ByteLevel
        } else {
            Self::Marked
        }
    }

    /// Decodes consecutive tokens.
    pub(super) fn labels(self, tokens: &[&str]) -> Vec<Label> {
        let bytes: Vec<Vec<u8>> = tokens.iter().map(|token| self.bytes(token)).collect();
        let texts = texts(&bytes);
        let labels = tokens.iter().zip(texts);
        labels
            .map(|(raw, text)| Label {
                text,
                raw: (*raw).to_owned(),
            })
            .collect()
    }

    /// Returns the bytes that a token spells.
    fn bytes(self, token: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel if !is_special(token) => token.chars().filter_map(byte_of).collect(),
            Self::ByteLevel => token.as_bytes().to_vec(),
            Self::Marked => marked_bytes(token),
        }
    }
}

/// Returns whether a token is written like a special token: `</s>`, `<|endoftext|>`.
fn is_special(token: &str) -> bool {
    token.len() > 2 && token.starts_with('<') && token.ends_with('>')
}

/// Returns the bytes of a token of SentencePiece: `▁` is a blank and `<0xE6>` a byte.
fn marked_bytes(token: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token;
    while let Some(first) = rest.chars().next() {
        let byte = (rest.strip_prefix("<0x"))
            .and_then(|spelled| spelled.get(..3))
            .and_then(|spelled| spelled.strip_suffix('>'))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, first) {
            (Some(byte), _) => {
                bytes.push(byte);
                rest = &rest["<0xE6>".len()..];
                continue;
            }
            (None, BLANK) => bytes.push(b' '),
            (None, _) => bytes.extend(&rest.as_bytes()[..first.len_utf8()]),
        }
        rest = &rest[first.len_utf8()..];
    }
    bytes
}

/// Decodes the bytes of consecutive tokens, one text per token.
fn texts(tokens: &[Vec<u8>]) -> Vec<String> {
    // For each byte, the token that it belongs to.
    let owner: Vec<usize> = (tokens.iter().enumerate())
        .flat_map(|(index, bytes)| std::iter::repeat_n(index, bytes.len()))
        .collect();
    let mut texts = vec![String::new(); tokens.len()];
    let all = tokens.concat();
    let mut place = 0;
    for chunk in all.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut owners = owner[place..place + character.len_utf8()].to_vec();
            owners.dedup();
            place += character.len_utf8();
            for (part, owner) in owners.iter().enumerate() {
                texts[*owner].push(character);
                if owners.len() > 1 {
                    texts[*owner].push(SUBSCRIPTS[part]);
                }
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(texts[owner[place]], "\\x{byte:02X}");
            place += 1;
        }
    }
    texts
}

/// Numbers of the parts of a character, which has four bytes at most.
const SUBSCRIPTS: [char; 4] = ['₁', '₂', '₃', '₄'];

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(tokens: &[&str]) -> Vec<String> {
        let vocabulary = Vocabulary::of(tokens.iter().copied());
        let labels = vocabulary.labels(tokens);
        labels.iter().map(Label::shown).collect()
    }

    #[test]
    fn byte_level_tokens_are_decoded() {
        let tokens = ["The", "Ġcaf", "Ã©", "Ċ", "ĠĠ", "<|endoftext|>"];
        let shown = ["The", "▁caf", "é", "\\n", "▁▁", "<|endoftext|>"];
        assert_eq!(decoded(&tokens), shown);
        // 日 is E6 97 A5, here in two tokens; the last byte begins a character that never ends.
        assert_eq!(decoded(&["Ġæ", "Ĺ¥", "ðŁ"]), ["▁日₁", "日₂", "\\xF0\\x9F"]);
        assert_eq!(decoded(&["caf", "Ã©"]), ["caf", "é"]);
    }

    #[test]
    fn marked_tokens_are_decoded() {
        assert_eq!(decoded(&["▁The", "mat", "</s>"]), ["▁The", "mat", "</s>"]);
        assert_eq!(
            decoded(&["▁", "<0xE6>", "<0x97>", "<0xA5>", "<0x0A>"]),
            ["▁", "日₁", "日₂", "日₃", "\\n"]
        );
        assert_eq!(decoded(&["<0x", "<0xZZ>", "é"]), ["<0x", "<0xZZ>", "é"]);
    }

    #[test]
    fn letters_that_bytes_are_spelled_with_stay_letters() {
        for tokens in [&["ł", "ódka"][..], &["dağ"], &["été"], &["▁Ġejt", "an"]] {
            assert_eq!(decoded(tokens), tokens);
        }
    }

    #[test]
    fn what_would_break_a_line_is_escaped() {
        let label = Label::of_raw("a\u{1b}[2J\u{202e}b\r");
        assert_eq!(label.shown(), "a\\u{1b}[2J\\u{202e}b\\r");
    }
}
