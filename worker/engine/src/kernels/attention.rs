//! Attention of ragged sequences; `backward` is its vector–Jacobian product.
//!
//! Sequences of a batch lie one after another in the rows of the projections; a sequence's queries
//! meet only its own keys, so no padding exists and a sequence gets the bits it gets alone.

mod trace;

mod columns;
mod forward;
mod mix;

mod backward;
mod removal;

pub(crate) use backward::{AttentionCotangents, num_key_rows, vjp};
pub(crate) use forward::forward;
pub(crate) use removal::{KeyHeads, Pair, remove_values, value_outputs};
pub(crate) use trace::{AttentionTrace, Columns, ExplainedQueries, Heads, Projections, lay_out};
