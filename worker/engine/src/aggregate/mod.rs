//! Inseq's aggregators: from raw scores to the scores of the table.
//!
//! A pipeline is a list of stages. The stage `scores` reduces each token's raw scores, a vector or
//! a table of layers and heads, by one axis. It is the only stage that needs just one step at a
//! time. Every `scores` stage before the first stage of another kind therefore runs while the
//! scores are computed, so that a raw gradient is freed before the next one arrives. The other
//! stages need the whole [`crate::Attribution`] and may change its tokens: `spans`, `subwords` and `split`
//! merge tokens, `slices` drops some. `pair` needs a second attribution.
//!
//! The name of a function (`vnorm`, `mean`, …) is short for `scores` with that function, as in
//! Inseq.

mod aggregators;
mod pipeline;
mod raw;

mod aggregator;
mod cells;
mod normalize;
mod rescale;
mod scores;
mod stage;

mod characters;
mod merge;
mod segments;
mod slices;
mod span;
mod spans;
mod split;
mod subwords;

mod pair;
mod weight_attributions;

pub use crate::kernels::reduction::Reduction;
pub use aggregator::{Aggregator, ColumnValue, Context, Defaults};
pub use aggregators::AGGREGATORS;
pub use pair::{pair, pair_with};
pub use pipeline::Pipeline;
pub use raw::{RawScores, RawSequenceScores, StepScores};
pub use stage::Stage;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
