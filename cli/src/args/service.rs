//! Flags that name other machines.

use clap::{Args, Subcommand};
use whence_coordinator::access::Role;
use whence_coordinator::job::Tenant;
use whence_proto::access::AccessOptions;
use whence_schemas::user_path;

use super::dataset::DatasetPlace;
use super::progress::ProgressOptions;

/// Which coordinator.
#[derive(Debug, Args)]
pub struct CoordinatorOptions {
    /// URL of the coordinator.
    #[arg(
        long,
        env = "WHENCE_COORDINATOR",
        default_value = "http://127.0.0.1:7700",
        value_name = "URL"
    )]
    pub coordinator: String,
    /// How it is reached.
    #[command(flatten)]
    pub access: AccessOptions,
}

/// Where single texts are computed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterOptions {
    /// Compute on the workers of the coordinator at this URL, not in this process.
    ///
    /// The texts become a job, whose table stays in the coordinator's storage root. This machine must
    /// be able to read that root.
    #[arg(long, value_name = "URL")]
    pub cluster: Option<String>,
    /// How it is reached.
    #[command(flatten)]
    pub access: AccessOptions,
    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressOptions,
}

/// `whence token`.
#[derive(Debug, Args)]
pub struct Token {
    /// Name of the person or service that will hold it, for logs.
    pub name: String,
    /// What its holder may do: `worker`, `submitter`, `viewer` or `admin`.
    #[arg(long)]
    pub role: Role,
    /// The team it belongs to. Its holder then sees that team's jobs alone. Default: those of every team.
    #[arg(long)]
    pub tenant: Option<Tenant>,
}

/// `whence doctor`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct DoctorOptions {
    /// One check alone, in detail.
    #[command(subcommand)]
    pub check: Option<DoctorCheck>,
    /// Storage root to check, by writing to it and reading from it.
    #[arg(long, env = "WHENCE_ROOT", value_name = "URL", value_parser = user_path::expand)]
    pub root: Option<String>,
    /// Model to check: its architecture and weights, whether it can be loaded, and whether it fits
    /// into the free memory.
    ///
    /// A folder, a GGUF file, a name on the Hub, or a folder of a bucket such as `s3://bucket/folder`.
    /// Of a model on the Hub only the configuration is downloaded.
    #[arg(short, long, value_name = "NAME", value_parser = user_path::expand)]
    pub model: Option<String>,
    /// Branch, tag or commit of a model on the Hub; `main` when absent.
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// Dataset to check: its files, splits and columns, and its first row.
    #[command(flatten)]
    pub dataset: DatasetPlace,
    /// Coordinator to check.
    #[arg(long, env = "WHENCE_COORDINATOR", value_name = "URL")]
    pub coordinator: Option<String>,
    /// How it is reached.
    #[command(flatten)]
    pub access: AccessOptions,
}

/// What `whence doctor` checks in detail.
#[derive(Debug, Subcommand)]
pub enum DoctorCheck {
    /// Check that a store keeps the promise that tables rest on: each object is created only once.
    ///
    /// Creates an object twice and reads it back, lets writers race for others, and lists them all. The
    /// coordinator and `whence work` check the same once per storage root, and refuse a store that
    /// fails. The exit status is 2 if the store must not be used, and 1 if it does not answer.
    Storage(StorageCheck),
}

/// `whence doctor storage`.
#[derive(Debug, Args)]
pub struct StorageCheck {
    /// Storage root to check: a directory, `s3://bucket/prefix`, `gs://bucket/prefix` or
    /// `az://container/prefix`. A few small objects are written to it and stay.
    #[arg(value_name = "URL", value_parser = user_path::expand)]
    pub url: String,
}
