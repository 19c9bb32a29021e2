//! Relatives of Llama whose networks have no gate: Nemotron, Arcee, Jais 2 and Persimmon.
//!
//! All use the square of `ReLU` (So et al. 2021, <https://arxiv.org/abs/2109.08668>). Nemotron
//! (Parmar et al. 2024, <https://arxiv.org/abs/2402.16819>) stores the weights of its layer norms as
//! offsets from 1 and rotates half of each head; Jais 2 has layer norms and biases; Persimmon (Adept
//! 2023, <https://www.adept.ai/blog/persimmon-8b>) has both, and queries, keys and values in one map.

use super::fields::head_norms;
use super::layer::{Layer, Norms};
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{Gate, LinearSpec, ModelSpec, NormKind, NormSpec};

const ARCEE: Defaults = Defaults {
    rms_epsilon: 1e-5,
    activation: "relu2",
    ..DEFAULTS
};

const HALF_ROTATED: Defaults = Defaults {
    rope: RopeDefaults {
        partial: Some(0.5),
        ..DEFAULTS.rope
    },
    ..ARCEE
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;

/// Reads the specification of an Arcee model.
pub(super) fn arcee(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let layers = layers(config, ARCEE, config.flag_or("mlp_bias", false)?)?;
    llama::model(config, ARCEE, layers)
}

/// Reads the specification of a Nemotron model.
pub(super) fn nemotron(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let epsilon = config.optional_number("norm_eps")?;
    let norms = (NormKind::LayerPlusOne, epsilon.unwrap_or(DEFAULT_EPSILON));
    let mut layers = layers(config, HALF_ROTATED, config.flag_or("mlp_bias", false)?)?;
    normalize(&mut layers, norms);
    let mut model = llama::model(config, HALF_ROTATED, layers)?;
    model.decoder.final_norm = Some(NormSpec::new("model.norm", norms.0, norms.1));
    Ok(model)
}

/// Reads the specification of a Jais 2 model.
pub(super) fn jais2(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let norms = (NormKind::Layer, layer_norm_epsilon(config)?);
    let mut layers = layers(config, ARCEE, config.flag_or("mlp_bias", true)?)?;
    let bias = config.flag_or("attention_bias", true)?;
    normalize(&mut layers, norms);
    for layer in &mut layers {
        layer.set_biases(bias, bias);
    }
    let mut model = llama::model(config, ARCEE, layers)?;
    model.decoder.final_norm = Some(NormSpec::new("model.norm", norms.0, norms.1));
    Ok(model)
}

/// Reads the specification of a Persimmon model.
pub(super) fn persimmon(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let norms = (NormKind::Layer, layer_norm_epsilon(config)?);
    let normalizes_heads = config.flag_or("qk_layernorm", true)?;
    let mut layers = llama::layers(config, HALF_ROTATED)?;
    normalize(&mut layers, norms);
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), true);
        let attention = &mut layer.attention;
        // transformers ignores `num_key_value_heads` in this architecture.
        attention.kv_heads = attention.heads;
        let stored = linear("self_attn.query_key_value");
        [attention.query, attention.key, attention.value] =
            stored.split_in_groups(attention.heads, [attention.head_dim; 3]);
        attention.output = linear("self_attn.dense");
        attention.head_norms = normalizes_heads.then(|| {
            let prefix = format!("{prefix}.self_attn");
            head_norms(&prefix, ["q_layernorm", "k_layernorm"], norms.0, norms.1)
        });
        if let Some(network) = layer.plain_network() {
            network.gate = Gate::Plain {
                up: linear("mlp.dense_h_to_4h"),
            };
            network.down = linear("mlp.dense_4h_to_h");
        }
    }
    let mut model = llama::model(config, HALF_ROTATED, layers)?;
    model.decoder.final_norm = Some(NormSpec::new("model.final_layernorm", norms.0, norms.1));
    Ok(model)
}

fn layer_norm_epsilon(config: &ConfigFile) -> Result<f64, Error> {
    let epsilon = config.optional_number("layer_norm_eps")?;
    Ok(epsilon.unwrap_or(DEFAULT_EPSILON))
}

/// Reads Llama's layers and takes the gates out of their networks.
fn layers(config: &ConfigFile, defaults: Defaults, bias: bool) -> Result<Vec<Layer>, Error> {
    let mut layers = llama::layers(config, defaults)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let linear = |name: &str| LinearSpec::new(format!("{prefix}.mlp.{name}"), bias);
        if let Some(network) = layer.plain_network() {
            network.gate = Gate::Plain {
                up: linear("up_proj"),
            };
            network.down = linear("down_proj");
        }
    }
    Ok(layers)
}

/// Replaces Llama's norms before attention and network by norms of another kind.
fn normalize(layers: &mut [Layer], (kind, epsilon): (NormKind, f64)) {
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let norm = |name: &str| NormSpec::new(format!("{prefix}.{name}"), kind, epsilon);
        layer.attention_norms = Norms::Before(norm("input_layernorm"));
        layer.network_norms = Norms::Before(norm("post_attention_layernorm"));
    }
}
