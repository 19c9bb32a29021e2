//! Mistral, Ministral and Mixtral: Llama with a sliding window, in Ministral not in every layer;
//! Mixtral has a mixture of experts as its network.
//!
//! Sources: Jiang et al. 2023, <https://arxiv.org/abs/2310.06825>; Jiang et al. 2024,
//! <https://arxiv.org/abs/2401.04088>.

use super::experts::Counts;
use super::fields::{activation, size_or, windows};
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    CoreSpec, ExpertsSpec, FeedForwardSpec, Gate, LinearSpec, ModelSpec, RoutingSpec,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_EXPERTS: usize = 8;
const DEFAULT_CHOSEN: usize = 2;

const MINISTRAL3: Defaults = Defaults {
    rms_epsilon: 1e-5,
    rope: RopeDefaults {
        theta: 1_000_000.0,
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

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

/// Reads the specification of a Ministral model.
pub(super) fn ministral(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, DEFAULTS)?;
    let window = size_or(config, "sliding_window", DEFAULT_WINDOW)?;
    let windows = windows(config, layers.len(), window, |_| true)?;
    for (layer, window) in layers.iter_mut().zip(windows) {
        layer.attention.window = window;
    }
    llama::model(config, DEFAULTS, layers)
}

/// Reads the specification of a Ministral 3 model.
pub(super) fn ministral3(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let Some(rope) = config.object("rope_parameters")? else {
        return Err(config.refused("`rope_parameters` is missing".to_owned()));
    };
    let mut layers = llama::layers(config, MINISTRAL3)?;
    let window = config.optional_size("sliding_window")?;
    for layer in &mut layers {
        layer.attention.window = window;
    }
    let mut model = llama::model(config, MINISTRAL3, layers)?;
    // Queries are scaled by `1 + β ln(1 + ⌊position / original⌋)`, which is 1 up to the original
    // length. Longer texts are refused.
    if rope.optional_number("llama_4_scaling_beta")? != Some(0.0) {
        model.max_positions = rope.size("original_max_position_embeddings")?;
    }
    Ok(model)
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
    let counts = Counts::checked(
        config,
        count.unwrap_or(DEFAULT_EXPERTS),
        num_chosen.unwrap_or(DEFAULT_CHOSEN),
    )?;
    mixture(config, &prefix, counts, RoutingSpec::softmax(true))
}

/// Returns the mixture in the module `prefix`, with Mixtral's names of the linear maps.
pub(super) fn mixture(
    config: &ConfigFile,
    prefix: &str,
    counts: Counts,
    routing: RoutingSpec,
) -> Result<ExpertsSpec, Error> {
    let inner = config.size("intermediate_size")?;
    let activation = activation(config, "hidden_act", "silu")?;
    let expert = |index: usize| {
        let linear =
            |name: &str| LinearSpec::new(format!("{prefix}.experts.{index}.{name}"), false);
        FeedForwardSpec {
            inner,
            activation,
            gate: Gate::Gated {
                gate: linear("w1"),
                up: linear("w3"),
            },
            down: linear("w2"),
        }
    };
    Ok(counts.mixture(&format!("{prefix}.gate"), routing, expert))
}
