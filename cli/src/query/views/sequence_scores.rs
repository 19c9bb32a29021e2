//! `sequence_scores`: the scores between tokens of one sequence.

use whence_schemas::output;

use super::keys::{DATASET, EXAMPLE_ID, JOB, METHOD, MODEL, SAMPLE, keys};
use super::view::{Column, LongTableKind, Rows, Unnested, View, column};

pub(super) const VIEW: View = View {
    name: "sequence_scores",
    about: "One row per score between two tokens of the encoder or two of the decoder, if the job \
            recorded them (`output_encoder_self_scores`, `output_decoder_self_scores`).",
    columns: COLUMNS,
    rows: Rows::Unnested(Unnested {
        kind: LongTableKind::SequenceScores,
        duckdb: |_| duckdb(),
        polars: |_| {
            "pl.concat([_sequence_scores_of(\"source\"), _sequence_scores_of(\"target\")])"
                .to_owned()
        },
        python: PYTHON,
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
        "name",
        "Kind of the scores, such as `encoder_self_attentions`.",
    ),
    column("side", "`source` (encoder) or `target` (decoder)."),
    column(
        "target_position",
        "Position of the query token; on the target side, of the token that it predicts.",
    ),
    column("target_token", "That token."),
    column("source_position", "Position of the key token."),
    column("source_token", "The key token."),
    column("score", "The score."),
];

/// The Python functions that the expression for Polars calls.
const PYTHON: &str = r#"def _sequence_scores_of(side):
    scores = pl.col("scores")
    return (
        slots.filter(pl.col("sequence_scores").list.len() > 0)
        .select(*_KEYS, pl.col(f"{side}_tokens").alias("_tokens"), "sequence_scores")
        .explode("sequence_scores")
        .unnest("sequence_scores")
        .filter((pl.col("side") == side) & (scores.list.len() > 0))
        .select(
            *_KEYS,
            "name",
            "side",
            pl.col("position").alias("target_position"),
            pl.col("_tokens").list.get(pl.col("position"), null_on_oob=True).alias("target_token"),
            pl.int_ranges(0, scores.list.len()).alias("source_position"),
            pl.col("_tokens").list.head(scores.list.len()).alias("source_token"),
            scores.alias("score"),
        )
        .explode("source_position", "source_token", "score")
    )
"#;

fn duckdb() -> String {
    let keys = keys();
    let field = |name: &str| format!("s['{name}']");
    let [name, side, position, scores] =
        [output::NAME, output::SIDE, output::POSITION, output::SCORES].map(field);
    format!(
        "SELECT {keys}, {name} AS name, {side} AS side,\n  \
         {position} AS target_position, tokens[{position} + 1] AS target_token,\n  \
         unnest(range(len({scores}))) AS source_position,\n  \
         unnest(tokens[1:len({scores})]) AS source_token, unnest({scores}) AS score\nFROM (\n  \
         SELECT {keys}, s, CASE WHEN {side} = '{source}' THEN {sources} ELSE {targets} END AS tokens\n  \
         FROM (SELECT {keys}, {sources}, {targets}, unnest({column}) AS s FROM slots)\n)",
        source = output::SIDE_SOURCE,
        sources = output::SOURCE_TOKENS,
        targets = output::TARGET_TOKENS,
        column = output::SEQUENCE_SCORES,
    )
}
