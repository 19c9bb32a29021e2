//! `context_sensitive_tokens`: the tokens of the output that depend on a context.

use super::keys::{DATASET, EXAMPLE_ID, JOB, METHOD, MODEL, SAMPLE, keys};
use super::python::with_keys;
use super::view::{Column, LongTableKind, Rows, Unnested, View, column};

pub(super) const VIEW: View = View {
    name: "context_sensitive_tokens",
    about: "One row per output token that depends on a context (`attribute-context-dataset`). \
            `contexts.cti_scores` has the scores of the other tokens too.",
    columns: COLUMNS,
    rows: Rows::Unnested(Unnested {
        kind: LongTableKind::ContextSensitiveTokens,
        duckdb: |_| duckdb(),
        polars: |_| polars(),
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
    column(
        "position",
        "Position of the token in `contexts.output_tokens`, counted from 0.",
    ),
    column("token", "The token."),
    column("token_id", "Its id."),
    column(
        "char_start",
        "Its first character in `contexts.generated_text`, counted from 0; null for special tokens.",
    ),
    column("char_end", "The character after its last one."),
    column(
        "score",
        "How much it depends on the context: the job's CTI metric.",
    ),
    column(
        "rank",
        "1 for the largest `abs(score)` of the example; the earlier token wins a tie.",
    ),
    column(
        "contrast_token",
        "What it is contrasted with; null if the attributed function does not contrast.",
    ),
    column(
        "contextual_output",
        "The output up to the token, with its context (and the prompt of a decoder-only model).",
    ),
    column(
        "contextless_output",
        "The output without context that ends with `contrast_token`; null without it.",
    ),
    column(
        "cue_threshold",
        "Absolute value that the score of a context token had to reach to count as a cue.",
    ),
];

fn duckdb() -> String {
    format!(
        "SELECT {keys}, c['token_index'] AS position, tokens[c['token_index'] + 1] AS token,\n  \
         ids[c['token_index'] + 1] AS token_id, places[c['token_index'] + 1]['start'] AS char_start,\n  \
         places[c['token_index'] + 1]['end'] AS char_end, scores[c['token_index'] + 1] AS score, rank,\n  \
         c['contrast_token'] AS contrast_token, c['contextual_output'] AS contextual_output,\n  \
         c['contextless_output'] AS contextless_output, c['cue_threshold'] AS cue_threshold\nFROM (\n  \
         SELECT {keys}, output_tokens AS tokens, output_token_ids AS ids,\n    \
         output_token_offsets AS places, cti_scores AS scores,\n    \
         unnest(cues) AS c, unnest(range(1, len(cues) + 1)) AS rank\n  FROM contexts\n)",
        keys = keys()
    )
}

fn polars() -> String {
    let lists = with_keys(&[
        "output_tokens",
        "output_token_ids",
        "output_token_offsets",
        "cti_scores",
        "cues",
    ]);
    let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
    format!(
        "(\n    contexts.filter(pl.col(\"cues\").list.len() > 0)\n    .select({lists})\n    \
         .with_columns(rank=pl.int_ranges(1, pl.col(\"cues\").list.len() + 1))\n    \
         .explode(\"cues\", \"rank\").unnest(\"cues\").rename({{\"token_index\": \"position\"}})\n    \
         .with_columns(\n        token=pl.col(\"output_tokens\").list.get(\"position\"),\n        \
         token_id=pl.col(\"output_token_ids\").list.get(\"position\"),\n        \
         score=pl.col(\"cti_scores\").list.get(\"position\"),\n        \
         _place=pl.col(\"output_token_offsets\").list.get(\"position\"),\n    )\n    \
         .with_columns(\n        char_start=pl.col(\"_place\").struct.field(\"start\"),\n        \
         char_end=pl.col(\"_place\").struct.field(\"end\"),\n    )\n    .select({})\n)",
        with_keys(&names[6..])
    )
}
