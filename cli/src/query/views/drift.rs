//! `drift`: how far a job that repeats an earlier one differs from it.

use super::keys::JOB;
use super::pairwise;
use super::run_params::PARAMETERS;
use super::view::{Rows, View, column};

pub(super) const VIEW: View = View {
    name: "drift",
    about: "One row per job that repeats an earlier one, and side: how far the two agree, as in \
            `pairwise`. A job repeats the last one before it with the same names of model and dataset \
            and the same parameters; what may differ is the files behind these names, the seed and \
            `run_id`. So it tells what a nightly run changed.",
    columns: &[
        JOB,
        column("before", "Id of the job that it repeats."),
        pairwise::COLUMNS[2],
        pairwise::COLUMNS[3],
        pairwise::COLUMNS[4],
        pairwise::COLUMNS[5],
        pairwise::COLUMNS[6],
        pairwise::COLUMNS[7],
        pairwise::COLUMNS[8],
    ],
    rows: Rows::Query(|_| query()),
};

/// Parameters that may differ between a job and its repetition. Models and datasets are compared by name.
const MAY_DIFFER: [&str; 7] = [
    "model_path",
    "model_digest",
    "dataset_location",
    "step_scores",
    "seed",
    "run_id",
    "retry_of",
];

fn query() -> String {
    let same = PARAMETERS.iter().filter(|name| !MAY_DIFFER.contains(name));
    let same = same.map(|name| format!("COALESCE(CAST(runs.{name} AS VARCHAR), '')"));
    let same = same.collect::<Vec<_>>().join(" || '|' || ");
    let jobs = format!(
        "SELECT jobs.job AS job, jobs.submitted_at AS at, \
         jobs.model || '|' || jobs.dataset || '|' || {same} AS what \
         FROM jobs JOIN runs ON jobs.job = runs.job"
    );
    let measures = pairwise::COLUMNS[2..].iter();
    let measures: Vec<_> = measures
        .map(|column| format!("pairwise.{name} AS {name}", name = column.name))
        .collect();
    // Of a pair of jobs, `pairwise` has the first in the alphabet first.
    format!(
        "WITH named AS ({jobs}), \
         latest AS (SELECT later.job AS job, later.what AS what, max(earlier.at) AS at \
         FROM named later JOIN named earlier ON later.what = earlier.what \
         WHERE earlier.at < later.at GROUP BY later.job, later.what), \
         repeats AS (SELECT latest.job AS job, min(named.job) AS before FROM latest \
         JOIN named ON latest.what = named.what AND latest.at = named.at GROUP BY latest.job), \
         ordered AS (SELECT job, before, CASE WHEN job < before THEN job ELSE before END AS first, \
         CASE WHEN job < before THEN before ELSE job END AS second FROM repeats) \
         SELECT ordered.job AS job, ordered.before AS before, {} FROM ordered \
         JOIN pairwise ON pairwise.job = ordered.first AND pairwise.other_job = ordered.second",
        measures.join(", ")
    )
}
