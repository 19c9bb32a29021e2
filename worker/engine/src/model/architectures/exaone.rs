//! EXAONE 4: Llama with norms on the outputs of attention and network and on queries and keys, and
//! with windows in most layers. Layers without a window do not rotate queries and keys.
//!
//! Source: LG AI Research 2025, <https://arxiv.org/abs/2507.11407>.

use super::fields::{head_norms, size_or, windows};
use super::layer::Norms;
use super::llama::{self, DEFAULTS, Defaults};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{ModelSpec, NormKind, NormSpec};

const EXAONE4: Defaults = Defaults {
    rms_epsilon: 1e-5,
    ..DEFAULTS
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_PATTERN: usize = 4;

/// Reads the specification of an EXAONE 4 model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, EXAONE4)?;
    let epsilon = llama::rms_epsilon(config, EXAONE4)?;
    let window = size_or(config, "sliding_window", DEFAULT_WINDOW)?;
    let mut pattern = DEFAULT_PATTERN;
    // Files with a list of layers may describe the pattern in letters instead of by its length.
    if !config.has("layer_types") {
        let given = config.optional_size("sliding_window_pattern")?;
        pattern = given.unwrap_or(DEFAULT_PATTERN);
    }
    let slides = |layer: usize| !(layer + 1).is_multiple_of(pattern);
    let windows = windows(config, layers.len(), window, slides)?;
    for ((index, layer), own_window) in layers.iter_mut().enumerate().zip(windows) {
        let prefix = llama::prefix(index);
        let norm = |name: &str| NormSpec::rms(format!("{prefix}.{name}"), epsilon);
        layer.attention_norms = Norms::After(norm("post_attention_layernorm"));
        layer.network_norms = Norms::After(norm("post_feedforward_layernorm"));
        let attention = &mut layer.attention;
        let names = ["q_norm", "k_norm"];
        let prefix = format!("{prefix}.self_attn");
        attention.head_norms = Some(head_norms(&prefix, names, NormKind::Rms, epsilon));
        attention.window = own_window;
        if window.is_some() && own_window.is_none() {
            attention.rotation = None;
        }
    }
    llama::model(config, EXAONE4, layers)
}
