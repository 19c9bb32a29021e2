//! `SmolLM` 3: Llama with some layers that do not rotate queries and keys.
//!
//! Source: Hugging Face 2025, <https://huggingface.co/blog/smollm3>.

use super::fields::windows;
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::ModelSpec;

const SMOLLM3: Defaults = Defaults {
    is_tied: true,
    rope: RopeDefaults {
        theta: 2_000_000.0,
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

/// One in this many layers has no rotation, if the file does not list the layers.
const DEFAULT_INTERVAL: usize = 4;

/// Reads the specification of a `SmolLM` 3 model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, SMOLLM3)?;
    let interval = config.optional_size("no_rope_layer_interval")?;
    let interval = interval.unwrap_or(DEFAULT_INTERVAL);
    // Despite its name, the list has a 1 for layers that do rotate.
    let turns: Vec<bool> = if config.has("no_rope_layers") {
        let listed = config.numbers("no_rope_layers")?;
        listed.into_iter().map(|flag| flag != 0.0).collect()
    } else {
        (1..=layers.len())
            .map(|number| !number.is_multiple_of(interval))
            .collect()
    };
    if turns.len() != layers.len() {
        return Err(config.refused(format!(
            "`no_rope_layers` has {} entries for {} layers",
            turns.len(),
            layers.len()
        )));
    }
    let mut window = None;
    if config.flag_or("use_sliding_window", false)? {
        window = config.optional_size("sliding_window")?;
    }
    let windows = windows(config, layers.len(), window, |layer| !turns[layer])?;
    for ((layer, turns), window) in layers.iter_mut().zip(&turns).zip(windows) {
        layer.attention.rotation = turns.then_some(0);
        layer.attention.window = window;
    }
    llama::model(config, SMOLLM3, layers)
}
