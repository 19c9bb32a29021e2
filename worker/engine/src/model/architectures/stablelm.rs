//! `StableLM`: Llama with layer norms, rotary positions in part of each head, and in some models
//! biases, norms on each query and key head, or attention and network in parallel.
//!
//! Source: Bellagente et al. 2024, <https://arxiv.org/abs/2402.17834>.

use super::layer::Norms;
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    HeadNormOrder, HeadNormSpec, HeadNormWeights, ModelSpec, NormKind, NormSpec,
};

const STABLELM: Defaults = Defaults {
    rope: RopeDefaults {
        partial: Some(0.25),
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;

/// Reads the specification of a `StableLM` model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let epsilon = config.optional_number("layer_norm_eps")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let bias = config.flag_or("use_qkv_bias", false)?;
    let has_head_norms = config.flag_or("qk_layernorm", false)?;
    let is_parallel = config.flag_or("use_parallel_residual", false)?;
    let mut layers = llama::layers(config, STABLELM)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let norm = |name: &str| NormSpec::layer(format!("{prefix}.{name}"), epsilon);
        let of_network = if is_parallel {
            "input_layernorm"
        } else {
            "post_attention_layernorm"
        };
        layer.attention_norms = Norms::Before(norm("input_layernorm"));
        layer.network_norms = Norms::Before(norm(of_network));
        layer.is_parallel = is_parallel;
        let attention = &mut layer.attention;
        for projection in [
            &mut attention.query,
            &mut attention.key,
            &mut attention.value,
        ] {
            projection.bias = bias;
        }
        if has_head_norms {
            let weights =
                |name: &str| HeadNormWeights::Numbered(format!("{prefix}.self_attn.{name}.norms"));
            attention.head_norms = Some(HeadNormSpec {
                kind: NormKind::LayerWithoutBias,
                epsilon,
                is_joint: false,
                order: HeadNormOrder::BeforeRotation,
                queries: weights("q_layernorm"),
                keys: weights("k_layernorm"),
            });
        }
    }
    let mut model = llama::model(config, STABLELM, layers)?;
    model.decoder.final_norm = Some(NormSpec::layer("model.norm", epsilon));
    Ok(model)
}
