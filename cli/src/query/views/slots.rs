//! `slots`: the table files as they are, one row per example.

use super::examples;
use super::keys::{DATASET, EXAMPLE_ID, JOB, METHOD, MODEL, SAMPLE};
use super::view::{Column, Rows, View, column};
use crate::query::stored::StoredTable;

pub(super) const VIEW: View = View {
    name: "slots",
    about: "One row per example, exactly as the table files hold it. `examples` and `steps` show the \
            same in a form that is easier to query.",
    columns: COLUMNS,
    rows: Rows::Stored(StoredTable::Attributions),
};

const COLUMNS: &[Column] = &[
    EXAMPLE_ID,
    SAMPLE,
    examples::STATUS,
    examples::ERROR_CODE,
    examples::ERROR_MESSAGE,
    examples::INPUT_TEXT,
    examples::GENERATED_TEXT,
    examples::TARGET_FORCED,
    examples::SOURCE_TOKENS,
    examples::SOURCE_TOKEN_IDS,
    examples::SOURCE_TOKEN_OFFSETS,
    examples::TARGET_TOKENS,
    examples::TARGET_TOKEN_IDS,
    examples::TARGET_TOKEN_OFFSETS,
    examples::ATTR_POS_START,
    examples::ATTR_POS_END,
    column(
        "steps",
        "List with one struct per generated token: the columns of `steps`.",
    ),
    column(
        "sequence_scores",
        "List with one struct per query token: `name`, `side`, `position`, and `scores` of the key \
         tokens. Null unless the job recorded such scores.",
    ),
    examples::CARRIED,
    MODEL,
    METHOD,
    DATASET,
    JOB,
];
