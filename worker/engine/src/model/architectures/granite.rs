//! Granite and `HyperCLOVA` X: Llama with extra factors on embeddings, scores, layer outputs and
//! logits. `HyperCLOVA` X also normalizes the outputs of attention and network.
//!
//! Sources: IBM Research 2024, "Granite 3.0 Language Models"; NAVER Cloud 2025,
//! <https://arxiv.org/abs/2506.22403>.

use super::layer::{Layer, Norms};
use super::llama::{self, DEFAULTS};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{ModelSpec, NormSpec};

/// The factor of attention scores that transformers assumes if the file does not give one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DefaultScale {
    /// No scaling.
    One,
    /// The reciprocal of the square root of a head's width.
    OfHeads,
}

/// Reads the specification of a Granite model.
pub(super) fn granite(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let layers = llama::layers(config, DEFAULTS)?;
    with_multipliers(config, layers, DefaultScale::One)
}

/// Reads the specification of a `HyperCLOVA` X model.
pub(super) fn hyperclovax(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, DEFAULTS)?;
    let epsilon = llama::rms_epsilon(config, DEFAULTS)?;
    if config.flag_or("use_post_norm", true)? {
        for (index, layer) in layers.iter_mut().enumerate() {
            let prefix = llama::prefix(index);
            let norm = |name: &str| NormSpec::rms(format!("{prefix}.{name}"), epsilon);
            layer.attention_norms = Norms::Around(norm("input_layernorm"), norm("post_norm1"));
            layer.network_norms =
                Norms::Around(norm("post_attention_layernorm"), norm("post_norm2"));
        }
    }
    let mut model = with_multipliers(config, layers, DefaultScale::OfHeads)?;
    // Here, unlike in Granite, the logits are multiplied by this factor.
    model.head.scale = factor(config, "logits_scaling")?;
    Ok(model)
}

/// Combines `layers` with Llama's embedding and head, and applies the factors of Granite.
pub(super) fn with_multipliers(
    config: &ConfigFile,
    mut layers: Vec<Layer>,
    default_scale: DefaultScale,
) -> Result<ModelSpec, Error> {
    let scale = config.optional_number("attention_multiplier")?;
    for layer in &mut layers {
        layer.attention.scale = match (scale, default_scale) {
            (Some(scale), _) => scale,
            (None, DefaultScale::One) => 1.0,
            (None, DefaultScale::OfHeads) => layer.attention.scale,
        };
        layer.scale = factor(config, "residual_multiplier")?;
    }
    let mut model = llama::model(config, DEFAULTS, layers)?;
    model.decoder.input_scale = factor(config, "embedding_multiplier")?;
    model.head.scale = 1.0 / factor(config, "logits_scaling")?;
    Ok(model)
}

fn factor(config: &ConfigFile, field: &str) -> Result<f64, Error> {
    Ok(config.optional_number(field)?.unwrap_or(1.0))
}
