//! Cells of Arrow columns: what a row of a record batch holds at a path.
//!
//! Text may be stored as strings of any width, as a dictionary, or as bytes that are UTF-8. Other
//! values are given exactly: numbers with all their digits, lists and structs as JSON, times as ISO
//! 8601. Nothing is printed the way a debugger would.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::util::display::array_value_to_string;
use serde_json::Value;

use crate::field::{Cell, FieldPath, Step, item_index};
use crate::format::Row;

/// Where the requested fields are in the columns of a file.
#[derive(Debug)]
pub(super) struct Places(Vec<Option<Place>>);

/// A column, and the steps from there.
#[derive(Debug)]
struct Place {
    column: String,
    steps: Vec<Step>,
    /// The names that lead into the column as far as it consists of structs, its own first.
    prefix: Vec<String>,
}

impl Places {
    /// Looks up each field among the columns of `schema`.
    pub(super) fn find(fields: &[FieldPath], schema: &Schema) -> Self {
        let place = |field: &FieldPath| {
            let mut readings = field.readings();
            let (column, steps) =
                readings.find(|(column, _)| schema.column_with_name(column).is_some())?;
            let kind = schema.field_with_name(column).ok()?.data_type();
            Some(Place {
                column: column.to_owned(),
                steps: steps.to_vec(),
                prefix: prefix(column, kind, steps),
            })
        };
        Self(fields.iter().map(place).collect())
    }

    /// Returns whether a leaf column of a file is needed, given by the names that lead to it.
    pub(super) fn needs_leaf(&self, names: &[String]) -> bool {
        let mut places = self.0.iter().flatten();
        places.any(|place| names.starts_with(&place.prefix))
    }

    /// Returns whether a field lies in the column `name`.
    pub(super) fn has_column(&self, name: &str) -> bool {
        self.0.iter().flatten().any(|place| place.column == name)
    }

    /// Returns the requested fields of a row.
    pub(super) fn cells(&self, batch: &RecordBatch, row: usize) -> Row {
        let cell = |place: &Option<Place>| match place {
            None => Ok(Cell::Absent),
            Some(place) => match batch.column_by_name(&place.column) {
                None => Ok(Cell::Absent),
                Some(column) => inside(column, row, &place.steps)
                    .map_err(|reason| format!("column `{}` {reason}", place.column)),
            },
        };
        self.0.iter().map(cell).collect()
    }
}

fn prefix(column: &str, kind: &DataType, steps: &[Step]) -> Vec<String> {
    let mut prefix = vec![column.to_owned()];
    let mut kind = kind;
    for step in steps {
        let (DataType::Struct(children), Step::Key(key)) = (kind, step) else {
            break;
        };
        prefix.push(key.clone());
        match children.find(key) {
            Some((_, child)) => kind = child.data_type(),
            None => break,
        }
    }
    prefix
}

/// Returns the names of the fields of a schema, and of those one level inside structs.
pub(super) fn names(schema: &Schema) -> Vec<String> {
    let names = schema
        .fields()
        .iter()
        .flat_map(|field| match field.data_type() {
            DataType::Struct(children) => children
                .iter()
                .map(|child| format!("{}.{}", field.name(), child.name()))
                .collect(),
            _ => vec![field.name().clone()],
        });
    names.collect()
}

/// Follows the steps into a value.
fn inside(column: &ArrayRef, row: usize, steps: &[Step]) -> Result<Cell, String> {
    let (mut array, mut row) = plain(column, row);
    for step in steps {
        if array.is_null(row) {
            return Ok(Cell::Null);
        }
        let next = match step {
            Step::Key(key) => member(&array, row, key),
            Step::Index(index) => items(&array, row)
                .and_then(|items| item_index(*index, items.len()).map(|place| (items, place))),
        };
        let Some((of_step, place)) = next else {
            return Ok(Cell::Absent);
        };
        (array, row) = plain(&of_step, place);
    }
    cell(&array, row)
}

/// Returns the value that an entry of a dictionary stands for; other arrays as they are.
fn plain(array: &ArrayRef, row: usize) -> (ArrayRef, usize) {
    let slice = array.slice(row, 1);
    match slice.as_any_dictionary_opt() {
        Some(dictionary) if slice.is_valid(0) => {
            let key = dictionary.normalized_keys()[0];
            (ArrayRef::clone(dictionary.values()), key)
        }
        _ => (ArrayRef::clone(array), row),
    }
}

