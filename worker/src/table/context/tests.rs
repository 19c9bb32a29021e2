//! Rows of the context table survive the way through Parquet, and damage is named.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, new_null_array};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use whence_engine::Token;
use whence_engine::context::{Alternative, ContextAttribution, TextTokens, TokenCues};
use whence_schemas::{RowError, RowId, context_output, output};

use super::{decode, encode};
use crate::table::ContextRow;

fn passage() -> impl Strategy<Value = TextTokens> {
    let offsets = option::of((0..1000_usize, 0..1000_usize));
    let token = (option::of(0..i32::MAX as u32), ".{0,4}", offsets);
    let token = token.prop_map(|(id, text, offsets)| Token { id, text, offsets });
    (".{0,9}", vec(token, 1..4)).prop_map(|(text, tokens)| TextTokens { text, tokens })
}

/// Cues for a token among `num_tokens`, with contexts of `sizes` tokens.
fn cues(num_tokens: usize, sizes: [Option<usize>; 2]) -> impl Strategy<Value = TokenCues> {
    let scores = |size: Option<usize>| vec(any::<f32>(), size.unwrap_or(0));
    let indices = |size: Option<usize>| {
        let size = size.unwrap_or(0);
        vec(0..size.max(1), 0..=size)
    };
    let alternative = (".{0,4}", ".{0,9}");
    let alternative = alternative.prop_map(|(token, output)| Alternative { token, output });
    let [input, output] = sizes;
    (
        (
            0..num_tokens,
            ".{0,9}",
            option::of(alternative),
            any::<f64>(),
        ),
        (
            scores(input),
            scores(output),
            indices(input),
            indices(output),
        ),
    )
        .prop_map(
            move |((index, contextual_output, alternative, cue_threshold), found)| TokenCues {
                index,
                contextual_output,
                alternative,
                input_context_scores: input.map(|_| found.0),
                output_context_scores: output.map(|_| found.1),
                cue_threshold,
                input_cues: found.2,
                output_cues: found.3,
            },
        )
}

fn attributions() -> impl Strategy<Value = ContextAttribution> {
    let texts = (option::of(passage()), option::of(passage()), passage());
    let is_forced = any::<bool>();
    let with_scores = |texts: (Option<TextTokens>, Option<TextTokens>, TextTokens)| {
        let size = |context: &Option<TextTokens>| context.as_ref().map(|text| text.tokens.len());
        let (sizes, num_tokens) = ([size(&texts.0), size(&texts.1)], texts.2.tokens.len());
        (
            Just(texts),
            vec(any::<f32>(), num_tokens),
            any::<f64>(),
            vec(cues(num_tokens, sizes), 0..3),
            vec(".{0,9}", 0..2),
        )
    };
    (texts.prop_flat_map(with_scores), is_forced).prop_map(
        |((texts, scores, threshold, cues, notices), is_forced)| {
            let (input_context, output_context, output_current) = texts;
            ContextAttribution {
                input_context,
                output_context,
                output_current,
                is_forced,
                cti_scores: scores,
                cti_threshold: threshold,
                cues,
                notices,
            }
        },
    )
}

fn rows() -> impl Strategy<Value = Vec<ContextRow>> {
    let error = ("[a-z_]{1,9}", ".{0,9}").prop_map(|(code, message)| RowError { code, message });
    let result = prop_oneof![
        3 => attributions().prop_map(Ok),
        1 => error.prop_map(Err),
    ];
    let row = (any::<i64>(), option::of(".{0,9}"), any::<bool>(), result);
    let row = row.prop_map(|(example, input_text, forced, result)| ContextRow {
        id: RowId::first_of(example),
        input_text,
        forced: result.as_ref().map_or(forced, |own| own.is_forced),
        result,
    });
    vec(row, 0..5)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(rows in rows()) {
        let batch = encode(&rows, None).unwrap();
        prop_assert_eq!(decode(&batch).unwrap(), rows);
    }
}

fn one_row() -> ContextRow {
    let text = |text: &str| TextTokens {
        text: text.to_owned(),
        tokens: vec![Token {
            id: Some(1),
            text: text.to_owned(),
            offsets: Some((0, 1)),
        }],
    };
    ContextRow {
        id: RowId::first_of(3),
        input_text: Some("b".to_owned()),
        forced: true,
        result: Ok(ContextAttribution {
            input_context: Some(text("a")),
            output_context: Some(text("c")),
            output_current: text("d"),
            is_forced: true,
            cti_scores: vec![0.5],
            cti_threshold: 0.5,
            cues: vec![TokenCues {
                index: 0,
                contextual_output: String::new(),
                alternative: None,
                input_context_scores: Some(vec![0.25]),
                output_context_scores: Some(vec![0.75]),
                cue_threshold: 0.1,
                input_cues: vec![0],
                output_cues: Vec::new(),
            }],
            notices: Vec::new(),
        }),
    }
}

/// Returns `batch` with the column `name` replaced, whatever its type.
fn with_column(batch: &RecordBatch, name: &str, column: &ArrayRef) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, original)| {
        let is_it = field.name() == name;
        let column = if is_it { column } else { original };
        (field.name().clone(), Arc::clone(column), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

#[test]
fn a_column_of_another_type_is_named() {
    let batch = encode(&[one_row()], None).unwrap();
    for field in batch.schema().fields() {
        let name = field.name().as_str();
        // For a good row the error columns are not read, and the sample is a number.
        if matches!(
            name,
            output::ERROR_CODE | output::ERROR_MESSAGE | output::SAMPLE
        ) {
            continue;
        }
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![-1]));
        let error = decode(&with_column(&batch, name, &numbers)).unwrap_err();
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
}

#[test]
fn a_value_that_must_be_there_is_not_made_up() {
    let batch = encode(&[one_row()], None).unwrap();
    for name in [
        output::GENERATED_TEXT,
        context_output::OUTPUT_TOKENS.texts,
        context_output::INPUT_CONTEXT_TOKENS.texts,
        context_output::CTI_SCORES,
        context_output::CTI_THRESHOLD,
        context_output::CUES,
        context_output::NOTICES,
    ] {
        let kind = batch.column_by_name(name).unwrap().data_type().clone();
        let damaged = with_column(&batch, name, &new_null_array(&kind, 1));
        let error = decode(&damaged).unwrap_err().to_string();
        assert!(error.contains(name), "{name}: {error}");
    }
}

#[test]
fn scores_and_tokens_that_contradict_each_other_are_refused() {
    let refused = |change: fn(&mut ContextAttribution)| {
        let mut row = one_row();
        change(row.result.as_mut().unwrap());
        let batch = encode(&[row], None).unwrap();
        decode(&batch).unwrap_err().to_string()
    };
    let cases = [
        (
            refused(|own| own.cti_scores.push(1.0)),
            context_output::CTI_SCORES,
        ),
        (
            refused(|own| own.cues[0].index = 1),
            context_output::TOKEN_INDEX,
        ),
        (
            refused(|own| own.cues[0].output_cues.push(1)),
            context_output::OUTPUT_CUES,
        ),
        (
            refused(|own| own.cues[0].input_context_scores = None),
            context_output::INPUT_CONTEXT_SCORES,
        ),
    ];
    for (error, name) in cases {
        assert!(error.contains(name), "{error}");
    }
}
