//! `contexts`: the table files of `attribute-context-dataset` as they are, one row per example.

use super::examples;
use super::keys::{DATASET, EXAMPLE_ID, JOB, METHOD, MODEL, SAMPLE};
use super::view::{Column, Rows, View, column};
use crate::query::stored::StoredTable;

pub(super) const VIEW: View = View {
    name: "contexts",
    about: "One row per example of `attribute-context-dataset`: its four texts, their tokens, and which \
            tokens of the output depend on a context.",
    columns: COLUMNS,
    rows: Rows::Stored(StoredTable::Contexts),
};

const COLUMNS: &[Column] = &[
    EXAMPLE_ID,
    SAMPLE,
    examples::STATUS,
    examples::ERROR_CODE,
    examples::ERROR_MESSAGE,
    column("input_text", "The input, without its context."),
    column(
        "input_context",
        "Context of the input; null if the template has no place for one.",
    ),
    column("generated_text", "The output, without its context."),
    column(
        "output_context",
        "Context of the output; null if the template has no place for one.",
    ),
    examples::TARGET_FORCED,
    column("output_tokens", "Tokens of `generated_text`."),
    column("output_token_ids", "Their ids."),
    column(
        "output_token_offsets",
        "Which characters of `generated_text` they are; null for special tokens.",
    ),
    column("input_context_tokens", "Tokens of `input_context`."),
    column("input_context_token_ids", "Their ids."),
    column(
        "input_context_token_offsets",
        "Which characters of `input_context` they are.",
    ),
    column("output_context_tokens", "Tokens of `output_context`."),
    column("output_context_token_ids", "Their ids."),
    column(
        "output_context_token_offsets",
        "Which characters of `output_context` they are.",
    ),
    column(
        "cti_scores",
        "How much each token of the output depends on the context (CTI): one score of the job's metric \
         per token.",
    ),
    column(
        "cti_threshold",
        "Absolute value that a score had to reach for its token to count as context-sensitive.",
    ),
    column(
        "cues",
        "List with one struct per context-sensitive token: what `context_sensitive_tokens` and \
         `context_attributions` show.",
    ),
    column("notices", "What there is to know about the texts."),
    examples::CARRIED,
    MODEL,
    METHOD,
    DATASET,
    JOB,
];
