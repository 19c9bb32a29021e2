//! Flags of `attribute-context` and `attribute-context-dataset`, under Inseq's names.

mod method;
mod output;
mod texts;

use clap::Args;
use whence_worker::memory;

use super::attribution::ModelOptions;
use super::batch::{BatchOptions, DeviceOptions};
use super::dataset::{DatasetPlace, JobOptions, PlaceOptions};
use super::service::ClusterOptions;
pub use method::{ContextMethod, ContextSelection, Weight};
pub use output::{ContextOutput, ContextTableOutput};
pub use texts::{ContextFields, ContextTexts, StrategyName, TemplateOptions};

/// `whence attribute-context`.
#[derive(Debug, Args)]
pub struct AttributeContext {
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// The texts.
    #[command(flatten)]
    pub texts: ContextTexts,
    /// How they are put together.
    #[command(flatten)]
    pub templates: TemplateOptions,
    /// What to compute.
    #[command(flatten)]
    pub method: ContextMethod,
    /// Seed for all random numbers.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Working memory of the computation, besides the model: `6GiB`, `512MiB` or bytes.
    ///
    /// Default: half of the device's free memory.
    #[arg(long, env = "WHENCE_MEMORY", value_parser = memory::parse, value_name = "SIZE")]
    pub memory: Option<u64>,
    /// What to compute on.
    #[command(flatten)]
    pub on: DeviceOptions,
    /// What counts as context-sensitive, and as a cue.
    #[command(flatten)]
    pub selection: ContextSelection,
    /// Where results go.
    #[command(flatten)]
    pub output: ContextOutput,
    /// Where to run it.
    #[command(flatten)]
    pub place: ClusterOptions,
}

/// `whence attribute-context-dataset`.
#[derive(Debug, Args)]
pub struct AttributeContextDataset {
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// The dataset.
    #[command(flatten)]
    pub dataset: DatasetPlace,
    /// The fields with the texts.
    #[command(flatten)]
    pub fields: ContextFields,
    /// How they are put together.
    #[command(flatten)]
    pub templates: TemplateOptions,
    /// What to compute.
    #[command(flatten)]
    pub method: ContextMethod,
    /// What counts as context-sensitive, and as a cue.
    #[command(flatten)]
    pub selection: ContextSelection,
    /// How to run it.
    #[command(flatten)]
    pub job: JobOptions,
    /// Where to run it.
    #[command(flatten)]
    pub place: PlaceOptions,
    /// How much at once.
    #[command(flatten)]
    pub batch: BatchOptions,
    /// Where results go.
    #[command(flatten)]
    pub output: ContextTableOutput,
}
