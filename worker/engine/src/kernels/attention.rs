//! Attention of sequences of different lengths; `backward` is its vector–Jacobian product.
//!
//! The sequences of a batch lie one after another in the rows of the projections. A sequence's
//! queries attend to its own keys only, so there is no padding, and a sequence gets the same bits as
//! in a batch of its own.

mod trace;

mod columns;
mod forward;
mod head_rows;
mod mix;
mod unkept;

mod backward;
mod removal;
mod weights;

pub(crate) use backward::{AttentionCotangents, num_key_rows, vjp};
pub(crate) use forward::forward;
pub(crate) use removal::{KeyHeads, Pair, remove_values, value_outputs};
pub(crate) use trace::{
    Attention, AttentionTrace, Columns, ExplainedQueries, Heads, Projections, lay_out,
};
pub(crate) use unkept::forward_unkept;
pub(crate) use weights::{QueryRow, weights_of_query};
