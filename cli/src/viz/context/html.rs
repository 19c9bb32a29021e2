//! A context attribution as an HTML page in one file, readable in light and dark.
//!
//! Tokens are tinted by their scores, which show up under the pointer. Context-sensitive tokens of
//! the output lead to their cues.

use std::io::{self, Write};

use askama::Template;

use super::marks::Piece;
use super::view::{ContextView, TokenView, in_words};

/// The largest opacity of a tint, so that the text on it stays readable.
const MAX_OPACITY: f32 = 0.55;

#[derive(Template)]
#[template(path = "context_page.html")]
struct Page<'a> {
    view: &'a ContextView,
    facts: Vec<(&'static str, String)>,
    output: Vec<Shown<'a>>,
    tokens: Vec<Section<'a>>,
}

/// A context-sensitive token and its cues.
struct Section<'a> {
    number: usize,
    token: &'a str,
    score: String,
    alternative: Option<&'a str>,
    threshold: String,
    contexts: Vec<(&'static str, Vec<Shown<'a>>)>,
}

/// A piece of a text.
struct Shown<'a> {
    piece: &'a Piece,
    /// How strong its tint is; empty for what is between tokens.
    opacity: String,
    score: String,
    /// Number of the section that it leads to.
    section: Option<usize>,
}

/// Writes a page that shows `view`.
pub fn write_page(mut out: impl Write, view: &ContextView) -> io::Result<()> {
    let facts = facts(view);
    let sections = view.tokens.iter().enumerate();
    let mut output = tinted(&view.output, largest(&view.output));
    for shown in &mut output {
        let mut tokens = view.tokens.iter();
        let section = tokens.position(|token| Some(token.index) == shown.piece.token);
        shown.section = section.map(|index| index + 1);
    }
    let page = Page {
        view,
        facts,
        output,
        tokens: sections
            .map(|(index, token)| Section::new(index + 1, token))
            .collect(),
    };
    page.write_into(&mut out)?;
    out.flush()
}

/// Returns what was asked for, by name.
fn facts(view: &ContextView) -> Vec<(&'static str, String)> {
    let described = &view.description;
    vec![
        ("Model", described.model.clone()),
        ("Context sensitivity metric", described.metric.clone()),
        ("Attribution method", described.method.clone()),
        ("Attributed function", described.function.clone()),
        (
            "Context-sensitive tokens",
            format!(
                "{}: |score| ≥ {:.4}",
                in_words(&described.sensitivity),
                view.threshold
            ),
        ),
        ("Contextual cues", in_words(&described.cues)),
        ("Program", format!("whence {}", env!("CARGO_PKG_VERSION"))),
    ]
}

impl<'a> Section<'a> {
    /// Returns the section of a token. The tints of both contexts are comparable.
    fn new(number: usize, token: &'a TokenView) -> Self {
        let all = token.contexts.iter();
        let largest = largest(all.flat_map(|(_, pieces)| pieces));
        let contexts = token.contexts.iter();
        Self {
            number,
            token: &token.token,
            score: format!("{:.3}", token.score),
            alternative: token.alternative.as_deref(),
            threshold: format!("{:.3}", token.threshold),
            contexts: contexts
                .map(|(name, pieces)| (*name, tinted(pieces, largest)))
                .collect(),
        }
    }
}

/// Returns the largest absolute value of the scores.
fn largest<'p>(pieces: impl IntoIterator<Item = &'p Piece>) -> f32 {
    let scores = pieces.into_iter().filter_map(|piece| piece.score);
    scores.fold(0.0, |largest, score| largest.max(score.abs()))
}

/// Returns the pieces with tints relative to the score `largest`.
fn tinted(pieces: &[Piece], largest: f32) -> Vec<Shown<'_>> {
    let pieces = pieces.iter();
    pieces.map(|piece| Shown::new(piece, largest)).collect()
}

impl<'a> Shown<'a> {
    /// Returns the piece with a tint relative to the score `largest`.
    fn new(piece: &'a Piece, largest: f32) -> Self {
        let share = |score: f32| match score.abs() / largest {
            share if share.is_finite() => share,
            // All scores are 0.
            _ => 0.0,
        };
        let number = |shown: &dyn Fn(f32) -> String| piece.score.map_or(String::new(), shown);
        Self {
            piece,
            opacity: number(&|score| format!("{:.2}", MAX_OPACITY * share(score))),
            score: number(&|score| format!("{score:.4}")),
            section: None,
        }
    }
}
