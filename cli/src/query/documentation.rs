//! The tables `documentation` and `documentation_of_tables`: what each column and each table holds.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;

use super::views::view::View;
use super::views::{VIEWS, named};
use crate::Failure;

/// Name of the table with one row per column.
pub(super) const COLUMNS: &str = "documentation";
/// Name of the table with one row per table.
pub(super) const TABLES: &str = "documentation_of_tables";

/// Returns the query that explains the columns of `table`, or of all tables if its name is empty.
/// Fails if there is no such table.
pub(crate) fn describe(table: &str) -> Result<String, Failure> {
    if table.is_empty() {
        return Ok(format!("SELECT * FROM {COLUMNS}"));
    }
    let table = named(table)?.name;
    Ok(format!(
        "SELECT \"column\", type, description FROM {COLUMNS} WHERE \"table\" = '{table}'"
    ))
}

/// Returns the query that lists the tables.
pub(crate) fn describe_tables() -> String {
    format!("SELECT * FROM {TABLES}")
}

/// Returns the table with one row per column. `schema_of` returns the schema of a table.
pub(super) fn columns(
    schema_of: impl Fn(&str) -> Option<Arc<Schema>>,
) -> Result<RecordBatch, ArrowError> {
    let mut rows: Vec<[String; 4]> = Vec::new();
    for view in VIEWS {
        let Some(schema) = schema_of(view.name) else {
            continue;
        };
        for column in view.columns {
            // A column that no job has is not in the schema.
            let Ok(field) = schema.field_with_name(column.name) else {
                continue;
            };
            rows.push([
                view.name.to_owned(),
                column.name.to_owned(),
                type_name(field.data_type()),
                column.about.to_owned(),
            ]);
        }
    }
    table(["table", "column", "type", "description"], &rows)
}

/// Returns the table with one row per table.
pub(super) fn tables() -> Result<RecordBatch, ArrowError> {
    let row = |view: &View| [view.name.to_owned(), view.about.to_owned()];
    let rows: Vec<_> = VIEWS.iter().map(row).collect();
    table(["table", "description"], &rows)
}

fn table<const N: usize>(
    names: [&str; N],
    rows: &[[String; N]],
) -> Result<RecordBatch, ArrowError> {
    let column = |index: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            rows.iter().map(|row| &row[index]),
        ))
    };
    RecordBatch::try_from_iter(
        names
            .iter()
            .enumerate()
            .map(|(index, name)| (*name, column(index))),
    )
}

/// Returns the name of a type, as a person writes it.
fn type_name(of: &DataType) -> String {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Dictionary(_, values) => type_name(values),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::List(element) => format!("list<{}>", type_name(element.data_type())),
        DataType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), type_name(field.data_type())));
            format!("struct<{}>", fields.collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string().to_lowercase(),
    }
}
