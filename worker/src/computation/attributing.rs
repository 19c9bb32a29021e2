//! Jobs that attribute the target of each row.

use arrow::array::{RecordBatch, StructArray};
use arrow::error::ArrowError;
use whence_engine::{Attribution, Example, InputKind};
use whence_schemas::{JobSpec, RowError};

use super::{Bound, Computation, Results, check_texts, failure, input_text, outcome};
use crate::error::Failure;
use crate::input::InputRow;
use crate::table::{self, TableRow};

/// Attributes targets.
#[derive(Debug)]
pub(crate) struct Attributing;

impl Computation for Attributing {
    type Example = Example;
    type Output = Attribution;

    fn example(row: &InputRow, spec: &JobSpec) -> Result<Example, RowError> {
        let input_text = input_text(row)?;
        let dataset = &spec.dataset;
        check_texts(&[
            ("generated", &dataset.generated_field, &row.generated_text),
            (
                "contrast source",
                &dataset.contrast_source_field,
                &row.contrast_source,
            ),
            (
                "contrast target",
                &dataset.contrast_target_field,
                &row.contrast_target,
            ),
        ])?;
        Ok(Example {
            id: row.example_id,
            input_text,
            input_kind: if row.is_messages {
                InputKind::Messages
            } else {
                InputKind::Text
            },
            generated_text: row.generated_text.clone(),
            contrast_source: row.contrast_source.clone(),
            contrast_target: row.contrast_target.clone(),
        })
    }

    fn id(example: &Example) -> i64 {
        example.id
    }

    /// Text has about four bytes per token, and a target that is yet to be generated is taken to be
    /// as long as its source.
    fn estimated_tokens(example: &Example) -> usize {
        let target = example
            .generated_text
            .as_ref()
            .map_or(example.input_text.len(), String::len);
        (example.input_text.len() + target) / 4 + 2
    }

    fn compute(bound: &Bound<'_>, examples: &[Example]) -> Result<Results<Attribution>, Failure> {
        let attributor = bound
            .engine
            .prepare(bound.attribution)
            .map_err(|error| failure(&error))?
            .with_seed(bound.spec.seed)
            .with_stop(bound.stop.clone());
        let attributor = match bound.memory {
            Some(bytes) => attributor.with_memory(bytes),
            None => attributor,
        };
        let samples = |samples: Vec<_>| samples.into_iter().map(outcome).collect();
        let results = attributor.attribute_samples(examples);
        results.into_iter().map(samples).collect()
    }

    fn num_tokens(attribution: &Attribution) -> usize {
        attribution.num_tokens()
    }

    fn is_forced(attribution: &Attribution) -> bool {
        attribution.forced
    }

    /// Refuses scores with more than one value per token.
    fn storable(attribution: Attribution) -> Result<Attribution, RowError> {
        let mut sides = attribution
            .steps
            .iter()
            .flat_map(|step| [&step.source, &step.target])
            .flatten();
        let is_raw = sides.any(|scores| !scores.row_shape.is_empty());
        // Ends the borrow of `attribution`, which is returned below.
        drop(sides);
        if is_raw {
            return Err(RowError::new(
                "not_aggregated",
                "the scores are not aggregated to one per token; name as many aggregators as the method has axes",
            ));
        }
        Ok(attribution)
    }

    fn encode(
        rows: &[TableRow],
        spec: &JobSpec,
        columns: Option<&StructArray>,
    ) -> Result<RecordBatch, ArrowError> {
        table::encode(rows, &spec.attribution.step_score_labels(), columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_row_without_text_says_so() {
        let row = InputRow {
            input_text: None,
            ..testing::row(1, "")
        };
        let generates = testing::spec();
        let mut forces = generates.clone();
        forces.dataset.generated_field = Some("target".to_owned());
        let example = Attributing::example;
        assert_eq!(example(&row, &generates).unwrap_err().code, "missing_text");
        let row = InputRow {
            input_text: Some("a".to_owned()),
            ..row
        };
        assert!(example(&row, &generates).is_ok());
        assert_eq!(
            example(&row, &forces).unwrap_err().message,
            "the row has no generated text"
        );
    }
}
