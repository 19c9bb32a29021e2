//! Relatives of Llama that differ from it in defaults and in which maps have biases: Seed-OSS, Helium,
//! CWM, `InternLM` 3 and IQuest-Coder.
//!
//! Sources: `ByteDance` Seed 2025, <https://github.com/ByteDance-Seed/seed-oss>; Kyutai 2025,
//! <https://huggingface.co/kyutai/helium-1-preview-2b>; FAIR 2025,
//! <https://arxiv.org/abs/2510.02387>; Shanghai AI Laboratory 2025,
//! <https://huggingface.co/internlm/internlm3-8b-instruct>; IQuest Lab 2026,
//! <https://huggingface.co/IQuestLab/IQuest-Coder-V1-40B-Instruct>.

use super::fields::{require, rotate_neighbors, size_or, windows};
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::ModelSpec;

const HELIUM: Defaults = Defaults {
    rms_epsilon: 1e-8,
    rope: RopeDefaults {
        theta: 100_000.0,
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

const CWM: Defaults = Defaults {
    rms_epsilon: 1e-5,
    rope: RopeDefaults {
        theta: 1_000_000.0,
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

const INTERNLM3: Defaults = Defaults {
    rms_epsilon: 1e-5,
    ..DEFAULTS
};

/// What transformers assumes for CWM if the file does not give a value.
const CWM_WINDOW: usize = 8192;
const CWM_PATTERN: usize = 4;

/// Reads the specification of a Seed-OSS model.
pub(super) fn seed_oss(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let of_inputs = config.flag_or("attention_bias", true)?;
    let of_output = config.flag_or("attention_out_bias", false)?;
    let mut layers = llama::layers(config, DEFAULTS)?;
    for layer in &mut layers {
        layer.set_biases(of_inputs, of_output);
    }
    llama::model(config, DEFAULTS, layers)
}

/// Reads the specification of a Helium model, which rotates pairs of neighboring entries.
pub(super) fn helium(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let bias = config.flag_or("attention_bias", false)?;
    let mut layers = llama::layers(config, HELIUM)?;
    for layer in &mut layers {
        layer.set_biases(bias, false);
    }
    let mut model = llama::model(config, HELIUM, layers)?;
    rotate_neighbors(&mut model);
    Ok(model)
}

/// Reads the specification of a CWM model, which has windows in three of four layers.
pub(super) fn cwm(config: &ConfigFile) -> Result<ModelSpec, Error> {
    if !config.has("rope_parameters") && !config.has("rope_scaling") {
        return Err(config.refused("`rope_parameters` is missing".to_owned()));
    }
    let mut layers = llama::layers(config, CWM)?;
    let window = size_or(config, "sliding_window", CWM_WINDOW)?;
    let slides = |layer: usize| !layer.is_multiple_of(CWM_PATTERN);
    let windows = windows(config, layers.len(), window, slides)?;
    for (layer, window) in layers.iter_mut().zip(windows) {
        layer.set_biases(false, false);
        layer.attention.window = window;
    }
    llama::model(config, CWM, layers)
}

/// Reads the specification of an `InternLM` 3 model.
pub(super) fn internlm3(config: &ConfigFile) -> Result<ModelSpec, Error> {
    // Original files call the switches `qkv_bias` and `bias`.
    let flag = |new: &str, old: &str| config.flag_or(new, config.flag_or(old, false)?);
    let of_attention = flag("attention_bias", "qkv_bias")?;
    let of_network = flag("mlp_bias", "bias")?;
    if of_attention != of_network {
        return Err(
            config.refused("`qkv_bias` and `bias` differ, which is not supported".to_owned())
        );
    }
    let mut layers = llama::layers(config, INTERNLM3)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.set_biases(of_attention, of_attention);
        if let Some(network) = layer.plain_network() {
            let prefix = format!("{}.mlp", llama::prefix(index));
            let with_biases = llama::gated(&prefix, network.inner, of_network);
            (network.gate, network.down) = (with_biases.gate, with_biases.down);
        }
    }
    llama::model(config, INTERNLM3, layers)
}

/// Reads the specification of an IQuest-Coder model.
pub(super) fn iquestcoder(config: &ConfigFile) -> Result<ModelSpec, Error> {
    require(config, "use_sliding_window", false)?;
    if let Some(clip) = config.optional_number("clip_qkv")? {
        return Err(config.refused(format!(
            "`clip_qkv` is {clip}, which is not supported in IQuest-Coder"
        )));
    }
    llama::model(config, INTERNLM3, llama::layers(config, INTERNLM3)?)
}
