//! `word_attributions`: scores between words, merged from those of their tokens.

use super::keys::{DATASET, EXAMPLE_ID, JOB, KEYS, METHOD, MODEL, SAMPLE, keys_of};
use super::python;
use super::view::{Column, LongTableKind, Rows, Unnested, View, column};

pub(super) const VIEW: View = View {
    name: "word_attributions",
    about: "One row per generated word and attributed word. Scores are summed over the tokens of the \
            attributed word, and averaged over the tokens of the generated word.",
    columns: COLUMNS,
    rows: Rows::Unnested(Unnested {
        kind: LongTableKind::WordAttributions,
        duckdb: |_| query(),
        polars: |_| python::sql(&query()),
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
        "target_word",
        "Number of the generated word, as `tokens.word`.",
    ),
    column("target_text", "The generated word."),
    column(
        "side",
        "Where the attributed word is: `source` (encoder) or `target` (prompt and prefix).",
    ),
    column(
        "source_word",
        "Number of the attributed word, as `tokens.word`.",
    ),
    column(
        "source_text",
        "The attributed word. On the target side, the last one may be the generated word itself: its \
         later tokens see its earlier ones.",
    ),
    column("score", "Its attribution score."),
    column(
        "share",
        "Its part of the generated word, as `attributions.share`.",
    ),
];

fn query() -> String {
    let joined = |alias: &str| {
        let equal = KEYS.map(|key| format!("{alias}.{key} = a.{key}"));
        equal.join(" AND ")
    };
    format!(
        "SELECT {keys}, t.word AS target_word, t.word_text AS target_text, a.side, \
         s.word AS source_word, s.word_text AS source_text, \
         sum(a.score) / count(DISTINCT a.step) AS score, \
         sum(a.share) / count(DISTINCT a.step) AS share \
         FROM attributions a \
         JOIN tokens t ON {} AND t.side = 'target' AND t.position = a.target_pos \
         JOIN tokens s ON {} AND s.side = a.side AND s.position = a.source_position \
         GROUP BY {keys}, t.word, t.word_text, a.side, s.word, s.word_text",
        joined("t"),
        joined("s"),
        keys = keys_of("a")
    )
}
