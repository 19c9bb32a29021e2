//! Qwen 2 and Qwen 3: Llama with biases on queries, keys and values (2) or norms on queries and
//! keys (3), and a sliding window in the upper layers if `use_sliding_window` is set.
//!
//! Sources: Yang et al. 2024, <https://arxiv.org/abs/2407.10671>; Yang et al. 2025,
//! <https://arxiv.org/abs/2505.09388>.

use super::fields::windows;
use super::layer::Layer;
use super::llama::{self, DEFAULTS};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{HeadNormOrder, HeadNormSpec, HeadNormWeights, ModelSpec, NormKind};

/// What transformers assumes if the file does not give a value.
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_MAX_WINDOW_LAYERS: usize = 28;

/// Reads the specification of a Qwen 2 model.
pub(super) fn qwen2(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, DEFAULTS)?;
    for layer in &mut layers {
        let attention = &mut layer.attention;
        for projection in [
            &mut attention.query,
            &mut attention.key,
            &mut attention.value,
        ] {
            projection.bias = true;
        }
    }
    slide(config, &mut layers)?;
    llama::model(config, DEFAULTS, layers)
}

/// Reads the specification of a Qwen 3 model.
pub(super) fn qwen3(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, DEFAULTS)?;
    let epsilon = llama::rms_epsilon(config, DEFAULTS)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let weights = |name: &str| HeadNormWeights::Shared(format!("{prefix}.self_attn.{name}"));
        layer.attention.head_norms = Some(HeadNormSpec {
            kind: NormKind::Rms,
            epsilon,
            is_joint: false,
            order: HeadNormOrder::BeforeRotation,
            queries: weights("q_norm"),
            keys: weights("k_norm"),
        });
    }
    slide(config, &mut layers)?;
    llama::model(config, DEFAULTS, layers)
}

/// Sets the window of the layers that have one.
fn slide(config: &ConfigFile, layers: &mut [Layer]) -> Result<(), Error> {
    let mut window = None;
    if config.flag_or("use_sliding_window", false)? {
        window = Some(
            config
                .optional_size("sliding_window")?
                .unwrap_or(DEFAULT_WINDOW),
        );
    }
    let first = config.optional_size("max_window_layers")?;
    let first = first.unwrap_or(DEFAULT_MAX_WINDOW_LAYERS);
    let windows = windows(config, layers.len(), window, |layer| layer >= first)?;
    for (layer, window) in layers.iter_mut().zip(windows) {
        layer.attention.window = window;
    }
    Ok(())
}
