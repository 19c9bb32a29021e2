//! `OLMo` and `OLMo` 2: Llama with layer norms without weights (1), or with norms on the outputs
//! of attention and network, and on queries and keys (2).
//!
//! Sources: Groeneveld et al. 2024, <https://arxiv.org/abs/2402.00838>; Team `OLMo` 2024,
//! <https://arxiv.org/abs/2501.00656>.

use super::layer::Norms;
use super::llama::{self, DEFAULTS, Defaults};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{HeadNormSpec, HeadNormWeights, ModelSpec, NormKind, NormSpec};

/// Fixed in transformers' code.
const LAYER_NORM_EPSILON: f64 = 1e-5;

const OLMO2: Defaults = Defaults {
    rms_epsilon: 1e-5,
    ..DEFAULTS
};

/// Reads the specification of a first-generation `OLMo` model.
pub(super) fn olmo(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let clip = config.optional_number("clip_qkv")?;
    let mut layers = llama::layers(config, DEFAULTS)?;
    let norm = || NormSpec::new("", NormKind::LayerWithoutWeights, LAYER_NORM_EPSILON);
    for layer in &mut layers {
        layer.attention.clip = clip;
        layer.attention_norms = Norms::Before(norm());
        layer.network_norms = Norms::Before(norm());
    }
    let mut model = llama::model(config, DEFAULTS, layers)?;
    model.decoder.final_norm = Some(norm());
    Ok(model)
}

/// Reads the specification of an `OLMo` 2 model.
pub(super) fn olmo2(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, OLMO2)?;
    let epsilon = llama::rms_epsilon(config, OLMO2)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let norm = |name: &str| NormSpec::rms(format!("{prefix}.{name}"), epsilon);
        let weights = |name: &str| HeadNormWeights::Shared(format!("{prefix}.self_attn.{name}"));
        layer.attention_norms = Norms::After(norm("post_attention_layernorm"));
        layer.network_norms = Norms::After(norm("post_feedforward_layernorm"));
        layer.attention.head_norms = Some(HeadNormSpec {
            kind: NormKind::Rms,
            epsilon,
            is_joint: true,
            queries: weights("q_norm"),
            keys: weights("k_norm"),
        });
    }
    llama::model(config, OLMO2, layers)
}
