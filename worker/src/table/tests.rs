//! Encoding and decoding agree, through Parquet and back, and errors name the damaged column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, RecordBatch, StringArray, new_null_array};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use whence_engine::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};
use whence_schemas::footer::{Footer, SlotKind};
use whence_schemas::{Attempt, Epoch, RowError, RowId, SlotId, output, slot_file};

use super::{TableRow, decode, encode};

mod json;

fn tokens(lengths: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Token>> {
    let offsets = option::of((0..1000_usize, 0..1000_usize));
    let token = (option::of(0..i32::MAX as u32), ".{0,4}", offsets);
    let token = token.prop_map(|(id, text, offsets)| Token { id, text, offsets });
    vec(token, lengths)
}

fn scores() -> impl Strategy<Value = ScoreRows> {
    vec(any::<f32>(), 0..5).prop_map(|values| ScoreRows {
        values,
        row_shape: Vec::new(),
    })
}

fn steps(num_functions: usize) -> impl Strategy<Value = Vec<StepAttribution>> {
    let contrast = option::of((option::of(0..i32::MAX as u32), ".{0,4}"));
    let step = (
        0..3_usize,
        option::of(scores()),
        option::of(scores()),
        vec(any::<f32>(), num_functions),
        contrast,
    );
    let step = step.prop_map(|(target_pos, source, target, step_scores, contrast)| {
        let offsets = None;
        StepAttribution {
            target_pos,
            source,
            target,
            step_scores,
            contrast: contrast.map(|(id, text)| Token { id, text, offsets }),
        }
    });
    vec(step, 0..4)
}

fn sequence_scores() -> impl Strategy<Value = Vec<SequenceScores>> {
    let columns = vec(scores(), 1..4);
    let named = |(number, (is_source, columns)): (usize, (bool, Vec<ScoreRows>))| SequenceScores {
        name: format!("attentions_{number}"),
        side: if is_source {
            Side::Source
        } else {
            Side::Target
        },
        columns,
    };
    vec((any::<bool>(), columns), 0..3)
        .prop_map(move |all| all.into_iter().enumerate().map(named).collect())
}

fn attributions(num_functions: usize) -> impl Strategy<Value = Attribution> {
    (
        (tokens(0..4), tokens(3..6), ".{0,8}", any::<bool>()),
        (0..9_usize, 0..9_usize),
        steps(num_functions),
        sequence_scores(),
    )
        .prop_map(
            |((source, target, generated_text, forced), positions, steps, sequences)| Attribution {
                source,
                target,
                generated_text,
                forced,
                attr_pos_start: positions.0,
                attr_pos_end: positions.1,
                steps,
                sequence_scores: sequences,
            },
        )
}

fn rows(num_functions: usize) -> impl Strategy<Value = Vec<TableRow>> {
    let error = ("[a-z_]{1,9}", ".{0,9}").prop_map(|(code, message)| RowError { code, message });
    let result = prop_oneof![
        3 => attributions(num_functions).prop_map(Ok),
        1 => error.prop_map(Err),
    ];
    let row = (
        any::<i64>(),
        0..9_i32,
        option::of(".{0,9}"),
        any::<bool>(),
        result,
    );
    let row = row.prop_map(|(example, sample, input_text, forced, result)| TableRow {
        id: RowId { example, sample },
        input_text,
        forced: result
            .as_ref()
            .map_or(forced, |attribution| attribution.forced),
        result,
    });
    vec(row, 0..6)
}

fn footer() -> Footer {
    Footer {
        slot: SlotId::of_shard(0),
        attempt: Attempt::of(ulid::Ulid(1)),
        kind: SlotKind::Full,
        examples: 1,
        errors: 0,
        worker: "w".parse().unwrap(),
        epoch: Epoch(1),
        spec_json: "{}".to_owned(),
        code_version: "1".to_owned(),
    }
}

fn names(num_functions: usize) -> Vec<String> {
    let names = ["probability", "entropy"].into_iter().take(num_functions);
    names.map(str::to_owned).collect()
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        (num_functions, rows) in (0..3_usize).prop_flat_map(|count| (Just(count), rows(count))),
    ) {
        let names = names(num_functions);
        let batch = encode(&rows, &names, None).unwrap();
        let bytes = slot_file::encode(&batch, &footer()).unwrap();
        let file = slot_file::decode(bytes.into()).unwrap();
        let mut read = Vec::new();
        for batch in &file.batches {
            read.extend(decode(batch, &names).unwrap());
        }
        prop_assert_eq!(read, rows);
    }

    #[test]
    fn the_same_rows_are_the_same_bytes(rows in rows(1)) {
        let bytes = || {
            let batch = encode(&rows, &names(1), None).unwrap();
            slot_file::encode(&batch, &footer()).unwrap()
        };
        prop_assert_eq!(bytes(), bytes());
    }
}

