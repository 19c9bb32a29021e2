//! Encodes rows as a record batch of [`output::schema`].

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::error::ArrowError;
use whence_engine::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};
use whence_schemas::output;

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
    let array: ArrayRef = match name {
        output::EXAMPLE_ID => Arc::new(Int64Array::from_iter_values(
            rows.iter().map(|row| row.id.example),
        )),
        output::SAMPLE => Arc::new(Int32Array::from_iter_values(
            rows.iter().map(|row| row.id.sample),
        )),
        output::STATUS => Arc::new(StringArray::from_iter_values(rows.iter().map(status))),
        output::ERROR_CODE => texts(rows, |row| Some(&row.result.as_ref().err()?.code)),
        output::ERROR_MESSAGE => texts(rows, |row| Some(&row.result.as_ref().err()?.message)),
        output::INPUT_TEXT => texts(rows, |row| row.input_text.as_deref()),
        output::GENERATED_TEXT => texts(rows, |row| Some(&row.attribution()?.generated_text)),
        output::TARGET_FORCED => Arc::new(BooleanArray::from_iter(
            rows.iter().map(|row| Some(row.forced)),
        )),
        output::SOURCE_TOKENS => token_texts(rows, source)?,
        output::SOURCE_TOKEN_IDS => token_ids(rows, source)?,
        output::SOURCE_TOKEN_OFFSETS => token_offsets(rows, source)?,
        output::TARGET_TOKENS => token_texts(rows, target)?,
        output::TARGET_TOKEN_IDS => token_ids(rows, target)?,
        output::TARGET_TOKEN_OFFSETS => token_offsets(rows, target)?,
        output::ATTR_POS_START => positions(rows, |attribution| attribution.attr_pos_start),
        output::ATTR_POS_END => positions(rows, |attribution| attribution.attr_pos_end),
        output::SEQUENCE_SCORES => sequences(rows)?,
        _ => return Err(no_values(name)),
    };
    Ok(array)
}

fn no_values(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("there are no values for the column `{name}`"))
}

fn status(row: &TableRow) -> &'static str {
    match row.result {
        Ok(_) => output::STATUS_OK,
        Err(_) => output::STATUS_ERROR,
    }
}

fn texts<'r>(rows: &'r [TableRow], text: impl Fn(&'r TableRow) -> Option<&'r str>) -> ArrayRef {
    Arc::new(StringArray::from_iter(rows.iter().map(text)))
}

fn positions(rows: &[TableRow], position: fn(&Attribution) -> usize) -> ArrayRef {
    let of_row = |row: &TableRow| Some(position(row.attribution()?) as i32);
    Arc::new(Int32Array::from_iter(rows.iter().map(of_row)))
}

/// Selects the tokens of one side.
type Tokens = fn(&Attribution) -> &[Token];

fn source(attribution: &Attribution) -> &[Token] {
    &attribution.source
}

fn target(attribution: &Attribution) -> &[Token] {
    &attribution.target
}

fn token_texts(rows: &[TableRow], side: Tokens) -> Result<ArrayRef, ArrowError> {
    let texts = all_tokens(rows, side).map(|token| Some(token.text.as_str()));
    let texts = StringArray::from_iter(texts);
    token_list(rows, side, output::element(DataType::Utf8), Arc::new(texts))
}

fn token_ids(rows: &[TableRow], side: Tokens) -> Result<ArrayRef, ArrowError> {
    let ids = Int32Array::from_iter_values(all_tokens(rows, side).map(id_of));
    token_list(rows, side, output::element(DataType::Int32), Arc::new(ids))
}

fn token_offsets(rows: &[TableRow], side: Tokens) -> Result<ArrayRef, ArrowError> {
    let offsets: Vec<_> = all_tokens(rows, side).map(|token| token.offsets).collect();
    let bound = |name: &str| -> Result<ArrayRef, ArrowError> {
        let bound: fn((usize, usize)) -> usize = match name {
            output::START => |(start, _)| start,
            output::END => |(_, end)| end,
            _ => return Err(no_values(name)),
        };
        // The children of a null struct need values too; these zeros are never read.
        let values = offsets
            .iter()
            .map(|offsets| offsets.map_or(0, bound) as i32);
        Ok(Arc::new(Int32Array::from_iter_values(values)))
    };
    let fields = output::offsets_fields();
    let bounds = fields.iter().map(|field| bound(field.name()));
    let bounds = bounds.collect::<Result<_, _>>()?;
    let is_known = offsets.iter().map(Option::is_some).collect();
    let values = StructArray::try_new(fields, bounds, Some(is_known))?;
    token_list(rows, side, output::offsets_element(), Arc::new(values))
}

/// Returns the tokens of one side of every attributed row.
fn all_tokens(rows: &[TableRow], side: Tokens) -> impl Iterator<Item = &Token> {
    rows.iter().filter_map(TableRow::attribution).flat_map(side)
}

/// Builds a column with one list per row, over the `values` of one side's tokens in row order.
fn token_list(
    rows: &[TableRow],
    side: Tokens,
    element: FieldRef,
    values: ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let lengths = rows
        .iter()
        .map(|row| row.attribution().map(|a| side(a).len()));
    list(lengths, element, values)
}

/// Returns a token's id. A token that was merged from several has -1, as in Inseq's files.
fn id_of(token: &Token) -> i32 {
    token.id.map_or(-1, |id| id as i32)
}

/// A step's scores, with its number and token, which come from the attribution.
struct Step<'r> {
    number: i32,
    token: &'r Token,
    scores: &'r StepAttribution,
}

fn steps(rows: &[TableRow], step_scores: &[String]) -> Result<ArrayRef, ArrowError> {
    let attributions = rows.iter().filter_map(TableRow::attribution);
    let steps: Vec<_> = attributions.flat_map(steps_of).collect();
    let fields = output::step_fields(step_scores);
    let array = |field: &FieldRef| match field.name().as_str() {
        output::STEP_SCORES => functions(&steps, field),
        name => step_column(&steps, name),
    };
    let arrays = fields.iter().map(array).collect::<Result<_, _>>()?;
    let values = StructArray::try_new(fields.clone(), arrays, None)?;
    let lengths = rows
        .iter()
        .map(|row| row.attribution().map(|a| a.steps.len()));
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
    let values = sides.clone().flatten().flat_map(|scores| &scores.values);
    let values = Float32Array::from_iter_values(values.copied());
    let lengths = sides.map(|scores| scores.map(|scores| scores.values.len()));
    list(
        lengths,
        output::element(DataType::Float32),
        Arc::new(values),
    )
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
    let attributions = rows.iter().filter_map(TableRow::attribution);
    let queries: Vec<_> = attributions.flat_map(queries).collect();
    let fields = output::sequence_fields();
    let arrays = fields
        .iter()
        .map(|field| query_column(&queries, field.name()));
    let arrays = arrays.collect::<Result<_, _>>()?;
    let values = StructArray::try_new(fields.clone(), arrays, None)?;
    let of_row = |row: &TableRow| -> Option<usize> {
        let sequences = &row.attribution()?.sequence_scores;
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

/// Builds lists of the given lengths over consecutive values. A list without a length is null.
fn list(
    lengths: impl Iterator<Item = Option<usize>> + Clone,
    element: FieldRef,
    values: ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let offsets = OffsetBuffer::from_lengths(lengths.clone().map(Option::unwrap_or_default));
    let nulls = NullBuffer::from_iter(lengths.map(|length| length.is_some()));
    let lists = ListArray::try_new(element, offsets, values, Some(nulls))?;
    Ok(Arc::new(lists))
}
