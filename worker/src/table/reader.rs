//! Reads the columns of a batch of either table by name.
//!
//! The batch may come from another program or be damaged. So every column is looked up by name and
//! checked for its type, and a required value that is missing is an error, never replaced by a
//! default.

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Float32Array, GenericListArray, PrimitiveArray,
    StringArray, StructArray,
};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use whence_engine::Token;
use whence_schemas::context_output::TokenColumns;
use whence_schemas::{RowError, RowId, output};

use super::row::TableRow;

/// Decodes a row; `output` reads its result if it has one.
pub(super) fn row<R>(
    columns: Columns<'_>,
    row: usize,
    output: impl FnOnce() -> Result<R, ArrowError>,
) -> Result<TableRow<R>, ArrowError> {
    let id = RowId {
        example: columns.number::<Int64Type>(output::EXAMPLE_ID, row)?,
        sample: columns.number::<Int32Type>(output::SAMPLE, row)?,
    };
    let forced = columns.flag(output::TARGET_FORCED, row)?;
    let result = match columns.required_text(output::STATUS, row)?.as_str() {
        output::STATUS_OK => Ok(output()?),
        output::STATUS_ERROR => Err(RowError {
            code: columns.required_text(output::ERROR_CODE, row)?,
            message: columns.required_text(output::ERROR_MESSAGE, row)?,
        }),
        _ => return Err(wrong(output::STATUS)),
    };
    Ok(TableRow {
        id,
        input_text: columns.text(output::INPUT_TEXT, row)?,
        forced,
        result,
    })
}

/// The columns of the table or of a nested struct, looked up by name.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a>(pub(super) &'a StructArray);