fn one_row() -> TableRow {
    let token = |id| Token {
        id: Some(id),
        text: format!("▁{id}"),
        offsets: None,
    };
    let step = StepAttribution {
        target_pos: 1,
        source: None,
        target: None,
        step_scores: vec![0.25],
        contrast: None,
    };
    let attribution = Attribution {
        source: vec![token(1)],
        target: vec![token(9), token(5)],
        generated_text: "cinq".to_owned(),
        forced: true,
        attr_pos_start: 1,
        attr_pos_end: 2,
        steps: vec![step],
        sequence_scores: Vec::new(),
    };
    TableRow {
        id: RowId::first_of(3),
        input_text: Some("five".to_owned()),
        forced: true,
        result: Ok(attribution),
    }
}

/// Returns `batch` with the column `name` replaced, whatever its type.
fn with_column(batch: &RecordBatch, name: &str, column: &ArrayRef) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema.fields().iter().map(|field| {
        let is_it = field.name() == name;
        let original = || batch.column_by_name(field.name()).unwrap().clone();
        let column = if is_it {
            Arc::clone(column)
        } else {
            original()
        };
        (field.name().clone(), column, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

#[test]
fn a_column_that_is_missing_or_wrong_is_named() {
    let batch = encode(&[one_row()], &names(1), None).unwrap();
    for field in batch.schema().fields() {
        let name = field.name().as_str();
        let of_wrong_type: ArrayRef = match name {
            output::SAMPLE => Arc::new(StringArray::from(vec!["x"])),
            _ => Arc::new(Int32Array::from(vec![-1])),
        };
        // For an attributed row, the error columns are not read.
        let is_read = !matches!(name, output::ERROR_CODE | output::ERROR_MESSAGE);
        let damaged = with_column(&batch, name, &of_wrong_type);
        match decode(&damaged, &names(1)) {
            Err(error) => assert!(error.to_string().contains(name), "{name}: {error}"),
            Ok(_) => assert!(!is_read, "{name}"),
        }
        let mut kept: Vec<_> = (0..batch.num_columns()).collect();
        kept.retain(|&index| batch.schema().field(index).name() != name);
        if let Err(error) = decode(&batch.project(&kept).unwrap(), &names(1)) {
            assert!(error.to_string().contains(name), "{name}: {error}");
        }
    }
}

#[test]
fn a_value_that_must_be_there_is_not_made_up() {
    let batch = encode(&[one_row()], &names(1), None).unwrap();
    for name in [
        output::EXAMPLE_ID,
        output::SAMPLE,
        output::STATUS,
        output::GENERATED_TEXT,
        output::TARGET_FORCED,
        output::SOURCE_TOKENS,
        output::TARGET_TOKEN_IDS,
        output::ATTR_POS_START,
        output::STEPS,
    ] {
        let kind = batch.column_by_name(name).unwrap().data_type().clone();
        let damaged = with_column(&batch, name, &new_null_array(&kind, 1));
        let error = decode(&damaged, &names(1)).unwrap_err().to_string();
        assert!(error.contains(name), "{name}: {error}");
    }
}

#[test]
fn a_step_without_a_requested_score_is_refused() {
    let error = encode(&[one_row()], &names(2), None).unwrap_err();
    assert!(error.to_string().contains("`entropy`"), "{error}");
}
