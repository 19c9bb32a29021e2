//! The columns of the long tables and their types, and those of the slots that are read for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use whence_schemas::{context_output, output};

use crate::query::shape::Shape;
use crate::query::views::VIEWS;
use crate::query::views::keys::PARTITIONS;
use crate::query::views::view::{Column, LongTableKind, Rows, View};

/// Returns the type of the partition columns: a dictionary, because each value repeats for every
/// row of a file.
pub(crate) fn partition_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8))
}

/// Returns the view with the rows of `kind`.
pub(super) fn view(kind: LongTableKind) -> &'static View {
    let has = |view: &&View| matches!(view.rows, Rows::Unnested(of) if of.kind == kind);
    VIEWS.iter().find(has).expect("every long table is a view")
}

/// Returns the schema of the table of `kind`, whose columns are those of its view.
pub(super) fn schema(kind: LongTableKind, shape: &Shape) -> Schema {
    let of_steps = kind == LongTableKind::Steps;
    let columns = view(kind).columns.iter().filter(|column| {
        !of_steps || column.name != output::STEP_SCORES || !shape.step_scores().is_empty()
    });
    let field = |column: &Column| {
        let of_type = data_type(kind, column.name, shape);
        Field::new(column.name, of_type, true)
    };
    Schema::new(columns.map(field).collect::<Fields>())
}

fn data_type(kind: LongTableKind, name: &str, shape: &Shape) -> DataType {
    match name {
        _ if PARTITIONS.contains(&name) => partition_type(),
        output::EXAMPLE_ID => DataType::Int64,
        output::SOURCE_SCORES | output::TARGET_SCORES => {
            DataType::List(output::element(DataType::Float32))
        }
        output::STEP_SCORES => step_scores_type(shape),
        "score" | "share" if kind == LongTableKind::WordAttributions => DataType::Float64,
        "score" | "share" => DataType::Float32,
        context_output::CUE_THRESHOLD => DataType::Float64,
        "is_cue" => DataType::Boolean,
        "side" | "name" | "token" | "target_token" | "source_token" | "contrast_token"
        | "word_text" | "target_text" | "source_text" | "context" | "contextual_output"
        | "contextless_output" => DataType::Utf8View,
        _ => DataType::Int32,
    }
}

fn step_scores_type(shape: &Shape) -> DataType {
    let scores = shape.step_scores().into_iter();
    DataType::Struct(
        scores
            .map(|name| Field::new(name, DataType::Float32, true))
            .collect(),
    )
}

/// Returns the column with the text of a side.
pub(super) fn text_of(side: &str) -> &'static str {
    if side == output::SIDE_SOURCE {
        output::INPUT_TEXT
    } else {
        output::GENERATED_TEXT
    }
}

/// Returns the columns and fields of `full` that are on one of the paths `needs`. Texts are views,
/// so that repeating one copies no characters.
pub(super) fn narrowed(full: &Schema, needs: &BTreeSet<String>) -> Schema {
    Schema::new(narrowed_fields(full.fields(), "", needs))
}

fn narrowed_fields(fields: &Fields, above: &str, needs: &BTreeSet<String>) -> Fields {
    let fields = fields.iter().filter_map(|field| {
        let path = format!("{above}{}", field.name());
        let below = format!("{path}.");
        let of_type = if needs.contains(&path) {
            viewed(field.data_type())
        } else if needs.iter().any(|need| need.starts_with(&below)) {
            narrowed_type(field.data_type(), &below, needs)
        } else {
            return None;
        };
        Some(Arc::new(field.as_ref().clone().with_data_type(of_type)))
    });
    fields.collect()
}

fn narrowed_type(of: &DataType, below: &str, needs: &BTreeSet<String>) -> DataType {
    match of {
        DataType::Struct(fields) => DataType::Struct(narrowed_fields(fields, below, needs)),
        DataType::List(element) => {
            let narrowed = narrowed_type(element.data_type(), below, needs);
            DataType::List(Arc::new(element.as_ref().clone().with_data_type(narrowed)))
        }
        other => viewed(other),
    }
}

fn viewed(of: &DataType) -> DataType {
    let with = |field: &Arc<Field>| {
        let of_type = viewed(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(of_type))
    };
    match of {
        DataType::Utf8 => DataType::Utf8View,
        DataType::List(element) => DataType::List(with(element)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(with).collect()),
        other => other.clone(),
    }
}
