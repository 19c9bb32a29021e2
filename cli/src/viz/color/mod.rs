//! The colors of scores: blue for negative ones, red for positive ones, stronger for larger ones.
//!
//! A score's color is the paper's, mixed with blue or red by the share of the largest score that the
//! score has; on light paper blue and red are those of Inseq's pages. The text on it is black or
//! white, whichever contrasts more. One of the two always contrasts by 4.5 to 1 or more, which is what
//! the Web Content Accessibility Guidelines ask for.

mod terminal;
mod theme;

pub use terminal::Colors;
pub(super) use theme::{Hue, Shade};
pub use theme::{Rgb, Theme};
