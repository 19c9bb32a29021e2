//! Encodes rows as a record batch of [`output::schema`].

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Int32Array, ListArray, RecordBatch, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::error::ArrowError;
use whence_engine::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};
use whence_schemas::output;

use super::arrays::{
    TokenLists, id_of, list, no_values, of_every_table, score_lists, texts, token_ids,
    token_offsets, token_texts,
};
use super::row::TableRow;

/// Builds the batch of `rows`. `columns` are the carried dataset columns, with one value per row.
///
/// Fails if a row does not have a score for each of `step_scores`.
pub fn encode(
    rows: &[TableRow],
    step_scores: &[String],
    columns: Option<&StructArray>,
) -> Result<RecordBatch, ArrowError> {
    let carried = columns.map_or_else(Fields::empty, |columns| columns.fields().clone());
    let schema = Arc::new(output::schema(step_scores, &carried));
    let array = |field: &FieldRef| match (field.name().as_str(), columns) {
        (output::COLUMNS, Some(columns)) => Ok(Arc::new(columns.clone()) as ArrayRef),
        (output::STEPS, _) => steps(rows, step_scores),
        (name, _) => column(rows, name),
    };
    let arrays = schema.fields().iter().map(array);
    let arrays = arrays.collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema, arrays)
}

/// Builds one column that does not depend on the step scores.
fn column(rows: &[TableRow], name: &str) -> Result<ArrayRef, ArrowError> {
    if let Some(array) = of_every_table(rows, name) {
        return Ok(array);
    }
    let tokens = |side: fn(&Attribution) -> &Vec<Token>| -> TokenLists<'_> {
        let lists = rows.iter().map(|row| row.output().map(side));
        lists.map(|tokens| tokens.map(Vec::as_slice)).collect()
    };
    let (source, target) = (
        || tokens(|attribution| &attribution.source),
        || tokens(|attribution| &attribution.target),
    );
    let array: ArrayRef = match name {
        output::GENERATED_TEXT => texts(rows, |row| Some(&row.output()?.generated_text)),
        output::SOURCE_TOKENS => token_texts(&source())?,
        output::SOURCE_TOKEN_IDS => token_ids(&source())?,
        output::SOURCE_TOKEN_OFFSETS => token_offsets(&source())?,
        output::TARGET_TOKENS => token_texts(&target())?,
        output::TARGET_TOKEN_IDS => token_ids(&target())?,
        output::TARGET_TOKEN_OFFSETS => token_offsets(&target())?,
        output::ATTR_POS_START => positions(rows, |attribution| attribution.attr_pos_start),
        output::ATTR_POS_END => positions(rows, |attribution| attribution.attr_pos_end),
        output::SEQUENCE_SCORES => sequences(rows)?,
        _ => return Err(no_values(name)),
    };
    Ok(array)
}

fn positions(rows: &[TableRow], position: fn(&Attribution) -> usize) -> ArrayRef {
    let of_row = |row: &TableRow| Some(position(row.output()?) as i32);
    Arc::new(Int32Array::from_iter(rows.iter().map(of_row)))
}

/// A step's scores, with its number and token, which come from the attribution.
struct Step<'r> {
    number: i32,
    token: &'r Token,
    scores: &'r StepAttribution,
}

fn steps(rows: &[TableRow], step_scores: &[String]) -> Result<ArrayRef, ArrowError> {
    let attributions = rows.iter().filter_map(TableRow::output);
    let steps: Vec<_> = attributions.flat_map(steps_of).collect();
    let fields = output::step_fields(step_scores);
    let array = |field: &FieldRef| match field.name().as_str() {
        output::STEP_SCORES => functions(&steps, field),
        name => step_column(&steps, name),
    };
    let arrays = fields.iter().map(array).collect::<Result<_, _>>()?;
    let values = StructArray::try_new(fields.clone(), arrays, None)?;
    let lengths = rows.iter().map(|row| row.output().map(|a| a.steps.len()));
    let element = output::element(DataType::Struct(fields));
    list(lengths, element, Arc::new(values))
}

fn steps_of(attribution: &Attribution) -> impl Iterator<Item = Step<'_>> {
    let numbered = (0..).zip(&attribution.steps);
    numbered.map(|(number, scores)| Step {
        number,
        token: &attribution.target[scores.target_pos],
        scores,
    })
}

