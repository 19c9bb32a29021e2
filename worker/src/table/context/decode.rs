//! Decodes a record batch of [`context_output::schema`] into rows.

use arrow::array::{Array, RecordBatch, StructArray};
use arrow::datatypes::Float64Type;
use arrow::error::ArrowError;
use whence_engine::context::{Alternative, ContextAttribution, TextTokens, TokenCues};
use whence_schemas::context_output::{
    self, INPUT_CONTEXT_TOKENS, OUTPUT_CONTEXT_TOKENS, OUTPUT_TOKENS, TokenColumns,
};
use whence_schemas::output;

use crate::table::reader::{self, Columns, wrong};
use crate::table::row::ContextRow;

/// Decodes a batch.
///
/// Fails, with the column's name, if a column is missing, has another type, or lacks a required
/// value, and if the numbers of tokens and scores contradict each other.
pub fn decode(batch: &RecordBatch) -> Result<Vec<ContextRow>, ArrowError> {
    let table = StructArray::from(batch.clone());
    let columns = Columns(&table);
    let rows = 0..batch.num_rows();
    rows.map(|row| reader::row(columns, row, || attribution(columns, row)))
        .collect()
}

fn attribution(columns: Columns, row: usize) -> Result<ContextAttribution, ArrowError> {
    let passage = |name, tokens| passage(columns, (name, tokens), row);
    let output_current = passage(output::GENERATED_TEXT, OUTPUT_TOKENS)?;
    let output_current = output_current.ok_or_else(|| wrong(output::GENERATED_TEXT))?;
    let scores = columns.scores(context_output::CTI_SCORES, row)?;
    let is_per_token = |scores: &Vec<f32>| scores.len() == output_current.tokens.len();
    let scores = scores.filter(is_per_token);
    let found = columns.structs(context_output::CUES, row)?;
    let found = found.ok_or_else(|| wrong(context_output::CUES))?;
    let attribution = ContextAttribution {
        input_context: passage(context_output::INPUT_CONTEXT, INPUT_CONTEXT_TOKENS)?,
        output_context: passage(context_output::OUTPUT_CONTEXT, OUTPUT_CONTEXT_TOKENS)?,
        output_current,
        is_forced: columns.flag(output::TARGET_FORCED, row)?,
        cti_scores: scores.ok_or_else(|| wrong(context_output::CTI_SCORES))?,
        cti_threshold: columns.number::<Float64Type>(context_output::CTI_THRESHOLD, row)?,
        cues: (0..found.len())
            .map(|index| cues(Columns(&found), index))
            .collect::<Result<_, _>>()?,
        notices: columns.texts(context_output::NOTICES, row)?,
    };
    check_lengths(&attribution)?;
    Ok(attribution)
}

/// Returns a text with its tokens; `None` if it is null.
fn passage(
    columns: Columns,
    (name, tokens): (&str, TokenColumns),
    row: usize,
) -> Result<Option<TextTokens>, ArrowError> {
    let Some(text) = columns.text(name, row)? else {
        return Ok(None);
    };
    let tokens_of_text = columns.tokens(tokens, row)?;
    let tokens = tokens_of_text.ok_or_else(|| wrong(tokens.texts))?;
    Ok(Some(TextTokens { text, tokens }))
}

fn cues(columns: Columns, index: usize) -> Result<TokenCues, ArrowError> {
    let alternative = match columns.text(context_output::CONTRAST_TOKEN, index)? {
        Some(token) => Some(Alternative {
            token,
            output: columns.required_text(context_output::CONTEXTLESS_OUTPUT, index)?,
        }),
        None => None,
    };
    Ok(TokenCues {
        index: columns.position(context_output::TOKEN_INDEX, index)?,
        contextual_output: columns.required_text(context_output::CONTEXTUAL_OUTPUT, index)?,
        alternative,
        input_context_scores: columns.scores(context_output::INPUT_CONTEXT_SCORES, index)?,
        output_context_scores: columns.scores(context_output::OUTPUT_CONTEXT_SCORES, index)?,
        cue_threshold: columns.number::<Float64Type>(context_output::CUE_THRESHOLD, index)?,
        input_cues: columns.indices(context_output::INPUT_CUES, index)?,
        output_cues: columns.indices(context_output::OUTPUT_CUES, index)?,
    })
}

/// Fails if an index has no token, or if a context's tokens and scores differ in number. Readers
/// rely on both.
fn check_lengths(attribution: &ContextAttribution) -> Result<(), ArrowError> {
    let check = |holds: bool, name: &str| if holds { Ok(()) } else { Err(wrong(name)) };
    for cues in &attribution.cues {
        let is_token = cues.index < attribution.output_current.tokens.len();
        check(is_token, context_output::TOKEN_INDEX)?;
        let contexts = [
            (
                &attribution.input_context,
                (
                    &cues.input_context_scores,
                    context_output::INPUT_CONTEXT_SCORES,
                ),
                (&cues.input_cues, context_output::INPUT_CUES),
            ),
            (
                &attribution.output_context,
                (
                    &cues.output_context_scores,
                    context_output::OUTPUT_CONTEXT_SCORES,
                ),
                (&cues.output_cues, context_output::OUTPUT_CUES),
            ),
        ];
        for (context, (scores, scores_name), (indices, indices_name)) in contexts {
            let num_tokens = context.as_ref().map(|context| context.tokens.len());
            let num_scores = scores.as_ref().map(Vec::len);
            check(num_tokens == num_scores, scores_name)?;
            let has_token = |index: &usize| num_tokens.is_some_and(|count| *index < count);
            check(indices.iter().all(has_token), indices_name)?;
        }
    }
    Ok(())
}
