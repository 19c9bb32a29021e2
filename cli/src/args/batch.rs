//! Flags that say what this machine computes on, and how much at once.

use clap::Args;
use whence_engine::DeviceChoice;
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
    /// too small for the shortest text is refused. Default: half of the device's free memory.
    #[arg(long, env = "WHENCE_MEMORY", value_parser = memory::parse, value_name = "SIZE")]
    pub memory: Option<u64>,
    /// What to compute on.
    #[command(flatten)]
    pub on: DeviceOptions,
}

/// What this machine computes on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Speed and memory")]
pub struct DeviceOptions {
    /// What this machine computes on: `cpu`, `cuda` for a GPU of Nvidia, or `auto`.
    ///
    /// `cuda:1` is the second GPU, and jobs use several as `cuda:0,cuda:1`. `auto` is the first GPU if
    /// one can be used, and the processor otherwise. Workers of a cluster have devices of their own.
    #[arg(
        long,
        alias = "dev",
        env = "WHENCE_DEVICE",
        value_name = "DEVICE",
        value_delimiter = ',',
        default_value = "cpu"
    )]
    pub device: Vec<DeviceChoice>,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            device: vec![DeviceChoice::Cpu],
        }
    }
}
