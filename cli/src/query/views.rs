//! The SQL views that users query, defined on top of the table of slots.
//!
//! All engines share one definition of each view. They differ in a few functions and in how they
//! access struct fields; [`Dialect`] covers these differences.

use arrow::datatypes::{DataType, Schema};
use whence_schemas::output;

/// Columns whose values come from the slots' paths, outermost folder first.
pub(crate) const PARTITIONS: [&str; 4] = ["model", "method", "dataset", "job"];
/// Name of the table of slots, on which the views are defined.
pub(crate) const SLOTS: &str = "slots";

/// The tables and views meant for users, suggested when a name is unknown.
pub const TABLES: &[&str] = &[
    "jobs",
    "examples",
    "steps",
    "attributions",
    "sequence_scores",
];

/// The engine whose SQL to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialect {
    /// `whence sql`, where the table of slots is registered.
    DataFusion,
    /// DuckDB, which reads the table files directly.
    DuckDb {
        /// The storage root: a path, or a bucket's URL.
        root: String,
    },
}

/// Returns the name of each view and the statement that creates it. `schema` is that of the slots.
pub fn statements(schema: &Schema, dialect: &Dialect) -> Vec<(&'static str, String)> {
    let columns = Columns::new(schema);
    let mut views = vec![
        ("examples", examples(&columns)),
        ("steps", steps(&columns, dialect)),
        ("attributions", attributions(dialect)),
        ("sequence_scores", sequence_scores()),
    ];
    if let Dialect::DuckDb { root } = dialect {
        views.insert(0, (SLOTS, duckdb_slots(root)));
    }
    let statement = |(name, query)| (name, format!("CREATE OR REPLACE VIEW {name} AS\n{query}"));
    views.into_iter().map(statement).collect()
}

/// Which optional columns the slots have.
struct Columns {
    carried: bool,
    step_scores: bool,
}

impl Columns {
    fn new(schema: &Schema) -> Self {
        let steps = schema
            .field_with_name(output::STEPS)
            .map(arrow::datatypes::Field::data_type);
        let step_scores = match steps {
            Ok(DataType::List(step)) => match step.data_type() {
                DataType::Struct(fields) => fields.find(output::STEP_SCORES).is_some(),
                _ => false,
            },
            _ => false,
        };
        Self {
            carried: schema.field_with_name(output::COLUMNS).is_ok(),
            step_scores,
        }
    }
}

