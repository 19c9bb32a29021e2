//! Decodes a record batch of [`output::schema`] into rows.

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{Float32Type, Int32Type};
use arrow::error::ArrowError;
use whence_engine::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};
use whence_schemas::context_output::TokenColumns;
use whence_schemas::output;

use super::reader::{self, Columns, wrong};
use super::row::TableRow;

/// Decodes a batch whose step scores are named `step_scores`, in this order.
///
/// Fails, with the column's name, if a column is missing, has another type, or lacks a required
/// value.
pub fn decode(batch: &RecordBatch, step_scores: &[String]) -> Result<Vec<TableRow>, ArrowError> {
    let table = StructArray::from(batch.clone());
    let columns = Columns(&table);
    let rows = 0..batch.num_rows();
    rows.map(|row| reader::row(columns, row, || attribution(columns, row, step_scores)))
        .collect()
}

fn attribution(
    columns: Columns,
    row: usize,
    step_scores: &[String],
) -> Result<Attribution, ArrowError> {
    let steps = columns.structs(output::STEPS, row)?;
    let steps = steps.ok_or_else(|| wrong(output::STEPS))?;
    let numbers = 0..steps.len();
    Ok(Attribution {
        source: required_tokens(columns, SOURCE, row)?,
        target: required_tokens(columns, TARGET, row)?,
        generated_text: columns.required_text(output::GENERATED_TEXT, row)?,
        forced: columns.flag(output::TARGET_FORCED, row)?,
        attr_pos_start: columns.position(output::ATTR_POS_START, row)?,
        attr_pos_end: columns.position(output::ATTR_POS_END, row)?,
        steps: numbers
            .map(|index| step(Columns(&steps), index, step_scores))
            .collect::<Result<_, _>>()?,
        sequence_scores: match columns.structs(output::SEQUENCE_SCORES, row)? {
            Some(queries) => sequences(&queries)?,
            None => Vec::new(),
        },
    })
}

const SOURCE: TokenColumns = TokenColumns {
    texts: output::SOURCE_TOKENS,
    ids: output::SOURCE_TOKEN_IDS,
    offsets: output::SOURCE_TOKEN_OFFSETS,
};
const TARGET: TokenColumns = TokenColumns {
    texts: output::TARGET_TOKENS,
    ids: output::TARGET_TOKEN_IDS,
    offsets: output::TARGET_TOKEN_OFFSETS,
};

fn required_tokens(
    columns: Columns,
    side: TokenColumns,
    row: usize,
) -> Result<Vec<Token>, ArrowError> {
    let tokens = columns.tokens(side, row)?;
    tokens.ok_or_else(|| wrong(side.texts))
}

/// Returns scores of one value per token, which is what the table holds; they have no further axes.
fn scores(columns: Columns, name: &str, row: usize) -> Result<Option<ScoreRows>, ArrowError> {
    let values = columns.scores(name, row)?;
    Ok(values.map(|values| ScoreRows {
        values,
        row_shape: Vec::new(),
    }))
}

fn step(
    columns: Columns,
    index: usize,
    step_scores: &[String],
) -> Result<StepAttribution, ArrowError> {
    let function = |name: &String| -> Result<f32, ArrowError> {
        let functions = columns.array(output::STEP_SCORES)?.as_struct_opt();
        let functions = functions.ok_or_else(|| wrong(output::STEP_SCORES))?;
        Columns(functions).number::<Float32Type>(name, index)
    };
    let contrast = match columns.text(output::CONTRAST_TOKEN, index)? {
        Some(text) => {
            let id = columns.number::<Int32Type>(output::CONTRAST_TOKEN_ID, index)?;
            let id = u32::try_from(id).ok();
            // The table has no offsets for contrast tokens.
            let offsets = None;
            Some(Token { id, text, offsets })
        }
        None => None,
    };
    Ok(StepAttribution {
        contrast,
        target_pos: columns.position(output::TARGET_POS, index)?,
        source: scores(columns, output::SOURCE_SCORES, index)?,
        target: scores(columns, output::TARGET_SCORES, index)?,
        step_scores: step_scores.iter().map(function).collect::<Result<_, _>>()?,
    })
}

/// Groups the scores of consecutive query tokens that have the same name, which is how they are
/// encoded.
fn sequences(queries: &StructArray) -> Result<Vec<SequenceScores>, ArrowError> {
    let columns = Columns(queries);
    let mut sequences: Vec<SequenceScores> = Vec::new();
    for index in 0..queries.len() {
        let name = columns.required_text(output::NAME, index)?;
        let scores = scores(columns, output::SCORES, index)?;
        let scores = scores.ok_or_else(|| wrong(output::SCORES))?;
        let side = match columns.required_text(output::SIDE, index)?.as_str() {
            output::SIDE_SOURCE => Side::Source,
            output::SIDE_TARGET => Side::Target,
            _ => return Err(wrong(output::SIDE)),
        };
        match sequences.last_mut() {
            Some(last) if last.name == name => last.columns.push(scores),
            _ => sequences.push(SequenceScores {
                name,
                side,
                columns: vec![scores],
            }),
        }
    }
    Ok(sequences)
}
