//! Draws heatmaps on a terminal.
//!
//! [`View::Matrix`] is a table of colored numbers, in the style that `rich` gives Inseq's tables;
//! [`View::Text`] is the running text with its tokens tinted, one paragraph per generated token.

mod cell;
mod legend;
mod matrix;
mod style;
mod text;

use super::heatmap::Heatmap;

pub use style::{Style, TokenText, View};

/// Draws the heatmaps of one example. Ends with a newline.
pub fn render(heatmaps: &[Heatmap], style: &Style) -> String {
    let mut drawn = match style.view {
        View::Matrix => {
            let tables = heatmaps.iter().map(|heatmap| matrix::draw(heatmap, style));
            tables.collect::<Vec<_>>().join("\n")
        }
        View::Text => text::draw(heatmaps, style),
    };
    drawn.push_str(&legend::line(heatmaps, style));
    drawn
}
