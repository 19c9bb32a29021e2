//! The views as a Python module for Polars.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Fields, Schema};

use super::keys::{KEYS, PARTITIONS};
use super::literal::{Literal, values};
use super::python::{string, strings};
use super::view::{CatalogTable, Rows, View};
use super::{attributions, by_dependency, python};
use crate::query::shape::Shape;
use crate::query::stored::StoredTable;

/// Returns the module. `has_files` says whether a stored table has files so far, and `catalog` returns
/// the rows of the tables that describe the jobs.
pub(crate) fn script(
    root: &str,
    shape: &Shape,
    has_files: impl Fn(StoredTable) -> bool,
    catalog: impl Fn(CatalogTable) -> RecordBatch,
) -> String {
    let stored = |table| {
        let columns = shape.columns_of(table);
        if has_files(table) {
            scan(root, table, columns)
        } else {
            no_rows(columns)
        }
    };
    let frames = by_dependency().map(|view| frame(view, shape, stored, &catalog));
    let header = format!(
        "\"\"\"The tables of whence as lazy frames: `attributions.head().collect()`, or \
         `sql(\"SELECT ...\").collect()`.\"\"\"\n\nimport polars as pl\n\n_KEYS = {}\n\
         _ATTRIBUTIONS = {}\n_CONTEXT = pl.SQLContext()\n\n\n\
         def _sql(query):\n    return _CONTEXT.execute(query, eager=False)\n\n\n\
         def sql(query):\n    return _sql(query)\n\n",
        strings(&KEYS),
        strings(&attributions::names())
    );
    header + &frames.collect::<Vec<_>>().join("\n")
}

/// Returns the definition of one view's frame.
fn frame(
    view: &View,
    shape: &Shape,
    stored: impl Fn(StoredTable) -> String,
    catalog: impl Fn(CatalogTable) -> RecordBatch,
) -> String {
    let name = view.name;
    let (functions, expression) = match view.rows {
        Rows::Stored(table) => ("", stored(table)),
        Rows::Catalog(table) => ("", literal_frame(&catalog(table))),
        Rows::Unnested(unnested) => (unnested.python, (unnested.polars)(shape)),
        Rows::Query(query) => ("", python::sql(&query(shape))),
    };
    let functions = match functions {
        "" => String::new(),
        functions => format!("\n{functions}\n\n"),
    };
    format!(
        "{functions}{name} = {expression}\n_CONTEXT.register({}, {name})",
        string(name)
    )
}

/// Returns the scan of all files of a stored table. Its schema is that of all jobs together: files
/// that lack a column, or a field of a struct, have nulls there.
fn scan(root: &str, table: StoredTable, columns: &Schema) -> String {
    let folder = format!("{}/{}/", root.trim_end_matches('/'), table.folder());
    format!(
        "pl.scan_parquet(\n    {},\n    glob=False,\n    schema={},\n    \
         hive_partitioning=True,\n    hive_schema={{{}}},\n    missing_columns=\"insert\",\n    \
         extra_columns=\"ignore\",\n    cast_options=pl.ScanCastOptions(\n        \
         missing_struct_fields=\"insert\", extra_struct_fields=\"ignore\"\n    ),\n)",
        string(&folder),
        dictionary(&typed(columns)),
        partitions().join(", ")
    )
}

/// Returns the frame of a stored table that has no file, which Polars would refuse to scan.
fn no_rows(columns: &Schema) -> String {
    let columns = [&typed(columns)[..], &partitions()].concat();
    format!("pl.LazyFrame(schema={})", dictionary(&columns))
}

/// Returns a Python dictionary with an entry per line.
fn dictionary(entries: &[String]) -> String {
    format!("{{\n        {},\n    }}", entries.join(",\n        "))
}

/// Returns the columns and their types, as entries of a Python dictionary.
fn typed(columns: &Schema) -> Vec<String> {
    let entry =
        |field: &FieldRef| format!("{}: {}", string(field.name()), data_type(field.data_type()));
    columns.fields().iter().map(entry).collect()
}

/// Returns the partition columns and their types, as entries of a Python dictionary.
fn partitions() -> [String; PARTITIONS.len()] {
    PARTITIONS.map(|name| format!("{}: pl.String", string(name)))
}

/// Returns a frame with the rows of `batch` in it.
fn literal_frame(batch: &RecordBatch) -> String {
    let schema = batch.schema();
    let column = |index: usize| {
        let field = schema.field(index);
        let texts: Vec<String> = values(batch, index)
            .iter()
            .map(|value| match value {
                Literal::Null => "None".to_owned(),
                Literal::Bare(text) => match text.as_str() {
                    "true" => "True".to_owned(),
                    "false" => "False".to_owned(),
                    number => number.to_owned(),
                },
                Literal::Text(text) => string(text),
            })
            .collect();
        let (of_type, more) = match field.data_type() {
            // Python has no literal for a time.
            DataType::Timestamp(..) => ("pl.String", ".str.to_datetime(time_zone=\"UTC\")"),
            other => (plain(other), ""),
        };
        format!(
            "    pl.Series({}, [{}], {of_type}){more},\n",
            string(field.name()),
            texts.join(", ")
        )
    };
    let columns: String = (0..batch.num_columns()).map(column).collect();
    format!("pl.LazyFrame([\n{columns}])")
}

/// Returns the Polars type of an Arrow type, as Python source.
fn data_type(of: &DataType) -> String {
    let fields = |fields: &Fields| {
        let fields = fields
            .iter()
            .map(|field| format!("{}: {}", string(field.name()), data_type(field.data_type())));
        fields.collect::<Vec<_>>().join(", ")
    };
    match of {
        DataType::List(element) | DataType::LargeList(element) => {
            format!("pl.List({})", data_type(element.data_type()))
        }
        DataType::Struct(of) => format!("pl.Struct({{{}}})", fields(of)),
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                arrow::datatypes::TimeUnit::Nanosecond => "ns",
                arrow::datatypes::TimeUnit::Microsecond => "us",
                _ => "ms",
            };
            let zone = zone.as_deref().map_or_else(|| "None".to_owned(), string);
            format!("pl.Datetime(\"{unit}\", {zone})")
        }
        DataType::Decimal128(precision, scale) => format!("pl.Decimal({precision}, {scale})"),
        other => plain(other).to_owned(),
    }
}

/// Returns the Polars type of an Arrow type without parameters.
fn plain(of: &DataType) -> &'static str {
    match of {
        DataType::Boolean => "pl.Boolean",
        DataType::Int8 => "pl.Int8",
        DataType::Int16 => "pl.Int16",
        DataType::Int32 => "pl.Int32",
        DataType::Int64 => "pl.Int64",
        DataType::UInt8 => "pl.UInt8",
        DataType::UInt16 => "pl.UInt16",
        DataType::UInt32 => "pl.UInt32",
        DataType::UInt64 => "pl.UInt64",
        DataType::Float16 => "pl.Float16",
        DataType::Float32 => "pl.Float32",
        DataType::Float64 => "pl.Float64",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "pl.Binary",
        DataType::Date32 | DataType::Date64 => "pl.Date",
        DataType::Time32(_) | DataType::Time64(_) => "pl.Time",
        DataType::Null => "pl.Null",
        _ => "pl.String",
    }
}
