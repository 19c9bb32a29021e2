//! The views as a script for DuckDB.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};

use super::by_dependency;
use super::keys::PARTITIONS;
use super::literal::{Literal, values};
use super::view::{CatalogTable, Rows, View};
use crate::query::shape::Shape;
use crate::query::stored::StoredTable;

/// Where DuckDB finds the files of a stored table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Files {
    /// In a folder of a storage root, which is a path or a bucket's URL. New files are found by
    /// themselves.
    In {
        /// The storage root.
        root: String,
    },
    /// These files.
    Listed(Vec<String>),
    /// There are none so far. DuckDB would refuse a pattern that matches nothing.
    None,
}

/// Returns the script. `files` returns where a stored table is, and `catalog` the rows of the tables
/// that describe the jobs.
pub(crate) fn script(
    files: impl Fn(StoredTable) -> Files,
    shape: &Shape,
    catalog: impl Fn(CatalogTable) -> RecordBatch,
) -> String {
    let statement = |view: &View| {
        let query = match view.rows {
            Rows::Stored(table) => stored(table, &files(table), shape),
            Rows::Catalog(table) => rows(&catalog(table)),
            Rows::Unnested(unnested) => (unnested.duckdb)(shape),
            Rows::Query(query) => query(shape),
        };
        format!("CREATE OR REPLACE VIEW {} AS\n{query};\n", view.name)
    };
    let statements: Vec<String> = by_dependency().map(statement).collect();
    statements.join("\n")
}

fn stored(table: StoredTable, files: &Files, shape: &Shape) -> String {
    let files = match files {
        Files::In { root } => {
            let root = glob_escaped(root.trim_end_matches('/'));
            literal(&format!("{root}/{}/*/*/*/*/part-*.parquet", table.folder()))
        }
        Files::Listed(files) => {
            let files: Vec<String> = files.iter().map(|file| literal(file)).collect();
            format!("[{}]", files.join(", "))
        }
        Files::None => return no_rows(shape.columns_of(table)),
    };
    format!(
        "SELECT * FROM read_parquet({files}, hive_partitioning = true, \
         hive_types_autocast = false, union_by_name = true)"
    )
}

/// Returns a query for a stored table without rows.
fn no_rows(columns: &Schema) -> String {
    let stored = columns.fields().iter().map(|field| {
        let of_type = data_type(field.data_type());
        format!("CAST(NULL AS {of_type}) AS {}", field.name())
    });
    let partitions = PARTITIONS.map(|name| format!("CAST(NULL AS VARCHAR) AS {name}"));
    let columns: Vec<String> = stored.chain(partitions).collect();
    format!("SELECT {}\nWHERE false", columns.join(",\n  "))
}

/// Returns DuckDB's type for an Arrow type that a stored table has.
fn data_type(of: &DataType) -> String {
    match of {
        DataType::List(element) => format!("{}[]", data_type(element.data_type())),
        DataType::Struct(fields) => {
            let field = |field: &FieldRef| {
                let name = field.name().replace('"', "\"\"");
                format!("\"{name}\" {}", data_type(field.data_type()))
            };
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("STRUCT({})", fields.join(", "))
        }
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        _ => "VARCHAR".to_owned(),
    }
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
