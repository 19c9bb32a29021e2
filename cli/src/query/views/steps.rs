//! `steps`: one row per generated token.

use whence_schemas::output;

use super::keys::{DATASET, EXAMPLE_ID, JOB, METHOD, MODEL, SAMPLE, STEP, TARGET_POS, keys};
use super::python::with_keys;
use super::view::{Column, LongTableKind, Rows, Unnested, View, column};
use crate::query::shape::Shape;

pub(super) const VIEW: View = View {
    name: "steps",
    about: "One row per generated token that was attributed.",
    columns: COLUMNS,
    rows: Rows::Unnested(Unnested {
        kind: LongTableKind::Steps,
        duckdb: |shape| {
            let fields: Vec<_> = fields(shape)
                .into_iter()
                .map(|name| format!("s['{name}'] AS {name}"))
                .collect();
            format!(
                "SELECT {keys}, {}\nFROM (SELECT {keys}, unnest(steps) AS s FROM slots)",
                fields.join(", "),
                keys = keys()
            )
        },
        polars: |shape| {
            format!(
                "(\n    slots.select({}).filter(pl.col(\"steps\").list.len() > 0)\n    \
                 .explode(\"steps\").unnest(\"steps\")\n    .select({})\n)",
                with_keys(&[output::STEPS]),
                with_keys(&fields(shape))
            )
        },
        python: "",
    }),
};

pub(super) const TOKEN: Column = column("token", "The generated token.");

const COLUMNS: &[Column] = &[
    JOB,
    MODEL,
    METHOD,
    DATASET,
    EXAMPLE_ID,
    SAMPLE,
    STEP,
    TARGET_POS,
    TOKEN,
    column("token_id", "Its id."),
    column(
        "contrast_token",
        "The token it is contrasted with; null if the job has no contrast.",
    ),
    column("contrast_token_id", "The contrast token's id."),
    column(
        "source_scores",
        "One score per token of the encoder; null for decoder-only models.",
    ),
    column(
        "target_scores",
        "One score per earlier token of the decoder; null if the job did not attribute the prefix.",
    ),
    column(
        "step_scores",
        "The step scores as a struct: `step_scores['probability']`. Missing if no job has any.",
    ),
];

/// Returns the fields of a step in tables of this shape.
fn fields(shape: &Shape) -> Vec<&'static str> {
    let names = COLUMNS.iter().map(|column| column.name).skip(6);
    let names =
        names.filter(|name| *name != output::STEP_SCORES || !shape.step_scores().is_empty());
    names.collect()
}
