//! `OLMo`, `OLMo` 2 and `OLMo` 3: Llama with layer norms without weights (1), or with norms on the
//! outputs of attention and network, and on queries and keys (2). `OLMo` 3 also has windows, and
//! scales only the rotation of layers without one.
//!
//! Sources: Groeneveld et al. 2024, <https://arxiv.org/abs/2402.00838>; Team `OLMo` 2024,
//! <https://arxiv.org/abs/2501.00656>; 2025, <https://arxiv.org/abs/2512.13961>.

use super::fields::{head_norms, size_or, windows};
use super::layer::{Layer, Norms};
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::{self, RopeDefaults};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{HeadNormSpec, ModelSpec, NormKind, NormSpec};

/// Fixed in transformers' code.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// What transformers assumes if the file does not give a value.
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_PATTERN: usize = 4;

const OLMO2: Defaults = Defaults {
    rms_epsilon: 1e-5,
    ..DEFAULTS
};

const OLMO3: Defaults = Defaults {
    rope: RopeDefaults {
        theta: 500_000.0,
        ..DEFAULTS.rope
    },
    ..OLMO2
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
    llama::model(config, OLMO2, normed_layers(config, OLMO2)?)
}

/// Reads the specification of an `OLMo` 3 model.
pub(super) fn olmo3(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = normed_layers(config, OLMO3)?;
    let window = size_or(config, "sliding_window", DEFAULT_WINDOW)?;
    // Which layers have a window matters even if the window has no size: they use another
    // rotation. The size 1 here only marks those layers.
    let slides = |layer: usize| !(layer + 1).is_multiple_of(DEFAULT_PATTERN);
    let is_local = windows(config, layers.len(), Some(1), slides)?;
    for (layer, is_local) in layers.iter_mut().zip(is_local) {
        layer.attention.window = is_local.and(window);
        layer.attention.rotation = Some(usize::from(is_local.is_some()));
    }
    let mut model = llama::model(config, OLMO3, layers)?;
    model.decoder.rotations = rope::by_layer_type(config, OLMO3.rope, OLMO3.rope)?;
    Ok(model)
}

/// Reads Llama's layers, with norms on the outputs of attention and network instead of their
/// inputs, and on queries and keys.
pub(super) fn normed_layers(config: &ConfigFile, defaults: Defaults) -> Result<Vec<Layer>, Error> {
    let mut layers = llama::layers(config, defaults)?;
    let epsilon = llama::rms_epsilon(config, defaults)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let norm = |name: &str| NormSpec::rms(format!("{prefix}.{name}"), epsilon);
        layer.attention_norms = Norms::After(norm("post_attention_layernorm"));
        layer.network_norms = Norms::After(norm("post_feedforward_layernorm"));
        layer.attention.head_norms = Some(joint_norms(index, epsilon));
    }
    Ok(layers)
}

/// Returns the norms on all queries and on all keys of layer `index`.
pub(super) fn joint_norms(index: usize, epsilon: f64) -> HeadNormSpec {
    let prefix = format!("{}.self_attn", llama::prefix(index));
    HeadNormSpec {
        is_joint: true,
        ..head_norms(&prefix, ["q_norm", "k_norm"], NormKind::Rms, epsilon)
    }
}
