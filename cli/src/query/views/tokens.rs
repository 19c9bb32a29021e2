//! `tokens`: one row per token of an example, and the word that it is part of.
//!
//! A word is a run of tokens with nothing between them in the text, so punctuation belongs to the
//! word it follows. A token without a place in the text, such as `</s>`, is a word of its own.

use super::keys::{DATASET, EXAMPLE_ID, JOB, METHOD, MODEL, SAMPLE, keys};
use super::python::with_keys;
use super::view::{Column, LongTableKind, Rows, Unnested, View, column};

pub(super) const VIEW: View = View {
    name: "tokens",
    about: "One row per token of an example, on both sides.",
    columns: COLUMNS,
    rows: Rows::Unnested(Unnested {
        kind: LongTableKind::Tokens,
        duckdb: |_| duckdb(),
        polars: |_| {
            let words = with_keys(&["side", "word"]);
            format!(
                "(\n    pl.concat([_tokens_of(\"source\", \"input_text\"), \
                 _tokens_of(\"target\", \"generated_text\")])\n    \
                 .with_columns(_first=pl.col(\"char_start\").min().over({words}), \
                 _last=pl.col(\"char_end\").max().over({words}))\n    \
                 .with_columns(word_text=pl.when(pl.col(\"char_start\").is_null()).then(\"token\")\n        \
                 .otherwise(pl.col(\"_text\").str.slice(pl.col(\"_first\"), pl.col(\"_last\") - \
                 pl.col(\"_first\"))))\n    .select({})\n)",
                with_keys(&names()[6..])
            )
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
    column("side", "`source` (encoder) or `target` (decoder)."),
    column(
        "position",
        "Position among the tokens of its side, counted from 0.",
    ),
    column("token", "The token."),
    column(
        "token_id",
        "Its id; -1 for a token that was merged from several.",
    ),
    column(
        "char_start",
        "Its first character in the text, counted from 0; null for special tokens.",
    ),
    column("char_end", "The character after its last one."),
    column(
        "word",
        "Number of its word among those of its side. A word is what has no space in it; a special \
         token is a word of its own.",
    ),
    column("word_text", "The word's text."),
];

fn names() -> Vec<&'static str> {
    COLUMNS.iter().map(|column| column.name).collect()
}

/// The Python functions that the expression for Polars calls.
const PYTHON: &str = r#"def _tokens_of(side, text):
    tokens, ids, places = (f"{side}_{name}" for name in ("tokens", "token_ids", "token_offsets"))
    start, end = pl.col("char_start"), pl.col("char_end")
    continues = start <= end.shift(1).over(_KEYS)
    return (
        slots.filter(pl.col(tokens).list.len() > 0)
        .select(
            *_KEYS,
            pl.lit(side).alias("side"),
            pl.int_ranges(0, pl.col(tokens).list.len()).alias("position"),
            pl.col(tokens).alias("token"),
            pl.col(ids).alias("token_id"),
            pl.col(places).alias("_place"),
            pl.col(text).alias("_text"),
        )
        .explode("position", "token", "token_id", "_place")
        .with_columns(
            char_start=pl.col("_place").struct.field("start"),
            char_end=pl.col("_place").struct.field("end"),
        )
        .with_columns(word=(~continues.fill_null(False)).cast(pl.Int64).cum_sum().over(_KEYS) - 1)
    )
"#;

fn duckdb() -> String {
    let keys = keys();
    let of_side = |side: &str, text: &str| {
        format!(
            "SELECT {keys}, '{side}' AS side, {text} AS text,\n      \
             unnest(range(len({side}_tokens))) AS position, unnest({side}_tokens) AS token,\n      \
             unnest({side}_token_ids) AS token_id, unnest({side}_token_offsets) AS place FROM slots"
        )
    };
    format!(
        "SELECT {keys}, side, position, token, token_id, place['start'] AS char_start, \
         place['end'] AS char_end, word,\n  \
         CASE WHEN place IS NULL THEN token ELSE substr(text, min(place['start']) OVER of_word + 1,\n    \
         max(place['end']) OVER of_word - min(place['start']) OVER of_word) END AS word_text\nFROM (\n  \
         SELECT *, sum(CASE WHEN continues THEN 0 ELSE 1 END) OVER \
         (PARTITION BY {keys}, side ORDER BY position) - 1 AS word\n  FROM (\n    \
         SELECT *, coalesce(place['start'] <= lag(place['end']) OVER \
         (PARTITION BY {keys}, side ORDER BY position), false) AS continues\n    FROM (\n      \
         {}\n      UNION ALL\n      {}\n    )\n  )\n)\nWINDOW of_word AS (PARTITION BY {keys}, side, word)",
        of_side("source", "input_text"),
        of_side("target", "generated_text")
    )
}
