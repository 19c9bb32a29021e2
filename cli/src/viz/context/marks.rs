//! Cuts a text into its tokens and what is between them.

use whence_engine::context::TextTokens;

/// A part of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Index of the token; `None` for what is between tokens.
    pub(super) token: Option<usize>,
    /// The score of the token; `None` if it is not shown.
    pub(super) score: Option<f32>,
    pub(super) is_marked: bool,
}

/// What a token is shown as that adds no character to the text before it: one of several tokens of
/// one character.
const NO_CHARACTER: &str = "·";

/// Cuts a text into pieces. `marked` are the indices of marked tokens.
pub(super) fn pieces(text: &TextTokens, scores: &[f32], marked: &[usize]) -> Vec<Piece> {
    let characters: Vec<char> = text.text.chars().collect();
    let mut pieces = Vec::new();
    let mut shown = 0;
    let slice = |start: usize, end: usize| characters[start..end].iter().collect::<String>();
    for (index, (token, score)) in text.tokens.iter().zip(scores).enumerate() {
        let (start, end) = token.offsets.unwrap_or((shown, shown));
        let start = start.clamp(shown, characters.len());
        let end = end.clamp(start, characters.len());
        let between = slice(shown, start);
        if !between.is_empty() {
            pieces.push(plain(between));
        }
        let is_marked = marked.contains(&index);
        let own = slice(start, end);
        shown = end;
        if own.is_empty() && !is_marked {
            continue;
        }
        let own = if own.is_empty() {
            NO_CHARACTER.to_owned()
        } else {
            own
        };
        pieces.push(Piece {
            text: own,
            token: Some(index),
            score: Some(*score),
            is_marked,
        });
    }
    let rest = slice(shown, characters.len());
    if !rest.is_empty() {
        pieces.push(plain(rest));
    }
    pieces
}

fn plain(text: String) -> Piece {
    Piece {
        text,
        token: None,
        score: None,
        is_marked: false,
    }
}

#[cfg(test)]
mod tests {
    use whence_engine::Token;

    use super::*;

    #[test]
    fn pieces_are_the_text_and_every_marked_token_is_shown() {
        let token = |offsets| Token {
            id: None,
            text: String::new(),
            offsets: Some(offsets),
        };
        let text = TextTokens {
            text: "le 日 là.".to_owned(),
            // The second character is three tokens.
            tokens: [(0, 2), (3, 4), (3, 4), (3, 4), (5, 7)].map(token).to_vec(),
        };
        let cut = pieces(&text, &[0.1, 0.2, 0.3, 0.4, 0.5], &[2, 4]);
        let shown: Vec<_> = cut.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(shown, ["le", " ", "日", "·", " ", "là", "."]);
        let marked: Vec<_> = cut.iter().filter(|piece| piece.is_marked).collect();
        assert_eq!(marked.len(), 2);
        assert_eq!((marked[0].score, marked[1].score), (Some(0.3), Some(0.5)));
    }
}
