//! The views as a script for DuckDB.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

use super::by_dependency;
use super::literal::{Literal, values};
use super::slots::pattern;
use super::view::{CatalogTable, Rows, View};
use crate::query::shape::Shape;

/// Where DuckDB finds the table files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A storage root: a path or a bucket's URL. New files are found by themselves.
    Root(String),
    /// These files.
    Files(Vec<String>),
}

/// Returns the script. `catalog` returns the rows of the tables that describe the jobs.
pub(crate) fn script(
    place: &Place,
    shape: &Shape,
    catalog: impl Fn(CatalogTable) -> RecordBatch,
) -> String {
    let statement = |view: &View| {
        let query = match view.rows {
            Rows::Stored => stored(place),
            Rows::Catalog(table) => rows(&catalog(table)),
            Rows::Unnested(unnested) => (unnested.duckdb)(shape),
            Rows::Query(query) => query(shape),
        };
        format!("CREATE OR REPLACE VIEW {} AS\n{query};\n", view.name)
    };
    let statements: Vec<String> = by_dependency().map(statement).collect();
    statements.join("\n")
}

fn stored(place: &Place) -> String {
    let files = match place {
        Place::Root(root) => literal(&pattern(&glob_escaped(root.trim_end_matches('/')))),
        Place::Files(files) => {
            let files: Vec<String> = files.iter().map(|file| literal(file)).collect();
            format!("[{}]", files.join(", "))
        }
    };
    format!(
        "SELECT * FROM read_parquet({files}, hive_partitioning = true, \
         hive_types_autocast = false, union_by_name = true)"
    )
}

/// Returns a query with the rows of `batch` in it.
fn rows(batch: &RecordBatch) -> String {
    let schema = batch.schema();
    let columns: Vec<Vec<Literal>> = (0..batch.num_columns())
        .map(|column| values(batch, column))
        .collect();
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let casts = schema.fields().iter().map(|field| {
        let of_type = match field.data_type() {
            DataType::UInt64 | DataType::Int64 => "BIGINT",
            DataType::Boolean => "BOOLEAN",
            DataType::Timestamp(..) => "TIMESTAMPTZ",
            _ => "VARCHAR",
        };
        format!("CAST({name} AS {of_type}) AS {name}", name = field.name())
    });
    let select = casts.collect::<Vec<_>>().join(", ");
    let row = |row: usize| {
        let values: Vec<String> = columns.iter().map(|column| sql(&column[row])).collect();
        format!("({})", values.join(", "))
    };
    let mut lines: Vec<String> = (0..batch.num_rows()).map(row).collect();
    let none = lines.is_empty();
    if none {
        lines.push(format!("({})", vec!["NULL"; names.len()].join(", ")));
    }
    format!(
        "SELECT {select}\nFROM (VALUES\n  {}\n) AS literal({}){}",
        lines.join(",\n  "),
        names.join(", "),
        if none { "\nWHERE false" } else { "" }
    )
}

fn sql(value: &Literal) -> String {
    match value {
        Literal::Null => "NULL".to_owned(),
        Literal::Bare(text) => text.clone(),
        Literal::Text(text) => literal(text),
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Escapes a path so that it is taken literally where a glob pattern is expected.
fn glob_escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[') {
            escaped.extend(['[', c, ']']);
        } else {
            escaped.push(c);
        }
    }
    escaped
}
