//! `context_attributions`: how much each token of a context contributed to a token that depends on it.

use super::keys::{DATASET, EXAMPLE_ID, JOB, METHOD, MODEL, SAMPLE, keys};
use super::view::{Column, LongTableKind, Rows, Unnested, View, column};

pub(super) const VIEW: View = View {
    name: "context_attributions",
    about: "One row per context-sensitive token and token of a context (`attribute-context-dataset`): \
            how much the one contributed to the other.",
    columns: COLUMNS,
    rows: Rows::Unnested(Unnested {
        kind: LongTableKind::ContextAttributions,
        duckdb: |_| duckdb(),
        polars: |_| {
            "pl.concat([_scores_of_context(\"input\"), _scores_of_context(\"output\")])".to_owned()
        },
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
    column(
        "target_position",
        "Position of the context-sensitive token, as `context_sensitive_tokens.position`.",
    ),
    column("target_token", "The context-sensitive token."),
    column(
        "context",
        "Where the token of the context is: `input` (in the input's context) or `output`.",
    ),
    column(
        "source_position",
        "Position of the context's token among those of its context, counted from 0.",
    ),
    column("source_token", "The context's token."),
    column(
        "source_start",
        "Its first character in the context's text, counted from 0; null for special tokens.",
    ),
    column("source_end", "The character after its last one."),
    column(
        "score",
        "How much it contributed (CCI): its attribution score.",
    ),
    column(
        "rank",
        "1 for the largest `abs(score)` of the context; the earlier token wins a tie.",
    ),
    column("is_cue", "Whether it was selected as a cue."),
];

/// The Python functions that the expression for Polars calls.
const PYTHON: &str = r#"def _scores_of_context(context):
    tokens, places = f"{context}_context_tokens", f"{context}_context_token_offsets"
    scores, cues = pl.col(f"{context}_context_scores"), f"{context}_cues"
    rank = pl.element().abs().rank("ordinal", descending=True)
    return (
        contexts.filter(pl.col("cues").list.len() > 0)
        .select(*_KEYS, "output_tokens", tokens, places, "cues")
        .explode("cues")
        .unnest("cues")
        .filter(scores.list.len() > 0)
        .select(
            *_KEYS,
            pl.col("token_index").alias("target_position"),
            pl.col("output_tokens").list.get(pl.col("token_index")).alias("target_token"),
            pl.lit(context).alias("context"),
            pl.int_ranges(0, scores.list.len()).alias("source_position"),
            pl.col(tokens).alias("source_token"),
            pl.col(places).alias("_place"),
            pl.col(cues).alias("_cues"),
            scores.alias("score"),
            scores.list.eval(rank).alias("rank"),
        )
        .explode("source_position", "source_token", "_place", "score", "rank")
        .with_columns(
            source_start=pl.col("_place").struct.field("start"),
            source_end=pl.col("_place").struct.field("end"),
            is_cue=pl.col("_cues").list.contains(pl.col("source_position")),
        )
        .select(
            *_KEYS, "target_position", "target_token", "context", "source_position", "source_token",
            "source_start", "source_end", "score", "rank", "is_cue",
        )
    )
"#;

fn duckdb() -> String {
    format!(
        "SELECT {}, target_position, target_token, context, source_position, source_token,\n  \
         place['start'] AS source_start, place['end'] AS source_end, score, rank,\n  \
         list_contains(cues, source_position) AS is_cue\nFROM (\n  {}\n  UNION ALL\n  {}\n)",
        keys(),
        scores_of_context("input"),
        scores_of_context("output")
    )
}

/// Returns DuckDB's query for the scores of one context. Tokens, places and scores are lists of the
/// same length, which are unnested together.
fn scores_of_context(context: &str) -> String {
    let keys = keys();
    format!(
        "SELECT {keys}, target_position, target_token, '{context}' AS context, cues,\n    \
         unnest(range(len(scores))) AS source_position, unnest(tokens) AS source_token,\n    \
         unnest(places) AS place, unnest(scores) AS score,\n    \
         unnest(list_grade_up(list_grade_up([-abs(x) FOR x IN scores]))) AS rank\n  FROM (\n    \
         SELECT {keys}, c['token_index'] AS target_position,\n      \
         output_tokens[c['token_index'] + 1] AS target_token, tokens, places,\n      \
         c['{context}_context_scores'] AS scores, c['{context}_cues'] AS cues\n    FROM (\n      \
         SELECT {keys}, output_tokens, {context}_context_tokens AS tokens,\n        \
         {context}_context_token_offsets AS places, unnest(cues) AS c FROM contexts\n    )\n    \
         WHERE c['{context}_context_scores'] IS NOT NULL\n  )"
    )
}