impl<'a> Columns<'a> {
    /// Returns a column.
    pub(super) fn array(self, name: &str) -> Result<&'a ArrayRef, ArrowError> {
        let missing = || ArrowError::SchemaError(format!("there is no column `{name}`"));
        self.0.column_by_name(name).ok_or_else(missing)
    }

    /// Returns a required number.
    pub(super) fn number<T: ArrowPrimitiveType>(
        self,
        name: &str,
        row: usize,
    ) -> Result<T::Native, ArrowError> {
        let numbers: Option<&PrimitiveArray<T>> = self.array(name)?.as_primitive_opt();
        let numbers = numbers.filter(|numbers| numbers.is_valid(row));
        numbers
            .map(|numbers| numbers.value(row))
            .ok_or_else(|| wrong(name))
    }

    /// Returns a required position, which must not be negative.
    pub(super) fn position(self, name: &str, row: usize) -> Result<usize, ArrowError> {
        let position = self.number::<Int32Type>(name, row)?;
        usize::try_from(position).map_err(|_| wrong(name))
    }

    /// Returns a required boolean.
    pub(super) fn flag(self, name: &str, row: usize) -> Result<bool, ArrowError> {
        let flags = self.array(name)?.as_boolean_opt();
        let flags = flags.filter(|flags| flags.is_valid(row));
        flags
            .map(|flags| flags.value(row))
            .ok_or_else(|| wrong(name))
    }

    /// Returns a text, or `None` if it is null.
    pub(super) fn text(self, name: &str, row: usize) -> Result<Option<String>, ArrowError> {
        let texts = self.array(name)?.as_string_opt::<i32>();
        let texts = texts.ok_or_else(|| wrong(name))?;
        Ok(texts.is_valid(row).then(|| texts.value(row).to_owned()))
    }

    /// Returns a required text.
    pub(super) fn required_text(self, name: &str, row: usize) -> Result<String, ArrowError> {
        self.text(name, row)?.ok_or_else(|| wrong(name))
    }

    /// Returns the elements of a list, or `None` if the list is null.
    pub(super) fn list(self, name: &str, row: usize) -> Result<Option<ArrayRef>, ArrowError> {
        let lists: Option<&GenericListArray<i32>> = self.array(name)?.as_list_opt();
        let lists = lists.ok_or_else(|| wrong(name))?;
        Ok(lists.is_valid(row).then(|| lists.value(row)))
    }

    /// Returns the elements of a list, none of which is null; `None` if the list itself is null.
    pub(super) fn whole_list(self, name: &str, row: usize) -> Result<Option<ArrayRef>, ArrowError> {
        match self.list(name, row)? {
            // The value of a null element would be read as 0 or as an empty text.
            Some(elements) if elements.null_count() > 0 => Err(wrong(name)),
            elements => Ok(elements),
        }
    }

    /// Returns the elements of a required list, none of which is null.
    pub(super) fn required_list(self, name: &str, row: usize) -> Result<ArrayRef, ArrowError> {
        self.whole_list(name, row)?.ok_or_else(|| wrong(name))
    }

    /// Returns the structs of a list, or `None` if the list is null.
    pub(super) fn structs(self, name: &str, row: usize) -> Result<Option<StructArray>, ArrowError> {
        let Some(elements) = self.whole_list(name, row)? else {
            return Ok(None);
        };
        let structs = elements.as_struct_opt().cloned();
        structs.map(Some).ok_or_else(|| wrong(name))
    }

    /// Returns the scores of a list, or `None` if the list is null.
    pub(super) fn scores(self, name: &str, row: usize) -> Result<Option<Vec<f32>>, ArrowError> {
        let Some(values) = self.whole_list(name, row)? else {
            return Ok(None);
        };
        let values: Option<&Float32Array> = values.as_primitive_opt::<Float32Type>();
        let values = values.ok_or_else(|| wrong(name))?;
        Ok(Some(values.values().to_vec()))
    }

    /// Returns the tokens of one text, or `None` if it has none.
    pub(super) fn tokens(
        self,
        side: TokenColumns,
        row: usize,
    ) -> Result<Option<Vec<Token>>, ArrowError> {
        let Some(texts) = self.whole_list(side.texts, row)? else {
            return Ok(None);
        };
        let texts: &StringArray = texts.as_string_opt().ok_or_else(|| wrong(side.texts))?;
        let ids = self.required_list(side.ids, row)?;
        let ids = ids.as_primitive_opt::<Int32Type>();
        let ids = ids.ok_or_else(|| wrong(side.ids))?;
        // A token that does not come from the text has no offsets, so these may be null.
        let offsets = self.list(side.offsets, row)?;
        let offsets = offsets.ok_or_else(|| wrong(side.offsets))?;
        let offsets = offsets.as_struct_opt();
        let offsets = offsets.ok_or_else(|| wrong(side.offsets))?;
        if texts.len() != ids.len() {
            return Err(wrong(side.ids));
        }
        if texts.len() != offsets.len() {
            return Err(wrong(side.offsets));
        }
        let token = |index: usize| {
            let bound = |name| Columns(offsets).position(name, index);
            Ok(Token {
                // -1 marks a token that was merged from several and has no id.
                id: u32::try_from(ids.value(index)).ok(),
                text: texts.value(index).to_owned(),
                offsets: if offsets.is_valid(index) {
                    Some((bound(output::START)?, bound(output::END)?))
                } else {
                    None
                },
            })
        };
        (0..texts.len())
            .map(token)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Returns the indices of a required list; none may be negative.
    pub(super) fn indices(self, name: &str, row: usize) -> Result<Vec<usize>, ArrowError> {
        let values = self.required_list(name, row)?;
        let values = values.as_primitive_opt::<Int32Type>();
        let values = values.ok_or_else(|| wrong(name))?.values();
        let index = |value: &i32| usize::try_from(*value).map_err(|_| wrong(name));
        values.iter().map(index).collect()
    }

    /// Returns the texts of a required list.
    pub(super) fn texts(self, name: &str, row: usize) -> Result<Vec<String>, ArrowError> {
        let values = self.required_list(name, row)?;
        let values = values.as_string_opt::<i32>().ok_or_else(|| wrong(name))?;
        Ok(values.iter().flatten().map(str::to_owned).collect())
    }
}

/// Returns the error that a column has the wrong type or lacks a required value.
pub(super) fn wrong(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!(
        "column `{name}` does not hold what the table has there"
    ))
}
