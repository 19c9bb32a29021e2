//! `token_stats`: how much each token contributes over all examples of a job.

use super::keys::{DATASET, JOB, METHOD, MODEL};
use super::python;
use super::view::{Column, LongTableKind, Rows, Unnested, View, column};

pub(super) const VIEW: View = View {
    name: "token_stats",
    about: "One row per job, side and attributed token: statistics of all its scores.",
    columns: COLUMNS,
    rows: Rows::Unnested(Unnested {
        kind: LongTableKind::TokenStats,
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
    column(
        "side",
        "`source` (encoder) or `target` (prompt and prefix).",
    ),
    column("token", "The attributed token."),
    column("scores", "How many scores it has."),
    column("mean", "Their mean."),
    column("sd", "Their standard deviation; null if there is only one."),
    column("mean_abs", "Mean of `abs(score)`."),
    column("max_abs", "Largest `abs(score)`."),
    column("mean_share", "Mean of `attributions.share`."),
    column("strongest", "How often it had rank 1."),
];

fn query() -> String {
    "SELECT job, model, method, dataset, side, source_token AS token, count(*) AS scores, \
     avg(score) AS mean, stddev(score) AS sd, avg(abs(score)) AS mean_abs, \
     max(abs(score)) AS max_abs, avg(share) AS mean_share, \
     sum(CASE WHEN rank = 1 THEN 1 ELSE 0 END) AS strongest FROM attributions \
     GROUP BY job, model, method, dataset, side, source_token"
        .to_owned()
}
