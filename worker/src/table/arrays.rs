//! Builders of columns that both tables have: keys and errors of rows, and lists of tokens and scores.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int32Array, Int64Array, ListArray, StringArray,
    StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use whence_engine::Token;
use whence_schemas::output;

use super::row::TableRow;

/// Builds the column `name` if it is one that every table has; `None` if it is not.
pub(super) fn of_every_table<R>(rows: &[TableRow<R>], name: &str) -> Option<ArrayRef> {
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
        output::TARGET_FORCED => Arc::new(BooleanArray::from_iter(
            rows.iter().map(|row| Some(row.forced)),
        )),
        _ => return None,
    };
    Some(array)
}

fn status<R>(row: &TableRow<R>) -> &'static str {
    match row.result {
        Ok(_) => output::STATUS_OK,
        Err(_) => output::STATUS_ERROR,
    }
}

pub(super) fn no_values(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("there are no values for the column `{name}`"))
}

/// Builds a column of one text per row.
pub(super) fn texts<'r, R>(
    rows: &'r [TableRow<R>],
    text: impl Fn(&'r TableRow<R>) -> Option<&'r str>,
) -> ArrayRef {
    Arc::new(StringArray::from_iter(rows.iter().map(text)))
}

/// The tokens of one text of every row; `None` for rows without it.
pub(super) type TokenLists<'r> = Vec<Option<&'r [Token]>>;

/// Builds the column of the tokens as the vocabulary spells them.
pub(super) fn token_texts(lists: &TokenLists<'_>) -> Result<ArrayRef, ArrowError> {
    let texts = all(lists).map(|token| Some(token.text.as_str()));
    let texts = StringArray::from_iter(texts);
    token_list(lists, output::element(DataType::Utf8), Arc::new(texts))
}

/// Builds the column of the tokens' ids.
pub(super) fn token_ids(lists: &TokenLists<'_>) -> Result<ArrayRef, ArrowError> {
    let ids = Int32Array::from_iter_values(all(lists).map(id_of));
    token_list(lists, output::element(DataType::Int32), Arc::new(ids))
}

/// Builds the column of the tokens' positions in their text.
pub(super) fn token_offsets(lists: &TokenLists<'_>) -> Result<ArrayRef, ArrowError> {
    let offsets: Vec<_> = all(lists).map(|token| token.offsets).collect();
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
    token_list(lists, output::offsets_element(), Arc::new(values))
}

fn all<'r>(lists: &TokenLists<'r>) -> impl Iterator<Item = &'r Token> {
    lists.iter().copied().flatten().flatten()
}

/// Builds a column with one list per row, over the `values` of all tokens in row order.
fn token_list(
    lists: &TokenLists<'_>,
    element: FieldRef,
    values: ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let lengths = lists.iter().map(|tokens| tokens.map(<[Token]>::len));
    list(lengths, element, values)
}

/// Returns a token's id. A token that was merged from several has -1, as in Inseq's files.
pub(super) fn id_of(token: &Token) -> i32 {
    token.id.map_or(-1, |id| id as i32)
}

/// Builds lists of scores. A list that is absent is null.
pub(super) fn score_lists<'s>(
    lists: impl Iterator<Item = Option<&'s [f32]>> + Clone,
) -> Result<ArrayRef, ArrowError> {
    let values = lists.clone().flatten().flatten();
    let values = Float32Array::from_iter_values(values.copied());
    let lengths = lists.map(|scores| scores.map(<[f32]>::len));
    list(
        lengths,
        output::element(DataType::Float32),
        Arc::new(values),
    )
}

/// Builds lists of the given lengths over consecutive values. A list without a length is null.
pub(super) fn list(
    lengths: impl Iterator<Item = Option<usize>> + Clone,
    element: FieldRef,
    values: ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let offsets = OffsetBuffer::from_lengths(lengths.clone().map(Option::unwrap_or_default));
    let nulls = NullBuffer::from_iter(lengths.map(|length| length.is_some()));
    let lists = ListArray::try_new(element, offsets, values, Some(nulls))?;
    Ok(Arc::new(lists))
}
