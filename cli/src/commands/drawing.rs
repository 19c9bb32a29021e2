//! Heatmaps on standard output.

use crate::args::PictureOptions;
use crate::viz::{Colors, Heatmap, Style, TokenText};
use crate::{Failure, output, viz};

/// Draws the heatmaps of one example, in the colors and to the width of standard output.
pub(super) fn draw(heatmaps: &[Heatmap], options: PictureOptions) -> Result<(), Failure> {
    let style = Style {
        view: options.view,
        width: output::width(),
        colors: Colors::of_stdout(),
        scale: options.color_scale,
        tokens: if options.raw_tokens {
            TokenText::Raw
        } else {
            TokenText::Decoded
        },
    };
    output::line(&viz::render(heatmaps, &style))
}
