//! Phi-3: Llama with queries, keys and values in one linear map, gate and up projection in
//! another, and a sliding window.
//!
//! Source: Abdin et al. 2024, <https://arxiv.org/abs/2404.14219>.

use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{CoreSpec, Gate, LinearSpec, ModelSpec};

const PHI3: Defaults = Defaults {
    rms_epsilon: 1e-5,
    rope: RopeDefaults {
        partial: Some(1.0),
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

/// Reads the specification of a Phi-3 model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, PHI3)?;
    let window = config.optional_size("sliding_window")?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let attention = &mut layer.attention;
        let width = attention.heads * attention.head_dim;
        let kv_width = attention.kv_heads * attention.head_dim;
        let stored = LinearSpec::new(format!("{prefix}.self_attn.qkv_proj"), false);
        let projections = stored.split([width, kv_width, kv_width]);
        [attention.query, attention.key, attention.value] = projections;
        attention.window = window;
        let CoreSpec::FeedForward(network) = &mut layer.network else {
            continue;
        };
        let stored = LinearSpec::new(format!("{prefix}.mlp.gate_up_proj"), false);
        let [gate, up] = stored.split([network.inner; 2]);
        network.gate = Gate::Gated { gate, up };
    }
    llama::model(config, PHI3, layers)
}
