//! Flags that name other machines.

use clap::Args;
use whence_schemas::user_path;

use super::DatasetPlace;

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
}

/// `whence doctor`.
#[derive(Debug, Args)]
pub struct DoctorOptions {
    /// Storage root to check, by writing to it and reading from it.
    #[arg(long, env = "WHENCE_ROOT", value_name = "URL", value_parser = user_path::expand)]
    pub root: Option<String>,
    /// Model to check, a folder or a GGUF file: whether it can be loaded, and whether its weights fit
    /// into the free memory.
    #[arg(short, long, value_name = "PATH")]
    pub model: Option<std::path::PathBuf>,
    /// Dataset to check: its files, splits and columns, and its first row.
    #[command(flatten)]
    pub dataset: DatasetPlace,
    /// Coordinator to check.
    #[arg(long, env = "WHENCE_COORDINATOR", value_name = "URL")]
    pub coordinator: Option<String>,
}
