//! The columns that most views begin with: they identify the job and the example.

use super::view::{Column, column};

/// Columns whose values come from the slots' paths, outermost folder first.
pub(crate) const PARTITIONS: [&str; 4] = ["model", "method", "dataset", "job"];

/// The columns that identify an example, in the order in which views show them.
pub(crate) const KEYS: [&str; 6] = ["job", "model", "method", "dataset", "example_id", "sample"];

pub(super) const JOB: Column = column("job", "Id of the job.");
pub(super) const MODEL: Column = column(
    "model",
    "Name of the model: of its folder, file or repository.",
);
pub(super) const METHOD: Column = column("method", "Attribution method.");
pub(super) const DATASET: Column = column(
    "dataset",
    "Name of the dataset: of its file, or of its folder and split.",
);
pub(super) const EXAMPLE_ID: Column = column(
    "example_id",
    "Number of the dataset row, counted from 0 within the split.",
);
pub(super) const SAMPLE: Column = column(
    "sample",
    "Number of the sequence among those generated for the example (`num_return_sequences`), \
     counted from 0.",
);
pub(super) const STEP: Column = column("step", "Number of the generation step, counted from 0.");
pub(super) const TARGET_POS: Column = column(
    "target_pos",
    "Position of the step's token in `examples.target_tokens`, counted from 0.",
);

/// Returns the keys as a list for SQL.
pub(super) fn keys() -> String {
    KEYS.join(", ")
}

/// Returns the keys of the table `alias` as a list for SQL.
pub(super) fn keys_of(alias: &str) -> String {
    KEYS.map(|key| format!("{alias}.{key}")).join(", ")
}
