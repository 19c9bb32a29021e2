//! `pairwise`: how far two jobs agree on the steps that both have.
//!
//! Only steps are compared in which both jobs attribute to the same tokens, all of them. Ranks of a
//! step are the numbers from 1 to its tokens without a tie, so Spearman's correlation is
//! `1 − 6 Σd² / (n (n² − 1))`, with the differences `d` of the ranks of `n` tokens.

use super::alignments::STRONGEST;
use super::keys::JOB;
use super::view::{Column, Rows, View, column};

pub(super) const VIEW: View = View {
    name: "pairwise",
    about: "One row per pair of jobs over the same dataset, and side: how far the two agree, as means \
            over the steps in which both attribute to the same tokens. Name both jobs in `WHERE`, or \
            every pair is computed.",
    columns: COLUMNS,
    rows: Rows::Query(|_| query()),
};

pub(super) const COLUMNS: &[Column] = &[
    JOB,
    column(
        "other_job",
        "Id of the other job, the later one in the alphabet.",
    ),
    column("side", "As in `attributions`."),
    column("steps", "Steps that were compared."),
    column(
        "rank_correlation",
        "Spearman's correlation of the ranks of a step's tokens; null if no step has two tokens.",
    ),
    column(
        "same_strongest",
        "Share of the steps in which both have the same strongest token.",
    ),
    column(
        "top_overlap",
        "Share of the three strongest tokens of a step that are among the other job's three strongest.",
    ),
    column(
        "top_jaccard",
        "Tokens that are among the three strongest of both, divided by those that are among the three \
         strongest of either.",
    ),
    column(
        "moved_share",
        "Half of the sum of the differences of `share`: what part of a step's attribution lies \
         elsewhere, on this side.",
    ),
];

fn query() -> String {
    // What a pair of jobs has in common at a step, and the columns that tell the step.
    let same = [
        "dataset",
        "example_id",
        "sample",
        "step",
        "side",
        "source_position",
    ];
    let same = same
        .map(|name| format!("a.{name} = b.{name}"))
        .join(" AND ");
    // Ranks are unsigned in Polars, so they are converted before they are subtracted.
    let moved = "(CAST(a.rank AS DOUBLE) - CAST(b.rank AS DOUBLE))";
    let steps = format!(
        "SELECT a.job AS job, b.job AS other_job, a.side AS side, a.example_id AS example_id, \
         a.sample AS sample, a.step AS step, count(*) AS tokens, max(a.rank) AS own, max(b.rank) AS others, \
         sum({moved} * {moved}) AS distance, \
         sum(CASE WHEN a.rank = 1 AND b.rank = 1 THEN 1.0 ELSE 0.0 END) AS strongest, \
         sum(CASE WHEN a.rank <= {STRONGEST} AND b.rank <= {STRONGEST} THEN 1.0 ELSE 0.0 END) AS shared, \
         sum(CASE WHEN a.rank <= {STRONGEST} THEN 1.0 ELSE 0.0 END) AS top, \
         sum(abs(CAST(a.share AS DOUBLE) - CAST(b.share AS DOUBLE))) AS moved \
         FROM attributions a JOIN attributions b ON {same} \
         AND a.target_token = b.target_token AND a.source_token = b.source_token \
         WHERE a.job < b.job \
         GROUP BY a.job, b.job, a.side, a.example_id, a.sample, a.step"
    );
    format!(
        "SELECT job, other_job, side, count(*) AS steps, \
         avg(CASE WHEN tokens > 1 THEN 1.0 - 6.0 * distance / \
         (CAST(tokens AS DOUBLE) * (CAST(tokens AS DOUBLE) * CAST(tokens AS DOUBLE) - 1.0)) END) \
         AS rank_correlation, \
         avg(strongest) AS same_strongest, avg(shared / top) AS top_overlap, \
         avg(shared / (2.0 * top - shared)) AS top_jaccard, avg(moved / 2.0) AS moved_share \
         FROM ({steps}) AS compared WHERE tokens = own AND tokens = others \
         GROUP BY job, other_job, side"
    )
}
