//! Flags of `aggregate`.

use clap::Args;

use super::attribution::CompatName;
use super::dataset::StorageOptions;
use super::display::DisplayOptions;
use super::progress::ProgressOptions;

/// `whence aggregate`.
#[derive(Debug, Args)]
pub struct Aggregate {
    /// Job, or the beginning of its id; or a file that Inseq or whence saved (`.json`, `.json.gz`).
    pub input: String,
    /// Aggregators, in the order in which they run; `whence list aggregators` shows them.
    ///
    /// Parameters follow the name: `split:split_pattern=\.`, `spans:by=words,aggregate_fn=sum`, or as
    /// JSON: `{"name": "…", "params": {…}}`. If there are none, raw scores of a file are reduced as
    /// in Inseq, by the default of their method.
    #[arg(value_name = "AGGREGATOR")]
    pub stages: Vec<String>,
    /// Second run for the aggregator `pair`: a job or a file with the same tokens.
    ///
    /// The aggregators before `pair` run on both.
    #[arg(long, value_name = "RUN", help_heading = "Runs")]
    pub with: Option<String>,
    /// Run over the same tokens whose step scores are added first, for example for
    /// `weight_attributions`.
    #[arg(long, value_name = "RUN", help_heading = "Runs")]
    pub join: Option<String>,
    /// Runs whose examples follow those of the first, in the same table or file.
    #[arg(long, value_name = "RUN", num_args = 1.., help_heading = "Runs")]
    pub merge: Vec<String>,
    /// Whose rules the aggregators follow; those of the run when absent.
    #[arg(long, value_enum)]
    pub compat: Option<CompatName>,
    /// Where the table goes, and where jobs are.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Files instead of a table.
    #[command(flatten)]
    pub display: DisplayOptions,
    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressOptions,
}
