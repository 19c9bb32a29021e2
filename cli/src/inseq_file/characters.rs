//! Finds the characters that each token covers, which Inseq's files do not say.
//!
//! Tokens are compared with the text one after the other, without the marks of their vocabulary. A
//! token that is not the text's next part, such as an end token, gets no offsets. If the tokens do
//! not spell the whole text, because the tokenizer changes it (to lowercase, for example), none of
//! them get offsets.

use whence_engine::{Attribution, Token};

use crate::byte_level::byte_of;

/// Gives the tokens of both sides their offsets in the input text and the generated text.
pub(super) fn locate(attribution: &mut Attribution, input: Option<&str>) {
    if let Some(input) = input {
        locate_in(&mut attribution.source, input);
    }
    locate_in(&mut attribution.target, &attribution.generated_text);
}

fn locate_in(tokens: &mut [Token], text: &str) {
    let Some(places) = places(tokens, text) else {
        return;
    };
    // Number of characters before each byte. A byte inside a character counts as its beginning.
    let mut before = Vec::with_capacity(text.len() + 1);
    for (number, character) in text.chars().enumerate() {
        before.extend(std::iter::repeat_n(number, character.len_utf8()));
    }
    before.push(text.chars().count());
    let is_start = |byte: usize| text.is_char_boundary(byte);
    for (token, place) in tokens.iter_mut().zip(places) {
        token.offsets = place.map(|(start, end)| {
            // A token that ends inside a character covers that character too.
            (before[start], before[end] + usize::from(!is_start(end)))
        });
    }
}

/// Returns the bytes of `text` that each token covers, without surrounding blanks; `None` if the
/// tokens do not spell the text.
fn places(tokens: &[Token], text: &str) -> Option<Vec<Option<(usize, usize)>>> {
    let spelling = Spelling::of(tokens);
    let rest_of = |from: usize| &text.as_bytes()[from..];
    let blanks = |from: usize| {
        let blank = |byte: &&u8| byte.is_ascii_whitespace();
        rest_of(from).iter().take_while(blank).count()
    };
    let mut at = 0;
    let mut places = Vec::with_capacity(tokens.len());
    for token in tokens {
        let spelled = spelling.bytes(&token.text);
        let spelled = spelled.trim_ascii();
        if spelled.is_empty() {
            // Nothing but blanks: it covers no characters of its own.
            places.push(Some((at, at)));
            continue;
        }
        // A text may begin with a blank, and a piece may follow one.
        let start = if rest_of(at).starts_with(spelled) {
            at
        } else {
            at + blanks(at)
        };
        if rest_of(start).starts_with(spelled) {
            at = start + spelled.len();
            places.push(Some((start, at)));
        } else {
            places.push(None);
        }
    }
    (at + blanks(at) == text.len()).then_some(places)
}

/// How a vocabulary writes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// As SentencePiece does: `▁` is a blank, `<0x0A>` a byte.
    Pieces,
    /// As byte-level BPE does: each byte is a letter, `Ġ` a blank.
    Bytes,
}

impl Spelling {
    fn of(tokens: &[Token]) -> Self {
        let is_marked = |token: &Token| token.text.contains(['Ġ', 'Ċ']);
        if tokens.iter().any(is_marked) {
            Self::Bytes
        } else {
            Self::Pieces
        }
    }

    /// Returns the bytes that a token spells.
    fn bytes(self, token: &str) -> Vec<u8> {
        match self {
            Self::Pieces => match byte_piece(token) {
                Some(byte) => vec![byte],
                None => token.replace('▁', " ").into_bytes(),
            },
            Self::Bytes => {
                let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
                bytes.unwrap_or_else(|| token.as_bytes().to_vec())
            }
        }
    }
}

/// Returns the byte of a token such as `<0x0A>`.
fn byte_piece(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(tokens: &str, text: &str) -> Vec<Option<(usize, usize)>> {
        let token = |text: &str| Token {
            id: Some(1),
            text: text.to_owned(),
            offsets: None,
        };
        let mut tokens: Vec<_> = tokens.split(' ').map(token).collect();
        locate_in(&mut tokens, text);
        tokens.into_iter().map(|token| token.offsets).collect()
    }

    #[test]
    fn pieces_are_found_in_their_text() {
        let found = located("<pad> ▁L ' été ▁ <0xE2> <0x82> <0xAC> </s>", "L'été €");
        let expected = [
            None,
            Some((0, 1)),
            Some((1, 2)),
            Some((2, 5)),
            Some((5, 5)),
            Some((6, 7)),
            Some((6, 7)),
            Some((6, 7)),
            None,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn bytes_are_found_in_their_text() {
        let found = located("The ĠÃ© t Ã © Ċ x <|end|>", "The été\n x");
        let expected = [
            Some((0, 3)),
            Some((4, 5)),
            Some((5, 6)),
            Some((6, 7)),
            Some((6, 7)),
            Some((7, 7)),
            Some((9, 10)),
            None,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_text_that_is_spelled_otherwise_has_no_offsets() {
        assert_eq!(located("▁the ▁cat", "The cat sat"), [None, None]);
    }
}
