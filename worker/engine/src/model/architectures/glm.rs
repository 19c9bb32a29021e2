//! GLM and GLM 4: Llama with rotary positions on pairs of neighboring entries in half of each head,
//! biased queries, keys and values, and gate and up projection in one map. GLM 4 also normalizes the
//! outputs of attention and network.
//!
//! Source: Team GLM 2024, <https://arxiv.org/abs/2406.12793>.

use super::fields::rotate_neighbors;
use super::layer::{Layer, Norms};
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{Gate, LinearSpec, ModelSpec, NormSpec};

const GLM: Defaults = Defaults {
    rms_epsilon: 1.5625e-7,
    rope: RopeDefaults {
        partial: Some(0.5),
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

/// Reads the specification of a GLM model.
pub(super) fn glm(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let layers = layers(config)?;
    model(config, layers)
}

/// Reads the specification of a GLM 4 model.
pub(super) fn glm4(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = layers(config)?;
    let epsilon = llama::rms_epsilon(config, GLM)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let norm = |name: &str| NormSpec::rms(format!("{prefix}.{name}"), epsilon);
        layer.attention_norms =
            Norms::Around(norm("input_layernorm"), norm("post_self_attn_layernorm"));
        layer.network_norms =
            Norms::Around(norm("post_attention_layernorm"), norm("post_mlp_layernorm"));
    }
    model(config, layers)
}

fn layers(config: &ConfigFile) -> Result<Vec<Layer>, Error> {
    let bias = config.flag_or("attention_bias", true)?;
    let mut layers = llama::layers(config, GLM)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.set_biases(bias, false);
        if let Some(network) = layer.plain_network() {
            let prefix = format!("{}.mlp", llama::prefix(index));
            let stored = LinearSpec::new(format!("{prefix}.gate_up_proj"), false);
            let [gate, up] = stored.split([network.inner; 2]);
            network.gate = Gate::Gated { gate, up };
        }
    }
    Ok(layers)
}

fn model(config: &ConfigFile, layers: Vec<Layer>) -> Result<ModelSpec, Error> {
    let mut model = llama::model(config, GLM, layers)?;
    rotate_neighbors(&mut model);
    Ok(model)
}
