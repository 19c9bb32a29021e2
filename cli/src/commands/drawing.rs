//! Heatmaps and context attributions on standard output.

use crate::args::PictureOptions;
use crate::viz::context::ContextView;
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

/// Draws a context attribution as marked texts.
pub(super) fn draw_context(view: &ContextView) -> Result<(), Failure> {
    let drawn = viz::context::render(view, Colors::of_stdout());
    output::line(drawn.trim_end())
}
