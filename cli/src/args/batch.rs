//! Flags that say how much is computed at once.

use clap::Args;
use whence_worker::memory;

/// How much is computed at once. Changes speed and memory, never the numbers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Speed and memory")]
pub struct BatchOptions {
    /// Maximum number of texts attributed together.
    ///
    /// Batches are filled by tokens, so this is only an upper limit. Inseq's default is 8.
    #[arg(long, default_value_t = 64, value_name = "COUNT")]
    pub batch_size: usize,
    /// Working memory of the computation, besides the model: `6GiB`, `512MiB` or bytes.
    ///
    /// All workers share it. A text that needs more on its own is reported as an error, and a bound
    /// too small for the shortest text is refused. Default: half of the machine's free memory.
    #[arg(long, env = "WHENCE_MEMORY", value_parser = memory::parse, value_name = "SIZE")]
    pub memory: Option<u64>,
}
