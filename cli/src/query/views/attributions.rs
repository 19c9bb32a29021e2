//! `attributions`: the long form, one row per score.

use whence_schemas::output;

use super::keys::{DATASET, EXAMPLE_ID, JOB, METHOD, MODEL, SAMPLE, STEP, TARGET_POS, keys};
use super::view::{Column, LongTableKind, Rows, Unnested, View, column};

pub(super) const VIEW: View = View {
    name: "attributions",
    about: "One row per score: how much one token contributed to one generated token.",
    columns: COLUMNS,
    rows: Rows::Unnested(Unnested {
        kind: LongTableKind::Attributions,
        duckdb: |_| duckdb(),
        polars: |_| "pl.concat([_scores_of(\"source\"), _scores_of(\"target\")])".to_owned(),
        python: PYTHON,
    }),
};

pub(super) const COLUMNS: &[Column] = &[
    JOB,
    MODEL,
    METHOD,
    DATASET,
    EXAMPLE_ID,
    SAMPLE,
    STEP,
    TARGET_POS,
    column("target_token", "The generated token."),
    column(
        "side",
        "Where the attributed token is: `source` (encoder) or `target` (prompt and prefix).",
    ),
    column(
        "source_position",
        "Position of the attributed token among those of its side, counted from 0.",
    ),
    column("source_token", "The attributed token."),
    column(
        "source_start",
        "Its first character in the side's text, counted from 0; null for special tokens.",
    ),
    column("source_end", "The character after its last one."),
    column("score", "Its attribution score."),
    column(
        "share",
        "Its part of the step: `abs(score)` divided by the sum of those of both sides. Null if all \
         are 0.",
    ),
    column(
        "rank",
        "1 for the largest `abs(score)` of the side in the step; the earlier token wins a tie.",
    ),
];

/// The Python functions that the expression for Polars calls.
const PYTHON: &str = r#"def _scores_of(side):
    scores = pl.col("step_struct").struct.field(f"{side}_scores")
    total = sum(
        pl.col("step_struct").struct.field(name).list.eval(pl.element().abs()).list.sum().fill_null(0)
        for name in ("source_scores", "target_scores")
    )
    rank = pl.element().abs().rank("ordinal", descending=True)
    return (
        slots.filter(pl.col("steps").list.len() > 0)
        .select(*_KEYS, f"{side}_tokens", f"{side}_token_offsets", pl.col("steps").alias("step_struct"))
        .explode("step_struct")
        .filter(scores.list.len() > 0)
        .select(
            *_KEYS,
            pl.col("step_struct").struct.field("step"),
            pl.col("step_struct").struct.field("target_pos"),
            pl.col("step_struct").struct.field("token").alias("target_token"),
            pl.lit(side).alias("side"),
            pl.int_ranges(0, scores.list.len()).alias("source_position"),
            pl.col(f"{side}_tokens").list.head(scores.list.len()).alias("source_token"),
            pl.col(f"{side}_token_offsets").list.head(scores.list.len()).alias("_place"),
            scores.alias("score"),
            total.alias("_total"),
            scores.list.eval(rank).alias("rank"),
        )
        .explode("source_position", "source_token", "_place", "score", "rank")
        .with_columns(
            source_start=pl.col("_place").struct.field("start"),
            source_end=pl.col("_place").struct.field("end"),
            share=pl.when(pl.col("_total") > 0).then(pl.col("score").abs() / pl.col("_total")),
        )
        .select(_ATTRIBUTIONS)
    )
"#;

/// Returns the names of the columns.
pub(super) fn names() -> Vec<&'static str> {
    COLUMNS.iter().map(|column| column.name).collect()
}

fn duckdb() -> String {
    let names = names().join(", ");
    let names = names.replace("source_start", "place['start'] AS source_start");
    let names = names.replace("source_end", "place['end'] AS source_end");
    format!(
        "SELECT {names}\nFROM (\n  {}\n  UNION ALL\n  {}\n)",
        scores_of_side(
            "source",
            [output::SOURCE_TOKENS, output::SOURCE_TOKEN_OFFSETS].map(str::to_owned)
        ),
        // The prefix is as long as its scores; the token lists of the target are longer.
        scores_of_side(
            "target",
            [output::TARGET_TOKENS, output::TARGET_TOKEN_OFFSETS]
                .map(|list| format!("{list}[1:len(s['target_scores'])]"))
        )
    )
}

/// Returns DuckDB's query for the scores of one side. Tokens, places and scores of a step are lists
/// of the same length, which are unnested together.
fn scores_of_side(side: &str, [tokens, places]: [String; 2]) -> String {
    let keys = keys();
    let sum = |side: &str| format!("coalesce(list_sum([abs(x) FOR x IN s['{side}_scores']]), 0)");
    format!(
        "SELECT {keys}, step, target_pos, target_token, '{side}' AS side,\n    \
         unnest(range(len(scores))) AS source_position, unnest(tokens) AS source_token,\n    \
         unnest(places) AS place, unnest(scores) AS score,\n    \
         unnest([abs(x) / total FOR x IN scores]) AS share,\n    \
         unnest(list_grade_up(list_grade_up([-abs(x) FOR x IN scores]))) AS rank\n  FROM (\n    \
         SELECT {keys}, s['step'] AS step, s['target_pos'] AS target_pos, s['token'] AS target_token,\n      \
         {tokens} AS tokens, {places} AS places, s['{side}_scores'] AS scores,\n      \
         nullif({} + {}, 0) AS total\n    \
         FROM (SELECT {keys}, {side}_tokens, {side}_token_offsets, unnest(steps) AS s FROM slots)\n    \
         WHERE s['{side}_scores'] IS NOT NULL\n  )",
        sum("source"),
        sum("target")
    )
}
