//! A table cell on a terminal: its painted text and its width on the screen.

use unicode_width::UnicodeWidthStr;

/// A cell of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    painted: String,
    /// Width in terminal columns. Color codes take up none, so they are not counted.
    pub(super) width: usize,
}

impl Cell {
    /// Makes a cell that shows `text`; `paint` adds the color codes.
    pub(super) fn new(text: &str, paint: impl FnOnce(&str) -> String) -> Self {
        Self {
            width: text.width(),
            painted: paint(text),
        }
    }

    /// Makes a cell without colors.
    pub(super) fn plain(text: &str) -> Self {
        Self::new(text, str::to_owned)
    }

    /// Returns the text aligned to the right of `width` columns, which must be enough for it.
    pub(super) fn right(&self, width: usize) -> String {
        format!("{}{}", " ".repeat(width - self.width), self.painted)
    }

    /// Returns the text centered in `width` columns, which must be enough for it.
    pub(super) fn centered(&self, width: usize) -> String {
        let free = width - self.width;
        let left = free / 2;
        format!(
            "{}{}{}",
            " ".repeat(left),
            self.painted,
            " ".repeat(free - left)
        )
    }
}
