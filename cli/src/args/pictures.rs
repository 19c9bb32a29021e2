//! Flags that say how heatmaps are drawn on the terminal.

use clap::Args;

use crate::viz::{ColorScale, View};

/// How heatmaps are drawn on the terminal.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Heatmaps on the terminal")]
pub struct PictureOptions {
    /// What is drawn: the table of scores, or the text with its tokens tinted.
    #[arg(long, value_enum, default_value_t)]
    pub view: View,
    /// Scores that share one scale of colors. The largest of them has the strongest color.
    #[arg(long, value_enum, default_value_t, value_name = "SCORES")]
    pub color_scale: ColorScale,
    /// Write tokens as in the vocabulary (`Ġthe`), not decoded.
    #[arg(long)]
    pub raw_tokens: bool,
}
