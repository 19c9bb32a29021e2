//! The settings of a worker process.

use std::time::Duration;

use clap::Args;
use whence_schemas::WorkerId;

use crate::memory;

/// Settings of a worker.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Name of this worker. If absent, a random one.
    #[arg(long, env = "WHENCE_WORKER_ID", value_parser = parse_worker_id)]
    pub id: Option<WorkerId>,
    /// Number of tokens attributed together. More is faster up to a point, and takes more memory.
    #[arg(long, env = "WHENCE_BATCH_TOKENS", default_value_t = 2048)]
    pub batch_tokens: usize,
    /// Maximum number of examples attributed together.
    #[arg(long, env = "WHENCE_BATCH_SIZE", default_value_t = 64)]
    pub batch_size: usize,
    /// Working memory of one computation, besides the models: `6GiB`, `512MiB` or bytes. An example
    /// that needs more becomes an error row, and a bound too small for the shortest example is
    /// refused. Default: half of the machine's free memory.
    #[arg(long, env = "WHENCE_MEMORY", value_parser = memory::parse)]
    pub memory: Option<u64>,
    /// Maximum number of models kept loaded. The least recently used one is dropped first.
    #[arg(long, env = "WHENCE_LOADED_MODELS", default_value_t = 2)]
    pub loaded_models: usize,
    /// Largest result of one shard, in bytes. A shard with a larger one is split.
    #[arg(long, env = "WHENCE_MAX_RESULT_BYTES", default_value_t = 256 << 20)]
    pub max_result_bytes: usize,
    /// How long to go on without a coordinator before giving up.
    #[arg(long, env = "WHENCE_ORPHAN_GRACE", default_value = "15m", value_parser = humantime::parse_duration)]
    pub orphan_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            id: None,
            batch_tokens: 2048,
            batch_size: 64,
            memory: None,
            loaded_models: 2,
            max_result_bytes: 256 << 20,
            orphan_grace: Duration::from_mins(15),
        }
    }
}

fn parse_worker_id(text: &str) -> Result<WorkerId, whence_schemas::InvalidId> {
    text.parse()
}
