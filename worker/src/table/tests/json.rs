//! A row as JSON: what each column of it holds, and what is refused when the JSON is changed.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::json::{ArrayWriter, ReaderBuilder};
use serde_json::{Value, json};
use whence_engine::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};
use whence_schemas::{RowError, RowId};

use super::super::{TableRow, decode, encode};
use super::names;

fn token(id: u32, text: &str, offsets: Option<(usize, usize)>) -> Token {
    Token {
        id: Some(id),
        text: text.to_owned(),
        offsets,
    }
}

fn scores(values: &[f32]) -> ScoreRows {
    ScoreRows {
        values: values.to_vec(),
        row_shape: Vec::new(),
    }
}

/// Returns a row that has a value in every column, the ones about errors aside.
fn whole_row() -> TableRow {
    let merged = Token {
        id: None,
        ..token(0, "on the", Some((5, 11)))
    };
    let step = |target_pos, source, target, probability| StepAttribution {
        target_pos,
        source: Some(scores(source)),
        target: Some(scores(target)),
        step_scores: vec![probability],
        contrast: Some(token(7, "sur", None)),
    };
    let sequence = |name: &str, side, columns: &[&[f32]]| SequenceScores {
        name: name.to_owned(),
        side,
        columns: columns.iter().map(|values| scores(values)).collect(),
    };
    let attribution = Attribution {
        source: vec![token(4, "cat", Some((0, 3))), merged],
        target: vec![
            token(0, "<s>", None),
            token(5, "chat", Some((0, 4))),
            token(6, "là", Some((5, 7))),
        ],
        generated_text: "chat là".to_owned(),
        forced: true,
        attr_pos_start: 1,
        attr_pos_end: 3,
        steps: vec![
            step(1, &[0.25, 0.5], &[1.0], 0.75),
            step(2, &[0.5, 0.0], &[0.25, 0.25], 0.125),
        ],
        sequence_scores: vec![
            sequence("decoder", Side::Target, &[&[1.0], &[0.5, 0.5]]),
            sequence("encoder", Side::Source, &[&[0.25, 0.5], &[0.5, 0.25]]),
        ],
    };
    TableRow {
        id: RowId {
            example: 3,
            sample: 1,
        },
        input_text: Some("cat on the".to_owned()),
        forced: true,
        result: Ok(attribution),
    }
}

/// Encodes a row and returns it as JSON.
fn to_json(row: TableRow) -> Value {
    let batch = encode(&[row], &names(1), None).unwrap();
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let mut rows: Vec<Value> = serde_json::from_slice(&writer.into_inner()).unwrap();
    rows.remove(0)
}

/// Returns a field like `field` in which everything may be null.
fn nullable(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::List(element) => DataType::List(nullable(element)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(nullable).collect()),
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, true))
}

/// Returns the batch of a row that was written as JSON.
fn from_json(row: &Value) -> RecordBatch {
    let schema = whence_schemas::output::schema(&names(1), &arrow::datatypes::Fields::empty());
    let fields: Vec<_> = schema.fields().iter().map(nullable).collect();
    let mut decoder = ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .build_decoder()
        .unwrap();
    decoder.serialize(&[row]).unwrap();
    decoder.flush().unwrap().unwrap()
}

#[test]
fn a_row_has_the_columns_that_the_schema_describes() {
    let expected = json!({
        "example_id": 3, "sample": 1, "status": "ok",
        "input_text": "cat on the", "generated_text": "chat là", "target_forced": true,
        "source_tokens": ["cat", "on the"],
        "source_token_ids": [4, -1],
        "source_token_offsets": [{"start": 0, "end": 3}, {"start": 5, "end": 11}],
        "target_tokens": ["<s>", "chat", "là"],
        "target_token_ids": [0, 5, 6],
        "target_token_offsets": [null, {"start": 0, "end": 4}, {"start": 5, "end": 7}],
        "attr_pos_start": 1, "attr_pos_end": 3,
        "steps": [
            {
                "step": 0, "target_pos": 1, "token": "chat", "token_id": 5,
                "contrast_token": "sur", "contrast_token_id": 7,
                "source_scores": [0.25, 0.5], "target_scores": [1.0],
                "step_scores": {"probability": 0.75},
            },
            {
                "step": 1, "target_pos": 2, "token": "là", "token_id": 6,
                "contrast_token": "sur", "contrast_token_id": 7,
                "source_scores": [0.5, 0.0], "target_scores": [0.25, 0.25],
                "step_scores": {"probability": 0.125},
            },
        ],
        // A position of the target is that of the token that is predicted.
        "sequence_scores": [
            {"name": "decoder", "side": "target", "position": 1, "scores": [1.0]},
            {"name": "decoder", "side": "target", "position": 2, "scores": [0.5, 0.5]},
            {"name": "encoder", "side": "source", "position": 0, "scores": [0.25, 0.5]},
            {"name": "encoder", "side": "source", "position": 1, "scores": [0.5, 0.25]},
        ],
    });
    assert_eq!(to_json(whole_row()), expected);
    let read = decode(&from_json(&expected), &names(1)).unwrap();
    assert_eq!(read, [whole_row()]);
}

#[test]
fn an_error_row_has_the_error_and_nothing_computed() {
    let row = TableRow {
        result: Err(RowError::new("too_long", "it is too long")),
        ..whole_row()
    };
    let expected = json!({
        "example_id": 3, "sample": 1, "status": "error",
        "error_code": "too_long", "error_message": "it is too long",
        "input_text": "cat on the", "target_forced": true,
    });
    assert_eq!(to_json(row.clone()), expected);
    let read = decode(&from_json(&expected), &names(1)).unwrap();
    assert_eq!(read, [row]);
}

#[test]
fn a_value_that_cannot_be_is_refused_with_the_name_of_its_column() {
    for (place, value) in [
        ("/status", json!("perhaps")),
        ("/attr_pos_end", json!(-1)),
        ("/source_tokens", json!(["cat"])),
        ("/source_token_ids", json!([4, null])),
        ("/source_token_offsets", json!([])),
        ("/source_token_offsets", json!(null)),
        ("/target_tokens", json!(["<s>", null, "là"])),
        ("/target_token_ids", json!([])),
        ("/target_token_offsets/1/start", json!(-1)),
        ("/target_token_offsets/1/end", json!(null)),
        ("/steps", json!([null])),
        ("/steps/1/target_pos", json!(-2)),
        ("/steps/0/contrast_token_id", json!(null)),
        ("/steps/0/source_scores", json!([0.25, null])),
        ("/steps/1/target_scores", json!([null, null])),
        ("/steps/1/step_scores/probability", json!(null)),
        ("/sequence_scores", json!([null])),
        ("/sequence_scores/2/name", json!(null)),
        ("/sequence_scores/0/side", json!("middle")),
        ("/sequence_scores/0/scores", json!(null)),
        ("/sequence_scores/3/scores", json!([0.5, null])),
    ] {
        let mut row = to_json(whole_row());
        *row.pointer_mut(place).unwrap() = value;
        let error = decode(&from_json(&row), &names(1)).unwrap_err().to_string();
        let column = place.rsplit('/').find(|part| part.parse::<u8>().is_err());
        let column = match column.unwrap() {
            // The texts are what the ids and offsets are counted against.
            "source_tokens" => "source_token_ids",
            column => column,
        };
        assert!(error.contains(&format!("`{column}`")), "{place}: {error}");
    }
}
