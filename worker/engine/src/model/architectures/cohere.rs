//! Cohere's Command R: Llama with attention and feed-forward network in parallel after one layer
//! norm without bias, rotary positions on pairs of neighboring entries, and scaled logits.
//!
//! Source: Cohere 2024, <https://huggingface.co/CohereLabs/c4ai-command-r-v01>.

use super::layer::Norms;
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{HeadNormSpec, HeadNormWeights, ModelSpec, NormKind, NormSpec, Pairing};

const COHERE: Defaults = Defaults {
    is_tied: true,
    rope: RopeDefaults {
        theta: 500_000.0,
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;
const DEFAULT_LOGIT_SCALE: f64 = 0.0625;

/// Reads the specification of a Command R model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let epsilon = config.optional_number("layer_norm_eps")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let kind = NormKind::LayerWithoutBias;
    let has_head_norms = config.flag_or("use_qk_norm", false)?;
    let mut layers = llama::layers(config, COHERE)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let norm = NormSpec::new(format!("{prefix}.input_layernorm"), kind, epsilon);
        layer.attention_norms = Norms::Before(norm.clone());
        layer.network_norms = Norms::Before(norm);
        layer.is_parallel = true;
        if has_head_norms {
            let weights =
                |name: &str| HeadNormWeights::Stacked(format!("{prefix}.self_attn.{name}"));
            layer.attention.head_norms = Some(HeadNormSpec {
                kind,
                epsilon,
                is_joint: false,
                queries: weights("q_norm"),
                keys: weights("k_norm"),
            });
        }
    }
    let mut model = llama::model(config, COHERE, layers)?;
    model.decoder.final_norm = Some(NormSpec::new("model.norm", kind, epsilon));
    for rotation in &mut model.decoder.rotations {
        rotation.pairing = Pairing::Neighbours;
    }
    let scale = config.optional_number("logit_scale")?;
    model.head.scale = scale.unwrap_or(DEFAULT_LOGIT_SCALE);
    Ok(model)
}
