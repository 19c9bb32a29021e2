//! Cohere's Command R, R7B and A: Llama with attention and feed-forward network in parallel after one layer
//! norm without bias, rotary positions on pairs of neighboring entries, and scaled logits.
//!
//! Command R7B and A have windows in most layers; layers without a window do not rotate queries and
//! keys.
//!
//! Sources: Cohere 2024, <https://huggingface.co/CohereLabs/c4ai-command-r-v01>; Cohere 2025,
//! <https://arxiv.org/abs/2504.00698>.

use super::fields::{rotate_neighbors, size_or, windows};
use super::layer::{Layer, Norms};
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    HeadNormOrder, HeadNormSpec, HeadNormWeights, ModelSpec, NormKind, NormSpec,
};

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
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_PATTERN: usize = 4;

/// Reads the specification of a Command R model.
pub(super) fn cohere(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = layers(config)?;
    if config.flag_or("use_qk_norm", false)? {
        let epsilon = epsilon(config)?;
        for (index, layer) in layers.iter_mut().enumerate() {
            let prefix = llama::prefix(index);
            let weights =
                |name: &str| HeadNormWeights::Stacked(format!("{prefix}.self_attn.{name}"));
            layer.attention.head_norms = Some(HeadNormSpec {
                kind: NormKind::LayerWithoutBias,
                epsilon,
                is_joint: false,
                order: HeadNormOrder::BeforeRotation,
                queries: weights("q_norm"),
                keys: weights("k_norm"),
            });
        }
    }
    model(config, layers)
}

/// Reads the specification of a Command R7B or Command A model.
pub(super) fn cohere2(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = layers(config)?;
    let window = size_or(config, "sliding_window", DEFAULT_WINDOW)?;
    let pattern = config.optional_size("sliding_window_pattern")?;
    let pattern = pattern.unwrap_or(DEFAULT_PATTERN);
    let slides = |layer: usize| !(layer + 1).is_multiple_of(pattern);
    let windows = windows(config, layers.len(), window, slides)?;
    for (layer, window) in layers.iter_mut().zip(windows) {
        layer.attention.window = window;
        layer.attention.rotation = window.map(|_| 0);
    }
    model(config, layers)
}

/// Reads Llama's layers and lets attention and network run in parallel after one layer norm.
fn layers(config: &ConfigFile) -> Result<Vec<Layer>, Error> {
    let epsilon = epsilon(config)?;
    let mut layers = llama::layers(config, COHERE)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let norm = norm(
            &format!("{}.input_layernorm", llama::prefix(index)),
            epsilon,
        );
        layer.attention_norms = Norms::Before(norm.clone());
        layer.network_norms = Norms::Before(norm);
        layer.is_parallel = true;
    }
    Ok(layers)
}

fn model(config: &ConfigFile, layers: Vec<Layer>) -> Result<ModelSpec, Error> {
    let mut model = llama::model(config, COHERE, layers)?;
    model.decoder.final_norm = Some(norm("model.norm", epsilon(config)?));
    rotate_neighbors(&mut model);
    let scale = config.optional_number("logit_scale")?;
    model.head.scale = scale.unwrap_or(DEFAULT_LOGIT_SCALE);
    Ok(model)
}

fn epsilon(config: &ConfigFile) -> Result<f64, Error> {
    let epsilon = config.optional_number("layer_norm_eps")?;
    Ok(epsilon.unwrap_or(DEFAULT_EPSILON))
}

fn norm(name: &str, epsilon: f64) -> NormSpec {
    NormSpec::new(name, NormKind::LayerWithoutBias, epsilon)
}
