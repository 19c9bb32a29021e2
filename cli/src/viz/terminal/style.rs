//! How heatmaps are drawn on a terminal.

use clap::ValueEnum;

use crate::viz::color::Colors;
use crate::viz::heatmap::ColorScale;
use crate::viz::label::Label;

/// How heatmaps are drawn on a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// What is drawn.
    pub view: View,
    /// The width that lines are folded to; `None` if they are not.
    pub width: Option<usize>,
    /// The colors of the terminal.
    pub colors: Colors,
    /// Which scores share one scale of colors.
    pub scale: ColorScale,
    /// How tokens are written.
    pub tokens: TokenText,
}

/// What is drawn of an attribution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// A table with one row per attributed token and one column per generated token.
    #[default]
    Matrix,
    /// The text with its tokens tinted, once for each generated token.
    Text,
}

/// How tokens are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenText {
    /// Decoded, with `▁` for a blank.
    #[default]
    Decoded,
    /// As in the vocabulary.
    Raw,
}

impl TokenText {
    /// Returns what a token is written as.
    pub(in crate::viz) fn of(self, label: &Label) -> String {
        match self {
            Self::Decoded => label.shown(),
            Self::Raw => Label::of_raw(&label.raw).shown(),
        }
    }
}
