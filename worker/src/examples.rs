//! Turns the rows of a shard into examples, and cuts them into groups that are attributed together.

use std::ops::Range;

use whence_engine::{Attribution, Example, InputKind};
use whence_schemas::{DatasetSource, RowError};

use crate::input::InputRow;

/// Returns the example that a row describes. Fails with the row's error if the row could not be
/// read or lacks a text that the job needs.
pub(crate) fn example(row: &InputRow, dataset: &DatasetSource) -> Result<Example, RowError> {
    let error = |code: &str, message: String| {
        Err(RowError {
            code: code.to_owned(),
            message,
        })
    };
    if let Some(reason) = &row.row_error {
        return error("unreadable_row", reason.clone());
    }
    let Some(input_text) = row.input_text.clone() else {
        return error("missing_text", "the row has no input text".to_owned());
    };
    let optional = [
        (&dataset.generated_field, &row.generated_text, "generated"),
        (
            &dataset.contrast_source_field,
            &row.contrast_source,
            "contrast source",
        ),
        (
            &dataset.contrast_target_field,
            &row.contrast_target,
            "contrast target",
        ),
    ];
    if let Some((.., which)) = optional
        .into_iter()
        .find(|(field, text, _)| field.is_some() && text.is_none())
    {
        return error("missing_text", format!("the row has no {which} text"));
    }
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

/// Refuses scores that the table cannot store: those with more than one value per token.
pub(crate) fn storable(attribution: Attribution) -> Result<Attribution, RowError> {
    let mut sides = attribution
        .steps
        .iter()
        .flat_map(|step| [&step.source, &step.target])
        .flatten();
    let is_raw = sides.any(|scores| !scores.row_shape.is_empty());
    // Ends the borrow of `attribution`, which is returned below.
    drop(sides);
    if is_raw {
        let message = "the scores are not aggregated to one per token; name as many aggregators as the method has axes";
        return Err(RowError {
            code: "not_aggregated".to_owned(),
            message: message.to_owned(),
        });
    }
    Ok(attribution)
}

/// Cuts rows into groups of consecutive rows, each with at most about `max_tokens` tokens and
/// `max_size` rows. Groups keep the order of the rows, so that a task that must end has finished
/// the first rows of its shard.
///
/// Nothing is padded, so the lengths in a group may differ. The exact number of tokens is known
/// only after tokenizing; the length of the texts is a good enough estimate.
pub(crate) fn groups(
    rows: &[Result<Example, RowError>],
    max_tokens: usize,
    max_size: usize,
) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut tokens = 0;
    for (index, row) in rows.iter().enumerate() {
        // A bad row is not computed, so it costs nothing.
        let own = row.as_ref().map_or(0, estimated_tokens);
        match groups.last_mut() {
            Some(group) if tokens + own <= max_tokens && group.len() < max_size => {
                tokens += own;
                group.end = index + 1;
            }
            _ => {
                tokens = own;
                groups.push(index..index + 1);
            }
        }
    }
    groups
}

/// Estimates an example's number of tokens. Text has about four bytes per token, and a target that
/// is yet to be generated is taken to be as long as its source.
fn estimated_tokens(example: &Example) -> usize {
    let target = example
        .generated_text
        .as_ref()
        .map_or(example.input_text.len(), String::len);
    (example.input_text.len() + target) / 4 + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn of_length(id: i64, bytes: usize) -> Example {
        Example::new(id, &"x".repeat(bytes)).with_generated_text("")
    }

    #[test]
    fn groups_are_consecutive_rows_within_the_budget() {
        let unreadable = Err(RowError {
            code: "unreadable_row".to_owned(),
            message: String::new(),
        });
        let rows = [
            Ok(of_length(0, 40)),
            Ok(of_length(1, 8)),
            unreadable,
            Ok(of_length(3, 400)),
            Ok(of_length(4, 8)),
        ];
        assert_eq!(groups(&rows, 30, 64), [0..3, 3..4, 4..5]);
        assert_eq!(groups(&rows, 1000, 2), [0..2, 2..4, 4..5]);
    }

    #[test]
    fn a_row_without_text_says_so() {
        let row = InputRow {
            input_text: None,
            ..testing::row(1, "")
        };
        let generates = testing::spec().dataset;
        let forces = DatasetSource {
            generated_field: Some("target".to_owned()),
            ..generates.clone()
        };
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
