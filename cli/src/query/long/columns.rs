//! The columns of the long tables: their types, and which columns of the slots they come from.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use whence_schemas::output;

use crate::query::shape::Shape;
use crate::query::views::find;
use crate::query::views::keys::{KEYS, PARTITIONS};
use crate::query::views::view::LongTableKind;

/// Returns the type of the partition columns: a dictionary, because each value repeats for every
/// row of a file.
pub(crate) fn partition_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8))
}

/// Returns the name that the table of `kind` has in SQL.
pub(super) fn name(kind: LongTableKind) -> &'static str {
    match kind {
        LongTableKind::Tokens => "tokens",
        LongTableKind::Steps => "steps",
        LongTableKind::StepScores => "step_scores",
        LongTableKind::Attributions => "attributions",
        LongTableKind::Alignments => "alignments",
        LongTableKind::WordAttributions => "word_attributions",
        LongTableKind::SequenceScores => "sequence_scores",
    }
}

/// Returns the schema of the table of `kind`, whose columns are those of its view.
pub(super) fn schema(kind: LongTableKind, shape: &Shape) -> Schema {
    let view = find(name(kind)).expect("every long table is a view");
    let of_steps = kind == LongTableKind::Steps;
    let columns = view.columns.iter().filter(|column| {
        !of_steps || column.name != output::STEP_SCORES || !shape.step_scores().is_empty()
    });
    let field = |column: &crate::query::views::view::Column| {
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
        "side" | "name" | "token" | "target_token" | "source_token" | "contrast_token"
        | "word_text" | "target_text" | "source_text" => DataType::Utf8View,
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

/// Returns the columns of the slots that are read for the columns `wanted` of the parts `parts`, as
/// paths: `steps.token`.
pub(super) fn needs(
    kind: LongTableKind,
    wanted: &BTreeSet<&str>,
    parts: &[&str],
) -> BTreeSet<String> {
    let mut needs = Needs {
        wanted,
        paths: BTreeSet::new(),
    };
    for key in [output::EXAMPLE_ID, output::SAMPLE] {
        needs.read_if(&[key], key);
    }
    match kind {
        LongTableKind::Tokens => needs.of_tokens(parts),
        LongTableKind::Steps => {
            needs.read("steps.step");
            needs.of_step_fields(&[]);
        }
        LongTableKind::StepScores => {
            needs.of_step_fields(&[output::NAME, "score"]);
            // All step scores, although only some are asked for: a file that has none of the fields
            // of a struct cannot be read.
            needs.read("steps.step");
            needs.read("steps.step_scores");
        }
        LongTableKind::Attributions | LongTableKind::Alignments => needs.of_scores(parts),
        LongTableKind::WordAttributions => needs.of_words(parts),
        LongTableKind::SequenceScores => {
            for column in [
                output::SEQUENCE_SCORES,
                output::SOURCE_TOKENS,
                output::TARGET_TOKENS,
            ] {
                needs.read(column);
            }
        }
    }
    needs.paths
}

/// The columns of the slots that are read.
struct Needs<'a> {
    wanted: &'a BTreeSet<&'a str>,
    paths: BTreeSet<String>,
}

impl Needs<'_> {
    fn read(&mut self, path: impl Into<String>) {
        self.paths.insert(path.into());
    }

    /// Reads `path` if one of `columns` is wanted.
    fn read_if(&mut self, columns: &[&str], path: impl Into<String>) {
        if columns.iter().any(|column| self.wanted.contains(column)) {
            self.read(path);
        }
    }

    fn of_tokens(&mut self, sides: &[&str]) {
        let of_places = ["char_start", "char_end", "word", "word_text"];
        for side in sides {
            self.read(format!("{side}_tokens"));
            self.read_if(&["token_id"], format!("{side}_token_ids"));
            self.read_if(&of_places, format!("{side}_token_offsets"));
            self.read_if(&["word_text"], text_of(side));
        }
    }

    fn of_scores(&mut self, sides: &[&str]) {
        for side in sides {
            self.read(format!("steps.{side}_scores"));
            self.read_if(&["source_token"], format!("{side}_tokens"));
            let places = format!("{side}_token_offsets");
            self.read_if(&["source_start", "source_end"], places);
        }
        self.of_shares();
        self.read_if(&["step"], "steps.step");
        self.read_if(&["target_pos"], "steps.target_pos");
        self.read_if(&["target_token"], "steps.token");
    }

    fn of_words(&mut self, sides: &[&str]) {
        self.read("steps.target_pos");
        self.read(output::TARGET_TOKENS);
        self.read(output::TARGET_TOKEN_OFFSETS);
        self.read_if(&["target_text"], output::GENERATED_TEXT);
        self.of_shares();
        for side in sides {
            self.read(format!("steps.{side}_scores"));
            self.read(format!("{side}_tokens"));
            self.read(format!("{side}_token_offsets"));
            self.read_if(&["source_text"], text_of(side));
        }
    }

    /// A share is a part of the scores of both sides.
    fn of_shares(&mut self) {
        self.read_if(&["share"], "steps.source_scores");
        self.read_if(&["share"], "steps.target_scores");
    }

    /// Reads the fields of a step that are wanted, which are all wanted columns but keys and
    /// `others`.
    fn of_step_fields(&mut self, others: &[&str]) {
        let wanted = self.wanted;
        for name in wanted
            .iter()
            .filter(|name| !KEYS.contains(name) && !others.contains(name))
        {
            self.read(format!("steps.{name}"));
        }
    }
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
