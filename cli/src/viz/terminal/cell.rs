//! A table cell on a terminal: its text, its width on the screen and its colors.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::viz::color::Colors;

/// A cell of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    /// Width in terminal columns.
    pub(super) width: usize,
    paint: Paint,
}

/// How a cell is painted.
#[derive(Debug, Clone, Copy, Default)]
enum Paint {
    #[default]
    Plain,
    Bold,
    /// The color of a score with this share of the largest one.
    Share(f64),
}

impl Cell {
    /// Makes a cell without colors.
    pub(super) fn plain(text: &str) -> Self {
        Self::new(text, Paint::Plain)
    }

    /// Makes a cell in bold.
    pub(super) fn bold(text: &str) -> Self {
        Self::new(text, Paint::Bold)
    }

    /// Makes a cell with the color of a score that has this share of the largest one.
    pub(super) fn shaded(text: &str, share: f64) -> Self {
        Self::new(text, Paint::Share(share))
    }

    fn new(text: &str, paint: Paint) -> Self {
        Self {
            width: text.width(),
            text: text.to_owned(),
            paint,
        }
    }

    /// Returns the cell with its text aligned to the right of `width` columns, which must be enough
    /// for it, and a blank on both sides.
    pub(super) fn right(&self, width: usize, colors: Colors) -> String {
        self.painted(width - self.width, 0, colors)
    }

    /// Returns the cell with its text centered in `width` columns, which must be enough for it, and a
    /// blank on both sides.
    pub(super) fn centered(&self, width: usize, colors: Colors) -> String {
        let free = width - self.width;
        self.painted(free / 2, free - free / 2, colors)
    }

    /// Returns the text between blanks. A background covers the whole cell, the blanks included.
    fn painted(&self, left: usize, right: usize, colors: Colors) -> String {
        let (left, right) = (" ".repeat(left + 1), " ".repeat(right + 1));
        match self.paint {
            Paint::Plain => format!("{left}{}{right}", self.text),
            Paint::Bold => format!("{left}{}{right}", colors.bold(&self.text)),
            Paint::Share(share) => colors.paint(&format!("{left}{}{right}", self.text), share),
        }
    }
}

/// Returns `text` if it fits into `width` columns, and otherwise its beginning with `…`.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |character: &char| {
        used += character.width().unwrap_or_default();
        used <= width
    };
    let beginning: String = text.chars().take_while(fits).collect();
    format!("{beginning}…")
}
