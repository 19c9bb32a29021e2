//! Unnests the scores between tokens of one sequence: `sequence_scores`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Int32Array, RecordBatch, StringViewArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{Int32Type, SchemaRef};
use arrow::error::ArrowError;
use whence_schemas::output;

use super::nested::{Elements, lists, span, wrong};
use super::rows::LongRows;

/// Returns one row per score.
pub(super) fn unnest(slots: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let queries = Elements::new(slots, output::SEQUENCE_SCORES)?;
    let scores = queries.scores(output::SCORES)?;
    let (mut examples, mut indices) = (Vec::new(), Vec::new());
    let (mut positions, mut values) = (Vec::new(), Vec::new());
    for example in 0..slots.num_rows() {
        for query in queries.of(example) {
            let of_query = scores.of(query);
            examples.resize(examples.len() + of_query.len(), example as u32);
            indices.resize(indices.len() + of_query.len(), query as u32);
            positions.extend(0..of_query.len() as i32);
            values.extend_from_slice(of_query);
        }
    }
    let (examples, indices) = (UInt32Array::from(examples), UInt32Array::from(indices));
    let (positions, values) = (Int32Array::from(positions), Float32Array::from(values));
    let query_positions = take(queries.field(output::POSITION)?, &indices, None)?;
    let sides = take(queries.field(output::SIDE)?, &indices, None)?;
    let sides = sides
        .as_string_view_opt()
        .ok_or_else(|| wrong(output::SIDE))?;
    let own = |name: &str| -> Result<Option<ArrayRef>, ArrowError> {
        Ok(Some(match name {
            "target_position" => Arc::clone(&query_positions),
            "target_token" => {
                let positions = query_positions.as_primitive::<Int32Type>();
                tokens(slots, &examples, sides, positions)?
            }
            "source_position" => Arc::new(positions.clone()),
            "source_token" => tokens(slots, &examples, sides, &positions)?,
            "score" => Arc::new(values.clone()),
            _ => return Ok(None),
        }))
    };
    let rows = LongRows {
        slots,
        examples: &examples,
        elements: Some((queries.all, &indices)),
    };
    rows.build(schema, own)
}

/// Returns the tokens at `positions`, on the side that each row names; null beyond the last one.
fn tokens(
    slots: &RecordBatch,
    examples: &UInt32Array,
    sides: &StringViewArray,
    positions: &Int32Array,
) -> Result<ArrayRef, ArrowError> {
    let source = lists(slots, output::SOURCE_TOKENS)?;
    let target = lists(slots, output::TARGET_TOKENS)?;
    // Both sides' tokens in one array, so that one index names a token.
    let all = arrow::compute::concat(&[source.values().as_ref(), target.values().as_ref()])?;
    let index = |row: usize| {
        let example = examples.value(row) as usize;
        let (span, before) = if sides.value(row) == output::SIDE_SOURCE {
            (span(source, example), 0)
        } else {
            (span(target, example), source.values().len())
        };
        let index = span.start + positions.value(row) as usize;
        (index < span.end).then_some((before + index) as u32)
    };
    let indices = UInt32Array::from_iter((0..examples.len()).map(index));
    take(&all, &indices, None)
}
