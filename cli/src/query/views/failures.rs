//! `failures`: everything that went wrong, in one place.

use super::keys::JOB;
use super::view::{Column, Rows, View, column};

pub(super) const VIEW: View = View {
    name: "failures",
    about: "One row per example without scores, per failed attempt, and per job that cannot be \
            completed.",
    columns: COLUMNS,
    rows: Rows::Query(|_| query()),
};

const COLUMNS: &[Column] = &[
    column(
        "kind",
        "`example` (has an error row), `attempt` (a worker failed at a slot; another attempt may have \
         succeeded) or `job` (cannot be completed).",
    ),
    JOB,
    column(
        "example_id",
        "Number of the dataset row; null unless an example failed.",
    ),
    column("sample", "As in `examples`; null unless an example failed."),
    column(
        "slot",
        "The slot that the attempt was made at; null unless an attempt failed.",
    ),
    column(
        "attempt",
        "Id of the attempt; null unless an attempt failed.",
    ),
    column(
        "worker",
        "The worker that made it; null unless an attempt failed.",
    ),
    column("code", "Kind of the failure."),
    column("message", "What went wrong and what to do about it."),
    column(
        "input_text",
        "Input of the example; null unless an example failed.",
    ),
];

fn query() -> String {
    let of_examples = |table: &str| {
        format!(
            "SELECT 'example' AS kind, job, example_id, sample, CAST(NULL AS VARCHAR) AS slot, \
             CAST(NULL AS VARCHAR) AS attempt, CAST(NULL AS VARCHAR) AS worker, error_code AS code, \
             error_message AS message, input_text FROM {table} WHERE status = 'error'"
        )
    };
    format!(
        "{} UNION ALL {} UNION ALL \
         SELECT kind, job, CAST(NULL AS BIGINT) AS example_id, CAST(NULL AS INTEGER) AS sample, slot, \
         attempt, worker, code, message, CAST(NULL AS VARCHAR) AS input_text FROM attempts",
        of_examples("examples"),
        of_examples("contexts")
    )
}
