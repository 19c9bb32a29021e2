//! Builds one input batch, a row at a time, from the cells of the dataset's rows.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Int64Array, RecordBatch, StringBuilder, StructArray};
use arrow::datatypes::{Fields, Schema};
use whence_datasets::{Cell, FieldPath, Row};

use super::fields::{NUM_TEXTS, RowFields};
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

    pub(super) fn add(&mut self, row: &Row, fields: &RowFields, inputs: Inputs) {
        let mut error = row.as_ref().err().cloned();
        let cells = row.as_deref().unwrap_or_default();
        // Only a real list in the data counts. A text is a text, even if it looks like JSON.
        let is_list = matches!(cells.first(), Some(Cell::Json(_))) && fields.template().is_none();
        self.are_messages
            .append_value(is_list && inputs == Inputs::Conversations);
        let mut texts: [Option<Cow<str>>; NUM_TEXTS] = Default::default();
        if !cells.is_empty() {
            match input_of(cells, fields, inputs) {
                Ok(text) => texts[0] = Some(text),
                Err(reason) => error = error.or(Some(reason)),
            }
        }
        let others = cells.iter().zip(fields.paths()).skip(fields.num_of_input());
        let places = texts[1..].iter_mut().zip(fields.has_other_text());
        let places = places.filter_map(|(text, has_text)| has_text.then_some(text));
        for (place, (cell, field)) in places.zip(others) {
            match text_of(cell, field) {
                Ok(text) => *place = Some(Cow::Borrowed(text)),
                Err(reason) => error = error.or(Some(reason)),
            }
        }
        for (column, text) in self.texts.iter_mut().zip(texts) {
            self.num_bytes += text.as_deref().map_or(0, str::len);
            column.append_option(text);
        }
        self.errors.append_option(error);
        self.carry(cells.get(fields.num_of_texts()..).unwrap_or_default());
    }

    /// Adds the cells of the carried columns; none if the row cannot be read.
    fn carry(&mut self, cells: &[Cell]) {
        let cells = cells.iter().map(Some).chain(std::iter::repeat(None));
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            let value = match cell {
                Some(Cell::Text(text) | Cell::Json(text) | Cell::Other(text)) => Some(text),
                _ => None,
            };
            self.num_bytes += value.map_or(0, String::len);
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

/// Returns a row's input: a text, or a list of messages as JSON if those are allowed.
fn input_of<'a>(
    cells: &'a [Cell],
    fields: &RowFields,
    inputs: Inputs,
) -> Result<Cow<'a, str>, String> {
    if let Some(template) = fields.template() {
        let text = template.render(&cells[..fields.num_of_input().min(cells.len())])?;
        if text.is_empty() {
            return Err(format!("the input `{template}` is empty"));
        }
        return Ok(Cow::Owned(text));
    }
    let field = &fields.paths()[0];
    let text = match (&cells[0], inputs) {
        (Cell::Json(list), Inputs::Conversations) if list.starts_with('[') => Ok(list.as_str()),
        (Cell::Json(_) | Cell::Other(_), Inputs::Conversations) => Err(format!(
            "field `{field}` holds neither text nor a list of messages"
        )),
        (cell, _) => text_of(cell, field),
    };
    text.map(Cow::Borrowed)
}

fn text_of<'a>(cell: &'a Cell, field: &FieldPath) -> Result<&'a str, String> {
    match cell.text(field)? {
        "" => Err(format!("field `{field}` is empty")),
        text => Ok(text),
    }
}
