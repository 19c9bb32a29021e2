//! Flags of `whence sweep`, and the options that a file of a sweep may set.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use whence_proto::access::AccessOptions;

use super::attribution::{AttributionOptions, ModelOptions};
use super::batch::BatchOptions;
use super::dataset::{DatasetOptions, JobOptions, PlaceOptions, StorageOptions};
use super::progress::ProgressOptions;
use super::service::CoordinatorOptions;

/// What a cell of a sweep may set: the options of `attribute-dataset` that make a job another one.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
pub(crate) struct CellOptions {
    #[command(flatten)]
    pub(crate) model: ModelOptions,
    #[command(flatten)]
    pub(crate) dataset: DatasetOptions,
    #[command(flatten)]
    pub(crate) attribution: AttributionOptions,
    #[command(flatten)]
    pub(crate) job: JobOptions,
}

/// `whence sweep`.
#[derive(Debug, Subcommand)]
pub enum Sweep {
    /// Run the cells that are not complete, in this process or on a cluster.
    ///
    /// A cell that fails does not stop the others. Run the same command again to resume; cells that are
    /// complete are not computed again, not even those of another sweep.
    Run(Box<SweepRun>),
    /// Print the cells with their jobs, and what of them is computed already. Runs nothing.
    Plan(SweepLook),
    /// Print how far each cell is.
    Status(SweepLook),
    /// Cancel the jobs on a coordinator of all cells that are not complete.
    ///
    /// A job that another sweep shares is cancelled there as well.
    Cancel(SweepCancel),
    /// Compute the failed rows of all complete cells again, as `whence retry` does.
    Retry(Box<SweepRetry>),
    /// Print the JSON schema of the file, with which editors complete and check it.
    Schema,
}

/// `whence sweep run`.
#[derive(Debug, Args)]
pub struct SweepRun {
    /// The file of the sweep.
    pub file: PathBuf,
    /// Where to run it.
    #[command(flatten)]
    pub place: PlaceOptions,
    /// How much at once.
    #[command(flatten)]
    pub batch: BatchOptions,
}

/// `whence sweep plan` and `whence sweep status`.
#[derive(Debug, Args)]
pub struct SweepLook {
    /// The file of the sweep.
    pub file: PathBuf,
    /// Where the tables are.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Ask the coordinator at this URL, instead of looking into the storage root.
    #[arg(long, value_name = "URL")]
    pub cluster: Option<String>,
    /// How it is reached.
    #[command(flatten)]
    pub access: AccessOptions,
    /// Print JSON, one object per cell.
    #[arg(long)]
    pub json: bool,
}

/// `whence sweep cancel`.
#[derive(Debug, Args)]
pub struct SweepCancel {
    /// The file of the sweep.
    pub file: PathBuf,
    /// Which coordinator.
    #[command(flatten)]
    pub coordinator: CoordinatorOptions,
}

/// `whence sweep retry`.
#[derive(Debug, Args)]
pub struct SweepRetry {
    /// The file of the sweep.
    pub file: PathBuf,
    /// Where the tables are.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Compute on the workers of the coordinator at this URL, not in this process.
    #[arg(long, value_name = "URL")]
    pub cluster: Option<String>,
    /// How it is reached.
    #[command(flatten)]
    pub access: AccessOptions,
    /// How much at once.
    #[command(flatten)]
    pub batch: BatchOptions,
    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressOptions,
}
