//! Unnests one batch of slots into one part of a long table.

use std::ops::Range;

use arrow::array::{Array, AsArray, ListArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use whence_schemas::output;

use super::contexts::{self, Context};
use super::{scores, sequences, steps, token_sums, tokens, word_scores};
use crate::query::order::Order;
use crate::query::views::view::LongTableKind;

/// Rows of a long table that one batch aims at. Much smaller batches cost overhead, much larger ones
/// memory.
const BATCH_ROWS: usize = 16_384;

/// What is unnested into which columns.
#[derive(Debug, Clone)]
pub(super) struct What {
    pub(super) kind: LongTableKind,
    /// Sides, step scores or contexts; each has rows of its own.
    pub(super) parts: Vec<String>,
    /// The largest rank that is wanted; none if all are.
    pub(super) most: Option<u32>,
    pub(super) schema: SchemaRef,
    pub(super) order: Order,
}

/// Returns the rows of the part at index `part`: of a side, a step score or a context, or the whole table
/// if it has only one part.
pub(super) fn unnest(
    what: &What,
    part: usize,
    slots: &RecordBatch,
) -> Result<RecordBatch, ArrowError> {
    let part = what.parts[part].as_str();
    let schema = &what.schema;
    let side = if part == output::SIDE_SOURCE {
        output::SIDE_SOURCE
    } else {
        output::SIDE_TARGET
    };
    match what.kind {
        LongTableKind::Tokens => tokens::unnest(slots, side, schema),
        LongTableKind::Steps => steps::unnest(slots, schema),
        LongTableKind::StepScores => steps::unnest_score(slots, part, schema),
        LongTableKind::Attributions | LongTableKind::Alignments => {
            scores::unnest(slots, side, what.most, schema)
        }
        LongTableKind::TokenStats => token_sums::unnest(slots, side, schema),
        LongTableKind::WordAttributions => word_scores::unnest(slots, side, schema),
        LongTableKind::SequenceScores => sequences::unnest(slots, schema),
        LongTableKind::ContextSensitiveTokens => contexts::unnest_tokens(slots, schema),
        LongTableKind::ContextAttributions => {
            contexts::unnest_scores(slots, Context::named(part), schema)
        }
    }
}

/// Cuts a batch of slots into ranges of examples with about [`BATCH_ROWS`] long rows each. The parts
/// of a range follow one another, so an order by example needs ranges of one example. Sums have fewer
/// rows the more examples they are of.
pub(super) fn pieces(slots: &RecordBatch, what: &What) -> Vec<Range<usize>> {
    let rows = slots.num_rows();
    if what.kind == LongTableKind::TokenStats {
        return std::iter::once(0..rows).collect();
    }
    // The longest list tells how many long rows there are at most: that of the scores if it is read.
    let values = slots
        .columns()
        .iter()
        .map(|column| column.as_list_opt::<i32>().map_or(0, num_values));
    let long_rows = values.max().unwrap_or(0).max(1);
    let step = match what.order {
        Order::Stored => 1,
        Order::Any => (rows * BATCH_ROWS / long_rows).clamp(1, rows.max(1)),
    };
    (0..rows)
        .step_by(step)
        .map(|start| start..rows.min(start + step))
        .collect()
}

/// Returns the number of values in lists, and in the longest lists inside them.
fn num_values(lists: &ListArray) -> usize {
    let own = lists.values().len();
    let Some(structs) = lists.values().as_struct_opt() else {
        return own;
    };
    let inner = structs.columns().iter();
    let inner = inner.map(|column| {
        column
            .as_list_opt::<i32>()
            .map_or(0, |lists| lists.values().len())
    });
    inner.max().unwrap_or(0).max(own)
}
