//! Flags of jobs that run without a coordinator: `submit --static` and `work`.

use clap::{Args, ValueEnum};

use super::dataset::StorageOptions;
use super::progress::ProgressOptions;

/// Where a job is written that needs no coordinator.
#[derive(Debug, Args)]
#[command(next_help_heading = "Without a coordinator")]
pub struct StaticOptions {
    /// Write the job to the storage root at --root, ask no coordinator, and print how to run it.
    ///
    /// Processes that run `whence work` then share the job among themselves. They need only the storage
    /// root. --coordinator is not used.
    #[arg(long = "static", conflicts_with = "watch")]
    pub is_static: bool,
    /// How many processes will share the job.
    #[arg(long, requires = "is_static", default_value_t = 8, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub of: u32,
    /// Print only the commands of a shell, a Kubernetes Job, or a Slurm script.
    #[arg(long, requires = "is_static", value_enum, value_name = "LAUNCHER")]
    pub print: Option<Launcher>,
    /// Where the table goes.
    #[command(flatten)]
    pub storage: StorageOptions,
}

/// What starts the processes that share a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Launcher {
    /// A shell.
    Shell,
    /// An Indexed Job of Kubernetes.
    Kubernetes,
    /// An array of Slurm.
    Slurm,
}

impl Launcher {
    /// Every launcher.
    pub const ALL: [Self; 3] = [Self::Shell, Self::Kubernetes, Self::Slurm];
}

/// `whence work`.
#[derive(Debug, Args)]
pub struct Work {
    /// The job, as `submit --static` names it: `s3://bucket/prefix/jobs/ID`, `/data/whence-out/jobs/ID`.
    #[arg(long, value_name = "URL")]
    pub job: String,
    /// Which share of the job this process takes first, counted from 0.
    #[arg(
        long,
        env = "JOB_COMPLETION_INDEX",
        default_value_t = 0,
        value_name = "INDEX"
    )]
    pub index: u32,
    /// How many processes share the job.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    pub of: u32,
    /// The worker that this process starts.
    #[command(flatten)]
    pub worker: whence_worker::Config,
    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressOptions,
}
