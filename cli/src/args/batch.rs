//! Flags that say how much is computed at once.

use clap::Args;
use whence_worker::memory;

/// How much is computed at once. Changes speed and memory, never the numbers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Speed and memory")]
pub struct BatchOptions {
    /// Texts attributed together at most.
    ///
    /// Inseq's default is 8; here batches are filled by tokens, and this is only a limit.
    #[arg(long, default_value_t = 64, value_name = "COUNT")]
    pub batch_size: usize,
    /// Working memory of the computation, besides the model: `6GiB`, `512MiB` or bytes.
    ///
    /// Several workers share it. A text that needs more alone is refused by name, and so is a bound
    /// too small for the shortest text. Half of what the machine has free when absent.
    #[arg(long, env = "WHENCE_MEMORY", value_parser = memory::parse, value_name = "SIZE")]
    pub memory: Option<u64>,
}
