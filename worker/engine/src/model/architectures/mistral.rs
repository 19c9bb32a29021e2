//! Mistral and Mixtral: Llama with a sliding window; Mixtral has a mixture of experts as its
//! network.
//!
//! Sources: Jiang et al. 2023, <https://arxiv.org/abs/2310.06825>; Jiang et al. 2024,
//! <https://arxiv.org/abs/2401.04088>.

use super::fields::{activation, size_or};
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{CoreSpec, ExpertsSpec, FeedForwardSpec, Gate, LinearSpec, ModelSpec};

/// What transformers assumes if the file does not give a value.
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_EXPERTS: usize = 8;
const DEFAULT_CHOSEN: usize = 2;

const MIXTRAL: Defaults = Defaults {
    rms_epsilon: 1e-5,
    rope: RopeDefaults {
        theta: 1_000_000.0,
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

/// Reads the specification of a Mistral model.
pub(super) fn mistral(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, DEFAULTS)?;
    let window = size_or(config, "sliding_window", DEFAULT_WINDOW)?;
    for layer in &mut layers {
        layer.attention.window = window;
    }
    llama::model(config, DEFAULTS, layers)
}

/// Reads the specification of a Mixtral model.
pub(super) fn mixtral(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, MIXTRAL)?;
    let window = config.optional_size("sliding_window")?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.attention.window = window;
        layer.network = CoreSpec::Experts(experts(config, index)?);
    }
    llama::model(config, MIXTRAL, layers)
}

fn experts(config: &ConfigFile, layer: usize) -> Result<ExpertsSpec, Error> {
    let prefix = format!("{}.block_sparse_moe", llama::prefix(layer));
    let count = config.optional_size("num_local_experts")?;
    let num_chosen = config.optional_size("num_experts_per_tok")?;
    let (count, num_chosen) = (
        count.unwrap_or(DEFAULT_EXPERTS),
        num_chosen.unwrap_or(DEFAULT_CHOSEN),
    );
    if num_chosen > count {
        return Err(config.refused(format!(
            "a row cannot choose {num_chosen} of {count} experts"
        )));
    }
    let expert = |index: usize| {
        let linear =
            |name: &str| LinearSpec::new(format!("{prefix}.experts.{index}.{name}"), false);
        Ok(FeedForwardSpec {
            inner: config.size("intermediate_size")?,
            activation: activation(config, "hidden_act", "silu")?,
            gate: Gate::Gated {
                gate: linear("w1"),
                up: linear("w3"),
            },
            down: linear("w2"),
        })
    };
    Ok(ExpertsSpec {
        router: LinearSpec::new(format!("{prefix}.gate"), false),
        experts: (0..count).map(expert).collect::<Result<_, Error>>()?,
        num_chosen,
    })
}
