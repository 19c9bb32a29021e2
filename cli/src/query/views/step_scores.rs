//! `step_scores`: one row per step score of a generated token.

use super::keys::{DATASET, EXAMPLE_ID, JOB, METHOD, MODEL, SAMPLE, STEP, TARGET_POS, keys};
use super::python::{self, with_keys};
use super::steps::TOKEN;
use super::view::{Column, LongTableKind, Rows, Unnested, View, column};
use crate::query::shape::Shape;

pub(super) const VIEW: View = View {
    name: "step_scores",
    about: "One row per generated token and step score (`--step-scores`, and scores that the method \
            records itself).",
    columns: COLUMNS,
    rows: Rows::Unnested(Unnested {
        kind: LongTableKind::StepScores,
        duckdb,
        polars,
        python: "",
    }),
};

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
    column("name", "Name of the step function."),
    column("score", "Its value."),
];

fn duckdb(shape: &Shape) -> String {
    let keys = keys();
    let names = shape.step_scores();
    if names.is_empty() {
        return format!(
            "SELECT {keys}, step, target_pos, token, CAST(NULL AS VARCHAR) AS name, \
             CAST(NULL AS FLOAT) AS score\nFROM steps WHERE false"
        );
    }
    let pair = |name: &&str| {
        let name = name.replace('\'', "''");
        format!("{{'name': '{name}', 'score': step_scores['{name}']}}")
    };
    let pairs: Vec<_> = names.iter().map(pair).collect();
    format!(
        "SELECT {keys}, step, target_pos, token, pair['name'] AS name, pair['score'] AS score\n\
         FROM (SELECT {keys}, step, target_pos, token, unnest([{}]) AS pair FROM steps)\n\
         WHERE pair['score'] IS NOT NULL",
        pairs.join(", ")
    )
}

fn polars(shape: &Shape) -> String {
    let ids = with_keys(&["step", "target_pos", "token"]);
    let names = shape.step_scores();
    if names.is_empty() {
        return format!(
            "steps.select({ids}).limit(0).with_columns(name=pl.lit(None, pl.String), \
             score=pl.lit(None, pl.Float32))"
        );
    }
    let frame = |name: &&str| {
        let name = python::string(name);
        format!(
            "steps.select({ids} + [pl.lit({name}).alias(\"name\"), \
             pl.col(\"step_scores\").struct.field({name}).alias(\"score\")])"
        )
    };
    let frames: Vec<_> = names.iter().map(frame).collect();
    format!(
        "pl.concat([\n    {},\n]).filter(pl.col(\"score\").is_not_null())",
        frames.join(",\n    ")
    )
}