fn step_column(steps: &[Step], name: &str) -> Result<ArrayRef, ArrowError> {
    let contrasts = steps.iter().map(|step| step.scores.contrast.as_ref());
    let array: ArrayRef = match name {
        output::STEP => Arc::new(Int32Array::from_iter_values(
            steps.iter().map(|step| step.number),
        )),
        output::TARGET_POS => Arc::new(Int32Array::from_iter_values(
            steps.iter().map(|step| step.scores.target_pos as i32),
        )),
        output::TOKEN => Arc::new(StringArray::from_iter_values(
            steps.iter().map(|step| step.token.text.as_str()),
        )),
        output::TOKEN_ID => Arc::new(Int32Array::from_iter_values(
            steps.iter().map(|step| id_of(step.token)),
        )),
        output::CONTRAST_TOKEN => Arc::new(StringArray::from_iter(
            contrasts.map(|token| token.map(|token| token.text.as_str())),
        )),
        output::CONTRAST_TOKEN_ID => Arc::new(Int32Array::from_iter(
            contrasts.map(|token| token.map(id_of)),
        )),
        output::SOURCE_SCORES => scores(steps, |step| step.scores.source.as_ref())?,
        output::TARGET_SCORES => scores(steps, |step| step.scores.target.as_ref())?,
        _ => return Err(no_values(name)),
    };
    Ok(array)
}

fn scores<'s>(
    steps: &'s [Step],
    side: fn(&'s Step) -> Option<&'s ScoreRows>,
) -> Result<ArrayRef, ArrowError> {
    let sides = steps.iter().map(side);
    score_lists(sides.map(|scores| scores.map(|scores| scores.values.as_slice())))
}

/// Builds the struct of the step scores. An attribution has them in the order of the specification,
/// which is also the order of the struct's fields.
fn functions(steps: &[Step], field: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(names) = field.data_type() else {
        return Err(no_values(field.name()));
    };
    let of_function = |(index, name): (usize, &FieldRef)| -> Result<ArrayRef, ArrowError> {
        let value = |step: &Step| step.scores.step_scores.get(index).copied();
        let values: Option<Vec<f32>> = steps.iter().map(value).collect();
        let values = values.ok_or_else(|| no_values(name.name()))?;
        Ok(Arc::new(Float32Array::from(values)))
    };
    let columns = names.iter().enumerate().map(of_function);
    let columns = columns.collect::<Result<_, _>>()?;
    let values = StructArray::try_new(names.clone(), columns, None)?;
    Ok(Arc::new(values))
}

/// A query token of a stack's self-attention, and its scores for the key tokens.
struct Query<'r> {
    of: &'r SequenceScores,
    position: i32,
    scores: &'r ScoreRows,
}

/// Builds the scores between tokens of the same side; null for rows that have none.
fn sequences(rows: &[TableRow]) -> Result<ArrayRef, ArrowError> {
    let attributions = rows.iter().filter_map(TableRow::output);
    let queries: Vec<_> = attributions.flat_map(queries).collect();
    let fields = output::sequence_fields();
    let arrays = fields
        .iter()
        .map(|field| query_column(&queries, field.name()));
    let arrays = arrays.collect::<Result<_, _>>()?;
    let values = StructArray::try_new(fields.clone(), arrays, None)?;
    let of_row = |row: &TableRow| -> Option<usize> {
        let sequences = &row.output()?.sequence_scores;
        let columns = sequences.iter().map(|scores| scores.columns.len());
        (!sequences.is_empty()).then(|| columns.sum())
    };
    let element = output::element(DataType::Struct(fields));
    list(rows.iter().map(of_row), element, Arc::new(values))
}

fn queries(attribution: &Attribution) -> impl Iterator<Item = Query<'_>> {
    attribution.sequence_scores.iter().flat_map(|of| {
        // On the target side there is one entry per step, starting with the first attributed token.
        let first = match of.side {
            Side::Source => 0,
            Side::Target => attribution.attr_pos_start as i32,
        };
        (first..).zip(&of.columns).map(|(position, scores)| Query {
            of,
            position,
            scores,
        })
    })
}

fn query_column(queries: &[Query], name: &str) -> Result<ArrayRef, ArrowError> {
    let array: ArrayRef =
        match name {
            output::NAME => Arc::new(StringArray::from_iter_values(
                queries.iter().map(|query| query.of.name.as_str()),
            )),
            output::SIDE => Arc::new(StringArray::from_iter_values(queries.iter().map(|query| {
                match query.of.side {
                    Side::Source => output::SIDE_SOURCE,
                    Side::Target => output::SIDE_TARGET,
                }
            }))),
            output::POSITION => Arc::new(Int32Array::from_iter_values(
                queries.iter().map(|query| query.position),
            )),
            output::SCORES => {
                let scores = queries.iter().map(|query| query.scores.values.as_slice());
                let offsets = OffsetBuffer::from_lengths(scores.clone().map(<[f32]>::len));
                let values = Float32Array::from_iter_values(scores.flatten().copied());
                let element = output::element(DataType::Float32);
                Arc::new(ListArray::try_new(
                    element,
                    offsets,
                    Arc::new(values),
                    None,
                )?)
            }
            _ => return Err(no_values(name)),
        };
    Ok(array)
}
