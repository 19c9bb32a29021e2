//! Flags that name other machines.

use clap::Args;
use whence_schemas::user_path;

/// Whom to ask.
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
    /// Storage root to try: written to and read from.
    #[arg(long, env = "WHENCE_ROOT", value_name = "URL", value_parser = user_path::expand)]
    pub root: Option<String>,
    /// Model to try, a folder or a GGUF file: whether its weights fit into the free memory.
    #[arg(short, long, value_name = "PATH")]
    pub model: Option<std::path::PathBuf>,
    /// Coordinator to try.
    #[arg(long, env = "WHENCE_COORDINATOR", value_name = "URL")]
    pub coordinator: Option<String>,
}