fn duckdb_slots(root: &str) -> String {
    let root = glob_escaped(root.trim_end_matches('/')).replace('\'', "''");
    format!(
        "SELECT * FROM read_parquet('{root}/{}/*/*/*/*/part-*.parquet', \
         hive_partitioning = true, union_by_name = true)",
        whence_schemas::layout::ATTRIBUTIONS
    )
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

fn keys() -> String {
    let [model, method, dataset, job] = PARTITIONS;
    format!("{job}, {model}, {method}, {dataset}, example_id, sample")
}

fn examples(columns: &Columns) -> String {
    let carried = if columns.carried { ", columns" } else { "" };
    format!(
        "SELECT {}, status, error_code, error_message, input_text, generated_text, target_forced,\n  \
         source_tokens, source_token_ids, source_token_offsets,\n  target_tokens, \
         target_token_ids, target_token_offsets, attr_pos_start, attr_pos_end{carried}\nFROM {SLOTS}",
        keys()
    )
}

fn steps(columns: &Columns, dialect: &Dialect) -> String {
    let field = |name: &str| match dialect {
        Dialect::DataFusion => format!("s['{name}'] AS {name}"),
        Dialect::DuckDb { .. } => format!("s.{name} AS {name}"),
    };
    let mut fields = vec![
        output::STEP,
        output::TARGET_POS,
        output::TOKEN,
        output::TOKEN_ID,
        output::CONTRAST_TOKEN,
        output::SOURCE_SCORES,
        output::TARGET_SCORES,
    ];
    if columns.step_scores {
        fields.push(output::STEP_SCORES);
    }
    let fields: Vec<_> = fields.into_iter().map(field).collect();
    format!(
        "SELECT {keys}, {}\nFROM (SELECT {keys}, unnest(steps) AS s FROM {SLOTS})",
        fields.join(", "),
        keys = keys()
    )
}

/// Returns the query of `attributions`, the long view with one row per score.
///
/// On each side of a step, tokens, offsets and scores are lists of the same length, so engines can
/// unnest them together. Target tokens are cut to the step's prefix to make that true.
fn attributions(dialect: &Dialect) -> String {
    let (of_step, positions) = match dialect {
        Dialect::DataFusion => (
            ["s['step']", "s['token']"],
            "range(0, CAST(array_length(scores) AS BIGINT))",
        ),
        Dialect::DuckDb { .. } => (["s.step", "s.token"], "range(len(scores))"),
    };
    let scores = |name: &str| match dialect {
        Dialect::DataFusion => format!("s['{name}']"),
        Dialect::DuckDb { .. } => format!("s.{name}"),
    };
    let (source_scores, target_scores) =
        (scores(output::SOURCE_SCORES), scores(output::TARGET_SCORES));
    let prefix = |list: &str| match dialect {
        Dialect::DataFusion => {
            format!("array_slice({list}, 1, CAST(array_length({target_scores}) AS BIGINT))")
        }
        Dialect::DuckDb { .. } => format!("{list}[1:len({target_scores})]"),
    };
    let side = |side: &str, lists: [&str; 2], scores: &str| {
        scores_of_side(side, (of_step, lists), scores, positions)
    };
    format!(
        "SELECT {}, step, target_token, side, source_position, source_token,\n  \
         place['{}'] AS source_start, place['{}'] AS source_end, score\nFROM (\n  {}\n  UNION ALL\n  {}\n)",
        keys(),
        output::START,
        output::END,
        side(
            "source",
            [output::SOURCE_TOKENS, output::SOURCE_TOKEN_OFFSETS],
            &source_scores
        ),
        side(
            "target",
            [
                &prefix(output::TARGET_TOKENS),
                &prefix(output::TARGET_TOKEN_OFFSETS)
            ],
            &target_scores
        )
    )
}

/// Returns the query for the scores of one side, with one row per token and step.
fn scores_of_side(
    side: &str,
    ([step, token], [tokens, offsets]): ([&str; 2], [&str; 2]),
    scores: &str,
    positions: &str,
) -> String {
    format!(
        "SELECT {keys}, step, target_token, '{side}' AS side,\n    \
         unnest({positions}) AS source_position, unnest(tokens) AS source_token, \
         unnest(offsets) AS place, unnest(scores) AS score\n  FROM (\n    \
         SELECT {keys}, {step} AS step, {token} AS target_token, {tokens} AS tokens, \
         {offsets} AS offsets, {scores} AS scores\n    \
         FROM (SELECT {keys}, source_tokens, source_token_offsets, target_tokens, \
         target_token_offsets,\n      unnest(steps) AS s FROM {SLOTS})\n    \
         WHERE {scores} IS NOT NULL\n  )",
        keys = keys()
    )
}

/// Returns the query of `sequence_scores`, the scores between tokens of the same stack, with one
/// row per score. It needs no dialect, because both engines know all of its functions by these
/// names.
fn sequence_scores() -> String {
    let field = |name: &str| format!("s['{name}']");
    let [name, side, position, scores] =
        [output::NAME, output::SIDE, output::POSITION, output::SCORES].map(field);
    let count = format!("CAST(array_length({scores}) AS BIGINT)");
    format!(
        "SELECT {keys}, {name} AS name, {side} AS side,\n  \
         {position} AS target_position, tokens[{position} + 1] AS target_token,\n  \
         unnest(range(0, {count})) AS source_position,\n  \
         unnest(array_slice(tokens, 1, {count})) AS source_token, unnest({scores}) AS score\nFROM (\n  \
         SELECT {keys}, s, CASE WHEN {side} = '{source}' THEN {sources} ELSE {targets} END AS tokens\n  \
         FROM (SELECT {keys}, {sources}, {targets}, unnest({column}) AS s FROM {SLOTS})\n)",
        keys = keys(),
        source = output::SIDE_SOURCE,
        sources = output::SOURCE_TOKENS,
        targets = output::TARGET_TOKENS,
        column = output::SEQUENCE_SCORES,
    )
}
