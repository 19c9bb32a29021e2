//! `examples`: one row per example, with its texts and tokens.

use whence_schemas::output;

use super::keys::{DATASET, EXAMPLE_ID, JOB, METHOD, MODEL, SAMPLE};
use super::view::{Column, Rows, View, column};
use crate::query::shape::Shape;

pub(super) const VIEW: View = View {
    name: "examples",
    about: "One row per example: its texts, its tokens, and what went wrong if it has no scores.",
    columns: COLUMNS,
    rows: Rows::Query(query),
};

pub(super) const STATUS: Column = column("status", "`ok`, or `error` if it has no scores.");
pub(super) const ERROR_CODE: Column = column("error_code", "Kind of the error; null if `ok`.");
pub(super) const ERROR_MESSAGE: Column = column(
    "error_message",
    "What went wrong and what to do about it; null if `ok`.",
);
pub(super) const INPUT_TEXT: Column = column(
    "input_text",
    "The text given to the model; null if the row had none.",
);
pub(super) const GENERATED_TEXT: Column = column(
    "generated_text",
    "The target text; for decoder-only models it begins with the prompt.",
);
pub(super) const TARGET_FORCED: Column = column(
    "target_forced",
    "Whether the dataset gave the target, instead of the model.",
);
pub(super) const SOURCE_TOKENS: Column = column(
    "source_tokens",
    "Tokens of the encoder; empty for decoder-only models.",
);
pub(super) const SOURCE_TOKEN_IDS: Column = column("source_token_ids", "Their ids.");
pub(super) const SOURCE_TOKEN_OFFSETS: Column = column(
    "source_token_offsets",
    "Which characters of `input_text` they are: `start` up to `end`; null for special tokens.",
);
pub(super) const TARGET_TOKENS: Column = column(
    "target_tokens",
    "Tokens of the decoder, including the start token and the prompt.",
);
pub(super) const TARGET_TOKEN_IDS: Column = column("target_token_ids", "Their ids.");
pub(super) const TARGET_TOKEN_OFFSETS: Column = column(
    "target_token_offsets",
    "Which characters of `generated_text` they are; null for special tokens.",
);
pub(super) const ATTR_POS_START: Column = column(
    "attr_pos_start",
    "Position of the first attributed token in `target_tokens`.",
);
pub(super) const ATTR_POS_END: Column = column(
    "attr_pos_end",
    "Position after the last attributed token in `target_tokens`.",
);
pub(super) const CARRIED: Column = column(
    "columns",
    "Columns of the dataset that `--columns` carried, as a struct: `columns['label']`. Missing if no \
     job has any.",
);

const COLUMNS: &[Column] = &[
    JOB,
    MODEL,
    METHOD,
    DATASET,
    EXAMPLE_ID,
    SAMPLE,
    STATUS,
    ERROR_CODE,
    ERROR_MESSAGE,
    INPUT_TEXT,
    GENERATED_TEXT,
    TARGET_FORCED,
    SOURCE_TOKENS,
    SOURCE_TOKEN_IDS,
    SOURCE_TOKEN_OFFSETS,
    TARGET_TOKENS,
    TARGET_TOKEN_IDS,
    TARGET_TOKEN_OFFSETS,
    ATTR_POS_START,
    ATTR_POS_END,
    CARRIED,
];

fn names(shape: &Shape) -> Vec<&'static str> {
    let names = COLUMNS.iter().map(|column| column.name);
    names
        .filter(|name| *name != output::COLUMNS || shape.is_carrying())
        .collect()
}

fn query(shape: &Shape) -> String {
    format!("SELECT {} FROM slots", names(shape).join(", "))
}
