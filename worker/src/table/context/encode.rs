//! Encodes rows as a record batch of [`context_output::schema`].

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::error::ArrowError;
use whence_engine::context::{ContextAttribution, TextTokens, TokenCues};
use whence_schemas::context_output::{
    self, INPUT_CONTEXT_TOKENS, OUTPUT_CONTEXT_TOKENS, OUTPUT_TOKENS,
};
use whence_schemas::output;

use crate::table::arrays::{
    TokenLists, list, no_values, of_every_table, score_lists, texts, token_ids, token_offsets,
    token_texts,
};
use crate::table::row::ContextRow;

/// Builds the batch of `rows`. `columns` are the carried dataset columns, with one value per row.
pub fn encode(
    rows: &[ContextRow],
    columns: Option<&StructArray>,
) -> Result<RecordBatch, ArrowError> {
    let carried = columns.map_or_else(Fields::empty, |columns| columns.fields().clone());
    let schema = Arc::new(context_output::schema(&carried));
    let array = |field: &FieldRef| match (field.name().as_str(), columns) {
        (output::COLUMNS, Some(columns)) => Ok(Arc::new(columns.clone()) as ArrayRef),
        (name, _) => column(rows, name),
    };
    let arrays = schema.fields().iter().map(array);
    let arrays = arrays.collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema, arrays)
}

fn column(rows: &[ContextRow], name: &str) -> Result<ArrayRef, ArrowError> {
    if let Some(array) = of_every_table(rows, name) {
        return Ok(array);
    }
    for (tokens, passage) in PASSAGES {
        let lists = || -> TokenLists<'_> {
            let passages = rows.iter().map(|row| passage(row.output()?));
            passages
                .map(|passage| passage.map(|passage| passage.tokens.as_slice()))
                .collect()
        };
        match name {
            _ if name == tokens.texts => return token_texts(&lists()),
            _ if name == tokens.ids => return token_ids(&lists()),
            _ if name == tokens.offsets => return token_offsets(&lists()),
            _ => {}
        }
    }
    let outputs = rows.iter().map(ContextRow::output);
    let array = match name {
        context_output::INPUT_CONTEXT => texts(rows, |row| text(input_context(row.output()?))),
        context_output::OUTPUT_CONTEXT => texts(rows, |row| text(output_context(row.output()?))),
        output::GENERATED_TEXT => texts(rows, |row| text(output_current(row.output()?))),
        context_output::CTI_SCORES => {
            score_lists(outputs.map(|output| output.map(|output| output.cti_scores.as_slice())))?
        }
        context_output::CTI_THRESHOLD => Arc::new(Float64Array::from_iter(
            outputs.map(|output| output.map(|output| output.cti_threshold)),
        )),
        context_output::CUES => cues(rows)?,
        context_output::NOTICES => {
            let notices = outputs.map(|output| output.map(|output| output.notices.as_slice()));
            let values = notices.clone().flatten().flatten().map(Some);
            let values = StringArray::from_iter(values);
            let lengths = notices.map(|notices| notices.map(<[String]>::len));
            list(lengths, output::element(DataType::Utf8), Arc::new(values))?
        }
        _ => return Err(no_values(name)),
    };
    Ok(array)
}

type Passage = fn(&ContextAttribution) -> Option<&TextTokens>;

/// The texts with tokens, and their columns.
const PASSAGES: [(context_output::TokenColumns, Passage); 3] = [
    (OUTPUT_TOKENS, output_current),
    (INPUT_CONTEXT_TOKENS, input_context),
    (OUTPUT_CONTEXT_TOKENS, output_context),
];

#[allow(clippy::unnecessary_wraps, reason = "the signature of all passages")]
fn output_current(attribution: &ContextAttribution) -> Option<&TextTokens> {
    Some(&attribution.output_current)
}

fn input_context(attribution: &ContextAttribution) -> Option<&TextTokens> {
    attribution.input_context.as_ref()
}

fn output_context(attribution: &ContextAttribution) -> Option<&TextTokens> {
    attribution.output_context.as_ref()
}

fn text(passage: Option<&TextTokens>) -> Option<&str> {
    passage.map(|passage| passage.text.as_str())
}

fn cues(rows: &[ContextRow]) -> Result<ArrayRef, ArrowError> {
    let outputs = rows.iter().map(ContextRow::output);
    let all: Vec<_> = outputs
        .clone()
        .flatten()
        .flat_map(|output| &output.cues)
        .collect();
    let fields = context_output::cue_fields();
    let arrays = fields.iter().map(|field| cue_column(&all, field.name()));
    let arrays = arrays.collect::<Result<_, _>>()?;
    let values = StructArray::try_new(fields.clone(), arrays, None)?;
    let lengths = outputs.map(|output| output.map(|output| output.cues.len()));
    let element = output::element(DataType::Struct(fields));
    list(lengths, element, Arc::new(values))
}

fn cue_column(cues: &[&TokenCues], name: &str) -> Result<ArrayRef, ArrowError> {
    let each = cues.iter().copied();
    let alternatives = each.clone().map(|cues| cues.alternative.as_ref());
    let array: ArrayRef = match name {
        context_output::TOKEN_INDEX => Arc::new(Int32Array::from_iter_values(
            each.map(|cues| cues.index as i32),
        )),
        context_output::CONTEXTUAL_OUTPUT => Arc::new(StringArray::from_iter_values(
            each.map(|cues| cues.contextual_output.as_str()),
        )),
        context_output::CONTRAST_TOKEN => Arc::new(StringArray::from_iter(
            alternatives.map(|other| other.map(|other| other.token.as_str())),
        )),
        context_output::CONTEXTLESS_OUTPUT => Arc::new(StringArray::from_iter(
            alternatives.map(|other| other.map(|other| other.output.as_str())),
        )),
        context_output::INPUT_CONTEXT_SCORES => {
            score_lists(each.map(|cues| cues.input_context_scores.as_deref()))?
        }
        context_output::OUTPUT_CONTEXT_SCORES => {
            score_lists(each.map(|cues| cues.output_context_scores.as_deref()))?
        }
        context_output::CUE_THRESHOLD => Arc::new(Float64Array::from_iter_values(
            each.map(|cues| cues.cue_threshold),
        )),
        context_output::INPUT_CUES => indices(each.map(|cues| cues.input_cues.as_slice()))?,
        context_output::OUTPUT_CUES => indices(each.map(|cues| cues.output_cues.as_slice()))?,
        _ => return Err(no_values(name)),
    };
    Ok(array)
}

fn indices<'c>(lists: impl Iterator<Item = &'c [usize]> + Clone) -> Result<ArrayRef, ArrowError> {
    let values = lists.clone().flatten().map(|index| *index as i32);
    let values = Arc::new(Int32Array::from_iter_values(values));
    let lengths = lists.map(|indices| Some(indices.len()));
    list(lengths, output::element(DataType::Int32), values)
}
