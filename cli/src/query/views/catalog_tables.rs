//! `jobs`, `runs` and `attempts`: the tables that are made of the objects describing the jobs.
//!
//! A script for another engine holds their rows as they were when it was printed.

use super::keys::{DATASET, JOB, METHOD, MODEL};
use super::view::{CatalogTable, Column, Rows, View, column};

pub(super) const JOBS: View = View {
    name: "jobs",
    about: "One row per job: its state and its size.",
    columns: &[
        JOB,
        column(
            "state",
            "`sealed` (complete), `cancelled`, `failed`, or `open`: it is being computed, or goes on when \
             it is submitted again. `unknown` if only its table files are there (`--tables`).",
        ),
        column("submitted_at", "When it was submitted."),
        MODEL,
        METHOD,
        DATASET,
        column("attributed_fn", "The attributed function."),
        column(
            "rows",
            "Rows of the dataset that it covers; null if its state is `unknown`.",
        ),
        column(
            "errors",
            "How many of them have an error row; null until it is sealed.",
        ),
        column("bytes", "Size of its table; null until it is sealed."),
        column("seed", "Seed of its random numbers."),
        column("run_id", "`--run-id`; null if it has none."),
        column("specification", "The whole specification as JSON."),
    ],
    rows: Rows::Catalog(CatalogTable::Jobs),
};

pub(super) const RUNS: View = View {
    name: "runs",
    about: "One row per job: the parameters that tell it from other jobs. `jobs.specification` has \
            all of them.",
    columns: &[
        JOB,
        column(
            "model_path",
            "Where the model is; for the Hub, with its commit.",
        ),
        column("model_digest", "Digest of the model's files."),
        column("dataset_location", "Where the dataset is, as JSON."),
        column("split", "Which of its rows."),
        column("input_field", "Field or template of the input texts."),
        column(
            "generated_field",
            "Field of the given targets; null if they are generated.",
        ),
        METHOD,
        column("method_params", "Parameters of the method, as JSON."),
        column("attributed_fn", "The attributed function."),
        column("attributed_fn_params", "Its parameters, as JSON."),
        column(
            "step_scores",
            "Names of the step scores, separated by commas.",
        ),
        column(
            "aggregators",
            "Aggregators, as JSON; null for those of the method.",
        ),
        column(
            "normalize",
            "Whether the scores of a step are divided by their sum.",
        ),
        column(
            "attribute_target",
            "Whether the prefix is attributed too (models with an encoder).",
        ),
        column("generation", "Options of generation, as JSON."),
        column("dtype", "Precision of the computation."),
        column(
            "compat",
            "`none`, or the release of Inseq whose numbers are reproduced.",
        ),
        column("seed", "Seed of its random numbers."),
        column("run_id", "`--run-id`; null if it has none."),
        column(
            "retry_of",
            "The job whose failed rows it computed again; null if it is no retry.",
        ),
    ],
    rows: Rows::Catalog(CatalogTable::Runs),
};

pub(super) const ATTEMPTS: View = View {
    name: "attempts",
    about: "One row per failed attempt at a slot, and per job that cannot be completed.",
    columns: ATTEMPT_COLUMNS,
    rows: Rows::Catalog(CatalogTable::Attempts),
};

const ATTEMPT_COLUMNS: &[Column] = &[
    column(
        "kind",
        "`attempt`, or `job` if the whole job cannot be completed.",
    ),
    JOB,
    column("slot", "The slot; null for a job."),
    column("attempt", "Id of the attempt; null for a job."),
    column("worker", "The worker that made it; null for a job."),
    column("code", "Kind of the failure."),
    column("message", "What went wrong."),
];
