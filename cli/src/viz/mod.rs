//! Pictures of attributions.
//!
//! A [`Heatmap`] holds the contents, which `tables` takes from an attribution; `label` decodes its
//! tokens. `terminal` draws it as a table of colored numbers or as tinted text, `html` as a page.
//! Colors come from `color`. `context` shows context attributions as running texts.

mod color;
pub mod context;
mod heatmap;
pub mod html;
mod label;
mod tables;
mod terminal;

pub use color::{Colors, Rgb, Theme};
pub use heatmap::{Axes, ColorScale, Column, Heatmap, HeatmapRow};
pub use label::Label;
pub use tables::heatmaps;
pub use terminal::{Style, TokenText, View, render};
