//! One example of a page: its texts, its output with tints, and the cues of each context-sensitive
//! token.

use askama::Template;
use whence_schemas::RowId;

use super::tints::class;
use crate::viz::color::Hue;
use crate::viz::context::marks::Piece;
use crate::viz::context::view::{ContextView, TokenView};
use crate::viz::heatmap::{self, share};

use super::tints::TINTS;

#[derive(Template)]
#[template(path = "context/example.html")]
pub(super) struct Example<'a> {
    /// Its name, if the page has several.
    name: Option<String>,
    /// What the names of its anchors begin with.
    anchor: String,
    view: &'a ContextView,
    threshold: String,
    /// The largest score of the output.
    largest: String,
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
    /// The class of its tint; empty for what is between tokens.
    class: String,
    score: String,
    /// Number of the section that it leads to.
    section: Option<usize>,
}

impl<'a> Example<'a> {
    /// Describes how `view` is shown, on a page of its own if it has no `id`.
    pub(super) fn new(id: Option<RowId>, view: &'a ContextView) -> Self {
        let strongest = largest(&view.output);
        let mut output = tinted(&view.output, strongest, Hue::Sensitive);
        for shown in &mut output {
            let mut tokens = view.tokens.iter();
            let section = tokens.position(|token| Some(token.index) == shown.piece.token);
            shown.section = section.map(|index| index + 1);
        }
        let sections = view.tokens.iter().enumerate();
        Self {
            name: id.map(|id| id.to_string()),
            anchor: id.map_or_else(String::new, |id| {
                format!("example-{}-{}-", id.example, id.sample)
            }),
            view,
            threshold: format!("{:.3}", view.threshold),
            largest: format!("{strongest:.3}"),
            output,
            tokens: sections
                .map(|(index, token)| Section::new(index + 1, token))
                .collect(),
        }
    }
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
                .map(|(name, pieces)| (*name, tinted(pieces, largest, Hue::Cue)))
                .collect(),
        }
    }
}

/// Returns the largest absolute value of the scores.
fn largest<'p>(pieces: impl IntoIterator<Item = &'p Piece>) -> f32 {
    heatmap::largest(pieces.into_iter().filter_map(|piece| piece.score))
}

/// Returns the pieces with tints relative to the score `largest`.
fn tinted(pieces: &[Piece], largest: f32, hue: Hue) -> Vec<Shown<'_>> {
    let pieces = pieces.iter();
    pieces
        .map(|piece| Shown::new(piece, largest, hue))
        .collect()
}

impl<'a> Shown<'a> {
    /// Returns the piece with a tint relative to the score `largest`.
    fn new(piece: &'a Piece, largest: f32, hue: Hue) -> Self {
        let tint = |score: f32| {
            let share = share(score, largest).abs();
            (share * f64::from(TINTS)).round() as u8
        };
        let number = |shown: &dyn Fn(f32) -> String| piece.score.map_or(String::new(), shown);
        Self {
            piece,
            class: number(&|score| class(hue, tint(score))),
            score: number(&|score| format!("{score:.4}")),
            section: None,
        }
    }
}
