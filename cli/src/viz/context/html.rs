//! A context attribution as an HTML page in one file, in light and dark.
//!
//! Tokens are tinted by their scores, which show up under the pointer. Context-sensitive tokens of
//! the output lead to their cues. The page is complete without its script, which only lets the reader
//! choose between light and dark. Tints are classes of its style, because the security policy forbids
//! styles at elements.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::LazyLock;

use askama::Template;

use super::marks::Piece;
use super::view::{ContextView, TokenView, in_words};
use crate::viz::color::{Hue, Shade, Theme};
use crate::viz::heatmap::{self, share};
use crate::viz::html::policy;

/// Number of tints between none and the strongest.
const TINTS: u8 = 20;

const SCRIPT: &str = concat!(
    "\"use strict\";\n{\n",
    include_str!("../../../templates/page/theme.js"),
    "startTheme(() => {});\n}\n"
);

#[derive(Template)]
#[template(path = "context_page.html")]
struct Page<'a> {
    policy: String,
    style: &'static str,
    script: &'static str,
    view: &'a ContextView,
    threshold: String,
    /// The largest score of the output.
    largest: String,
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
    /// The class of its tint; empty for what is between tokens.
    class: String,
    score: String,
    /// Number of the section that it leads to.
    section: Option<usize>,
}

/// Writes a page that shows `view`.
pub fn write_page(mut out: impl Write, view: &ContextView) -> io::Result<()> {
    static STYLE: LazyLock<String> = LazyLock::new(style);
    let sections = view.tokens.iter().enumerate();
    let strongest = largest(&view.output);
    let mut output = tinted(&view.output, strongest, Hue::Sensitive);
    for shown in &mut output {
        let mut tokens = view.tokens.iter();
        let section = tokens.position(|token| Some(token.index) == shown.piece.token);
        shown.section = section.map(|index| index + 1);
    }
    let page = Page {
        policy: policy(&STYLE, SCRIPT),
        style: &STYLE,
        script: SCRIPT,
        view,
        threshold: format!("{:.3}", view.threshold),
        largest: format!("{strongest:.3}"),
        facts: facts(view),
        output,
        tokens: sections
            .map(|(index, token)| Section::new(index + 1, token))
            .collect(),
    };
    page.write_into(&mut out)?;
    out.flush()
}

/// Returns the page's style: how it is laid out, and the tints in both themes.
fn style() -> String {
    let mut style = String::from(concat!(
        include_str!("../../../templates/page/base.css"),
        include_str!("../../../templates/page/context.css")
    ));
    for (root, theme) in [
        (":root", Theme::Light),
        (":root[data-theme=\"dark\"]", Theme::Dark),
    ] {
        style.push_str(&tints(root, theme));
    }
    let system = tints(":root:not([data-theme=\"light\"])", Theme::Dark);
    let _ = writeln!(style, "@media (prefers-color-scheme: dark) {{\n{system}}}");
    style
}

/// Returns the rules of the tints below `root`.
fn tints(root: &str, theme: Theme) -> String {
    let hex = |[r, g, b]: [u8; 3]| format!("#{r:02x}{g:02x}{b:02x}");
    let mut rules = String::new();
    for hue in [Hue::Sensitive, Hue::Cue] {
        for tint in 0..=TINTS {
            let weight = f64::from(tint) / f64::from(TINTS);
            let Shade { background, ink } = theme.tint(hue, weight);
            let (class, background, ink) = (class(hue, tint), hex(background), hex(ink));
            // Writing to a string cannot fail.
            let _ = writeln!(
                rules,
                "{root} .{class} {{ background: {background}; color: {ink}; }}"
            );
        }
    }
    rules
}

/// Returns the name of the class of a tint.
fn class(hue: Hue, tint: u8) -> String {
    match hue {
        Hue::Cue => format!("c{tint}"),
        _ => format!("s{tint}"),
    }
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