/// Returns the child of a struct, or the value of a map's entry.
fn member(array: &ArrayRef, row: usize, key: &str) -> Option<(ArrayRef, usize)> {
    if let Some(children) = array.as_struct_opt() {
        return Some((children.column_by_name(key)?.clone(), row));
    }
    let entries = array.as_map_opt()?.value(row);
    let keys = entries.column(0);
    let is_key =
        |entry: &usize| matches!(cell(keys, *entry), Ok(Cell::Text(found)) if found == key);
    let entry = (0..entries.len()).find(is_key)?;
    Some((entries.column(1).clone(), entry))
}

/// Returns the items of the list in `row`; `None` if the column does not hold lists.
fn items(array: &ArrayRef, row: usize) -> Option<ArrayRef> {
    Some(match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(row),
        DataType::LargeList(_) => array.as_list::<i64>().value(row),
        DataType::FixedSizeList(_, _) => array.as_fixed_size_list().value(row),
        DataType::ListView(_) => array.as_list_view::<i32>().value(row),
        DataType::LargeListView(_) => array.as_list_view::<i64>().value(row),
        _ => return None,
    })
}

fn cell(array: &ArrayRef, row: usize) -> Result<Cell, String> {
    let (array, row) = plain(array, row);
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(Cell::Null);
    }
    if let Some(text) = text(&array, row)? {
        return Ok(Cell::Text(text));
    }
    if is_json(array.data_type()) {
        let mut json = String::new();
        write_json(&array, row, &mut json)?;
        return Ok(Cell::Json(json));
    }
    Ok(Cell::Other(displayed(&array, row)?))
}

/// Returns the text in a column of strings, or of bytes that are UTF-8; `None` if the column holds
/// neither.
fn text(array: &ArrayRef, row: usize) -> Result<Option<String>, String> {
    let bytes = match array.data_type() {
        DataType::Utf8 => return Ok(Some(array.as_string::<i32>().value(row).to_owned())),
        DataType::LargeUtf8 => return Ok(Some(array.as_string::<i64>().value(row).to_owned())),
        DataType::Utf8View => return Ok(Some(array.as_string_view().value(row).to_owned())),
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().value(row),
        _ => return Ok(None),
    };
    match str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err("holds bytes that are not UTF-8".to_owned()),
    }
}

/// Returns whether JSON has values of this type.
fn is_json(kind: &DataType) -> bool {
    kind.is_numeric()
        || kind.is_nested()
        || matches!(
            kind,
            DataType::Boolean | DataType::Decimal32(..) | DataType::Decimal64(..)
        )
}

/// Writes a value as JSON. A type that JSON lacks, such as a date, becomes a text of its ISO form.
fn write_json(array: &ArrayRef, row: usize, out: &mut String) -> Result<(), String> {
    let quoted = |text: &str| Value::from(text).to_string();
    let (array, row) = plain(array, row);
    if array.is_null(row) || *array.data_type() == DataType::Null {
        out.push_str("null");
    } else if let Some(text) = text(&array, row)? {
        out.push_str(&quoted(&text));
    } else if let Some(items) = items(&array, row) {
        out.push('[');
        for item in 0..items.len() {
            out.push_str(if item == 0 { "" } else { "," });
            write_json(&items, item, out)?;
        }
        out.push(']');
    } else if let Some(children) = array.as_struct_opt() {
        out.push('{');
        for (at, (name, child)) in children
            .column_names()
            .iter()
            .zip(children.columns())
            .enumerate()
        {
            out.push_str(if at == 0 { "" } else { "," });
            out.push_str(&quoted(name));
            out.push(':');
            write_json(child, row, out)?;
        }
        out.push('}');
    } else if let Some(entries) = array.as_map_opt().map(|map| map.value(row)) {
        write_map(entries.column(0), entries.column(1), out)?;
    } else if is_json(array.data_type()) {
        out.push_str(&number(&displayed(&array, row)?));
    } else {
        out.push_str(&quoted(&displayed(&array, row)?));
    }
    Ok(())
}

/// Writes the entries of a map as an object. A key that is not text becomes one.
fn write_map(keys: &ArrayRef, values: &ArrayRef, out: &mut String) -> Result<(), String> {
    out.push('{');
    for entry in 0..keys.len() {
        let key = match cell(keys, entry)? {
            Cell::Text(key) | Cell::Json(key) | Cell::Other(key) => key,
            Cell::Null | Cell::Absent => "null".to_owned(),
        };
        out.push_str(if entry == 0 { "" } else { "," });
        out.push_str(&Value::from(key).to_string());
        out.push(':');
        write_json(values, entry, out)?;
    }
    out.push('}');
    Ok(())
}

/// Spells numbers that JSON lacks as Python does.
fn number(text: &str) -> String {
    match text {
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        number => number.to_owned(),
    }
}

fn displayed(array: &ArrayRef, row: usize) -> Result<String, String> {
    array_value_to_string(array, row).map_err(|error| format!("cannot be shown: {error}"))
}
