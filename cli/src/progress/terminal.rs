//! Whether there is a terminal to draw on.

use std::io::{self, IsTerminal};

/// Returns whether standard error is a terminal that can redraw a line.
pub(super) fn can_move_its_cursor() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
