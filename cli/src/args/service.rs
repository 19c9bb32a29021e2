//! Flags that name other machines.

use clap::Args;
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
pub struct DoctorOptions {
    /// Storage root to check, by writing to it and reading from it.
    #[arg(long, env = "WHENCE_ROOT", value_name = "URL", value_parser = user_path::expand)]
    pub root: Option<String>,
    /// Model to check: its architecture and weights, whether it can be loaded, and whether it fits
    /// into the free memory.
    ///
    /// A folder, a GGUF file, a name on the Hub or `s3://bucket/folder`. Of a model on the Hub only
    /// the configuration is downloaded.
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
