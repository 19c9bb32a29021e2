//! Wildcards within one name of a path: `*`, `?`, `[a-z]` and `[!a-z]`.

/// A part of a pattern for one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    One(char),
    AnyOne,
    AnyRun,
    Set {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Parses the pattern of one name.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let chars: Vec<char> = text.chars().collect();
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        at += 1;
        pieces.push(match c {
            '*' => Piece::AnyRun,
            '?' => Piece::AnyOne,
            '[' => match set(&chars[at..]) {
                Some((set, len)) => {
                    at += len;
                    set
                }
                None => Piece::One('['),
            },
            _ => Piece::One(c),
        });
    }
    pieces
}

/// Parses the set that `chars` begins with, after its `[`. Returns it and its length with the `]`;
/// `None` if it is never closed.
fn set(chars: &[char]) -> Option<(Piece, usize)> {
    let is_negated = chars.first() == Some(&'!');
    let start = usize::from(is_negated);
    // A `]` that comes first is one of the characters.
    let first = start + usize::from(chars.get(start) == Some(&']'));
    let end = first + chars.get(first..)?.iter().position(|&c| c == ']')?;
    let mut ranges = Vec::new();
    let mut rest = &chars[start..end];
    while let Some((&from, others)) = rest.split_first() {
        if let ['-', to, others @ ..] = others {
            // A range that goes backward holds nothing.
            if from <= *to {
                ranges.push((from, *to));
            }
            rest = others;
        } else {
            ranges.push((from, from));
            rest = others;
        }
    }
    Some((Piece::Set { is_negated, ranges }, end + 1))
}

impl Piece {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::One(one) => *one == c,
            Self::AnyOne => true,
            Self::AnyRun => false,
            Self::Set { is_negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *is_negated
            }
        }
    }
}

/// Returns whether a name consists of `pieces`. Goes through the name once, and returns to the last
/// `*` when what follows it does not fit.
pub(super) fn matches_name(pieces: &[Piece], name: &[char]) -> bool {
    let (mut piece, mut at) = (0, 0);
    let mut last_run: Option<(usize, usize)> = None;
    while at < name.len() {
        match pieces.get(piece) {
            Some(Piece::AnyRun) => {
                last_run = Some((piece, at));
                piece += 1;
            }
            Some(one) if one.takes(name[at]) => {
                piece += 1;
                at += 1;
            }
            _ => {
                let Some((run, start)) = last_run else {
                    return false;
                };
                last_run = Some((run, start + 1));
                piece = run + 1;
                at = start + 1;
            }
        }
    }
    pieces[piece..].iter().all(|piece| *piece == Piece::AnyRun)
}
