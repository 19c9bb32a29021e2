//! Unnests the steps themselves: `steps` and `step_scores`.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use whence_schemas::output;

use super::nested::{Elements, wrong};
use super::rows::{LongRows, constant};

/// Returns one row per step.
pub(super) fn unnest(slots: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let steps = Elements::new(slots, output::STEPS)?;
    let (examples, indices) = pairs(slots, &steps, |_| true);
    let rows = LongRows {
        slots,
        examples: &examples,
        elements: Some((steps.all, &indices)),
    };
    rows.build(schema, |_| Ok(None))
}

/// Returns one row per step that has the step score `name`.
pub(super) fn unnest_score(
    slots: &RecordBatch,
    name: &str,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let steps = Elements::new(slots, output::STEPS)?;
    let structs = steps.field(output::STEP_SCORES)?.as_struct_opt();
    let structs = structs.ok_or_else(|| wrong(output::STEP_SCORES))?;
    let scores = structs.column_by_name(name).ok_or_else(|| wrong(name))?;
    // In the slots of a job without step scores the struct itself is null.
    let is_recorded = |step: usize| structs.is_valid(step) && scores.is_valid(step);
    let (examples, indices) = pairs(slots, &steps, is_recorded);
    let own = |column: &str| -> Result<Option<ArrayRef>, ArrowError> {
        Ok(match column {
            "name" => Some(constant(name, examples.len())),
            "score" => Some(take(scores, &indices, None)?),
            _ => None,
        })
    };
    let rows = LongRows {
        slots,
        examples: &examples,
        elements: Some((steps.all, &indices)),
    };
    rows.build(schema, own)
}

/// Returns the example and the index of each step that `is_wanted`.
fn pairs(
    slots: &RecordBatch,
    steps: &Elements,
    is_wanted: impl Fn(usize) -> bool,
) -> (UInt32Array, UInt32Array) {
    let mut examples = Vec::with_capacity(steps.all.len());
    let mut indices = Vec::with_capacity(steps.all.len());
    for example in 0..slots.num_rows() {
        for step in steps.of(example).filter(|step| is_wanted(*step)) {
            examples.push(example as u32);
            indices.push(step as u32);
        }
    }
    (examples.into(), indices.into())
}
