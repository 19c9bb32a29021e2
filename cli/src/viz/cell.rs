//! One cell of a table on a terminal: how it looks, and how wide that is.

use unicode_width::UnicodeWidthStr;

/// Text of one cell: how it looks, and how wide that is.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    painted: String,
    /// Columns of the terminal, which colors take none of.
    pub(super) width: usize,
}

impl Cell {
    /// Makes a cell of `text`, painted by `paint`.
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

    /// Returns the text at the right of `width` columns.
    pub(super) fn right(&self, width: usize) -> String {
        format!("{}{}", " ".repeat(width - self.width), self.painted)
    }

    /// Returns the text in the middle of `width` columns.
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
