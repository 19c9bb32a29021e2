//! Builds one input batch, a row at a time, from the cells of the dataset's rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int64Array, RecordBatch, StringBuilder, StructArray};
use arrow::datatypes::{Fields, Schema};
use whence_datasets::{Cell, FieldPath, Row};

use super::fields::NUM_TEXTS;
use crate::Error;

/// What the input field of a row may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inputs {
    Texts,
    /// Texts, and also lists of messages, which are passed on as JSON.
    Conversations,
}

pub(super) struct BatchBuilder {
    texts: [StringBuilder; NUM_TEXTS],
    /// Whether a row's input is a list of messages.
    are_messages: BooleanBuilder,
    errors: StringBuilder,
    columns: Vec<StringBuilder>,
    pub(super) num_bytes: usize,
}

impl BatchBuilder {
    pub(super) fn new(num_columns: usize) -> Self {
        Self {
            texts: std::array::from_fn(|_| StringBuilder::new()),
            are_messages: BooleanBuilder::new(),
            errors: StringBuilder::new(),
            columns: (0..num_columns).map(|_| StringBuilder::new()).collect(),
            num_bytes: 0,
        }
    }

    pub(super) fn add(
        &mut self,
        row: &Row,
        fields: &[FieldPath],
        (has_text, inputs): ([bool; NUM_TEXTS], Inputs),
    ) {
        let mut error = row.as_ref().err().cloned();
        let cells = row.as_deref().unwrap_or_default();
        // Only a real list in the data counts. A text is a text, even if it looks like JSON.
        let is_list = matches!(cells.first(), Some(Cell::Json(_)));
        self.are_messages
            .append_value(is_list && inputs == Inputs::Conversations);
        let mut read = cells.iter().zip(fields);
        let mut num_texts = 0;
        for (text, has_text) in self.texts.iter_mut().zip(has_text) {
            let mut found = None;
            if has_text {
                let of_field = |(cell, field)| match inputs {
                    // Only the input, the first of the texts, may be a conversation.
                    Inputs::Conversations if num_texts == 0 => conversation_of(cell, field),
                    _ => text_of(cell, field),
                };
                let text = read.next().map(of_field);
                num_texts += 1;
                match text {
                    Some(Ok(of_row)) => found = Some(of_row),
                    Some(Err(reason)) => error = error.or(Some(reason)),
                    None => {}
                }
            }
            self.num_bytes += found.map_or(0, str::len);
            text.append_option(found);
        }
        self.errors.append_option(error);
        let carried = cells
            .iter()
            .skip(num_texts)
            .map(Some)
            .chain(std::iter::repeat(None));
        for (column, cell) in self.columns.iter_mut().zip(carried) {
            let value = match cell {
                Some(Cell::Text(text) | Cell::Json(text) | Cell::Other(text)) => {
                    Some(text.as_str())
                }
                _ => None,
            };
            self.num_bytes += value.map_or(0, str::len);
            column.append_option(value);
        }
    }

    pub(super) fn finish(
        mut self,
        ids: Range<i64>,
        schema: Arc<Schema>,
        columns: &Fields,
    ) -> Result<RecordBatch, Error> {
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(ids))];
        let [input, others @ ..] = &mut self.texts;
        arrays.push(Arc::new(input.finish()));
        arrays.push(Arc::new(self.are_messages.finish()));
        arrays.extend(
            others
                .iter_mut()
                .map(|text| Arc::new(text.finish()) as ArrayRef),
        );
        arrays.push(Arc::new(self.errors.finish()));
        if !columns.is_empty() {
            let carried = self
                .columns
                .iter_mut()
                .map(|column| Arc::new(column.finish()) as ArrayRef);
            arrays.push(Arc::new(StructArray::new(
                columns.clone(),
                carried.collect(),
                None,
            )));
        }
        RecordBatch::try_new(schema, arrays)
            .map_err(|error| Error::Internal(format!("build an input batch: {error}")))
    }
}

/// Returns the cell's text, or its list of messages as JSON. Fails if it holds anything else.
fn conversation_of<'a>(cell: &'a Cell, field: &FieldPath) -> Result<&'a str, String> {
    match cell {
        Cell::Json(list) if list.starts_with('[') => Ok(list),
        Cell::Json(_) | Cell::Other(_) => Err(format!(
            "field `{field}` holds neither text nor a list of messages"
        )),
        _ => text_of(cell, field),
    }
}

fn text_of<'a>(cell: &'a Cell, field: &FieldPath) -> Result<&'a str, String> {
    match cell {
        Cell::Text(text) if text.is_empty() => Err(format!("field `{field}` is empty")),
        Cell::Text(text) => Ok(text),
        Cell::Absent => Err(format!("the row has no field `{field}`")),
        Cell::Null => Err(format!("field `{field}` is null")),
        Cell::Json(_) | Cell::Other(_) => Err(format!("field `{field}` holds no text")),
    }
}
