//! Mixtures of experts with the routing of DeepSeek-V3 and attention without latent vectors: GLM 4.5,
//! dots.llm1, Solar Open, EXAONE with experts, `MiniMax` M2, and Hunyuan 3.
//!
//! Sources: GLM-4.5 Team 2025, <https://arxiv.org/abs/2508.06471>; Huo et al. 2025,
//! <https://arxiv.org/abs/2506.05767>; Upstage 2026,
//! <https://huggingface.co/upstage/Solar-Open-100B>; LG AI Research 2026,
//! <https://arxiv.org/abs/2601.01739>; `MiniMax` 2025,
//! <https://huggingface.co/MiniMaxAI/MiniMax-M2>; Tencent 2026, <https://huggingface.co/tencent>.

use super::experts::{self, Counts, DeepSeekStyle};
use super::fields::{head_norms, index_or, size_or, windows};
use super::layer::Layer;
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use super::{mistral, olmo};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{LinearSpec, ModelSpec, NormKind, RoutingSpec};

const GLM: Defaults = Defaults {
    rms_epsilon: 1e-5,
    rope: RopeDefaults {
        partial: Some(0.5),
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

const SOLAR: Defaults = Defaults {
    rms_epsilon: 1e-5,
    rope: RopeDefaults {
        theta: 1_000_000.0,
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

const EXAONE: Defaults = Defaults {
    rms_epsilon: 1e-5,
    ..DEFAULTS
};

const MINIMAX: Defaults = Defaults {
    rope: RopeDefaults {
        theta: 5_000_000.0,
        partial: Some(1.0),
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

/// The mixtures of GLM 4.5 and Solar Open.
const OF_GLM: DeepSeekStyle = DeepSeekStyle {
    experts: "n_routed_experts",
    shared: "n_shared_experts",
    correction: "gate.e_score_correction_bias",
    norm_topk_prob: true,
    routed_scaling_factor: 1.0,
    groups: (1, 1),
};

const OF_DOTS: DeepSeekStyle = DeepSeekStyle {
    norm_topk_prob: false,
    ..OF_GLM
};

const OF_EXAONE: DeepSeekStyle = DeepSeekStyle {
    experts: "num_experts",
    shared: "num_shared_experts",
    correction: "e_score_correction_bias",
    routed_scaling_factor: 2.5,
    ..OF_GLM
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_PATTERN: usize = 4;
const DOTS_MAX_WINDOW_LAYERS: usize = 62;
const HY_SCALE: f64 = 2.826;

/// Reads the specification of a GLM 4.5 model.
pub(super) fn glm4_moe(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, GLM)?;
    let bias = config.flag_or("attention_bias", false)?;
    for layer in &mut layers {
        layer.set_biases(bias, false);
    }
    if config.flag_or("use_qk_norm", false)? {
        normalize_heads(config, GLM, &mut layers)?;
    }
    let first = index_or(config, "first_k_dense_replace", 1)?;
    mix(config, &mut layers, &OF_GLM, |layer| layer >= first)?;
    let mut model = llama::model(config, GLM, layers)?;
    experts::skip_prediction_layers(config, &mut model)?;
    Ok(model)
}

/// Reads the specification of a Solar Open model.
pub(super) fn solar_open(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, SOLAR)?;
    let bias = config.flag_or("attention_bias", false)?;
    for layer in &mut layers {
        layer.set_biases(bias, false);
    }
    mix(config, &mut layers, &OF_GLM, |_| true)?;
    llama::model(config, SOLAR, layers)
}

/// Reads the specification of a dots.llm1 model.
pub(super) fn dots1(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, DEFAULTS)?;
    normalize_heads(config, DEFAULTS, &mut layers)?;
    let window = size_or(config, "sliding_window", DEFAULT_WINDOW)?;
    let unlimited = index_or(config, "max_window_layers", DOTS_MAX_WINDOW_LAYERS)?;
    let windows = windows(config, layers.len(), window, |layer| layer >= unlimited)?;
    for (layer, window) in layers.iter_mut().zip(windows) {
        layer.attention.window = window;
    }
    let first = index_or(config, "first_k_dense_replace", 0)?;
    mix(config, &mut layers, &OF_DOTS, |layer| layer >= first)?;
    llama::model(config, DEFAULTS, layers)
}

/// Reads the specification of an EXAONE model with experts.
pub(super) fn exaone_moe(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, EXAONE)?;
    normalize_heads(config, EXAONE, &mut layers)?;
    let window = size_or(config, "sliding_window", DEFAULT_WINDOW)?;
    let mut pattern = DEFAULT_PATTERN;
    if !config.has("layer_types") {
        let given = config.optional_size("sliding_window_pattern")?;
        pattern = given.unwrap_or(DEFAULT_PATTERN);
    }
    let slides = |layer: usize| !(layer + 1).is_multiple_of(pattern);
    let windows = windows(config, layers.len(), window, slides)?;
    for (layer, own_window) in layers.iter_mut().zip(windows) {
        layer.attention.window = own_window;
        if window.is_some() && own_window.is_none() {
            layer.attention.rotation = None;
        }
    }
    let first = index_or(config, "first_k_dense_replace", 1)?;
    let sparse = experts::sparse_layers(config, layers.len(), first)?;
    mix(config, &mut layers, &OF_EXAONE, |layer| sparse[layer])?;
    let mut model = llama::model(config, EXAONE, layers)?;
    experts::skip_prediction_layers(config, &mut model)?;
    Ok(model)
}

/// Reads the specification of a `MiniMax` M2 model.
pub(super) fn minimax_m2(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, MINIMAX)?;
    let epsilon = llama::rms_epsilon(config, MINIMAX)?;
    let counts = Counts::read(
        config,
        &["num_local_experts", "num_experts"],
        &["num_experts_per_tok"],
    )?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = format!("{}.block_sparse_moe", llama::prefix(index));
        let routing = RoutingSpec::sigmoid(true, 1.0);
        let mut mixture = mistral::mixture(config, &prefix, counts, routing)?;
        let name = format!("{prefix}.e_score_correction_bias");
        mixture.correction = Some(experts::correction(name, counts));
        layer.set_biases(false, false);
        layer.attention.head_norms = Some(olmo::joint_norms(index, epsilon));
        layer.network = mixture.into();
    }
    let mut rope = MINIMAX.rope;
    if let Some(turned) = config.optional_size("rotary_dim")? {
        let dim = layers
            .first()
            .map_or(turned, |layer| layer.attention.head_dim);
        rope.partial = Some(turned as f64 / dim as f64);
    }
    llama::model(config, Defaults { rope, ..MINIMAX }, layers)
}

/// Reads the specification of a Hunyuan 3 model.
pub(super) fn hy_v3(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, EXAONE)?;
    normalize_heads(config, EXAONE, &mut layers)?;
    let sparse = experts::sparse_layers(config, layers.len(), 1)?;
    let scale = config.optional_number("router_scaling_factor")?;
    for (index, layer) in layers.iter_mut().enumerate() {
        if !sparse[index] {
            continue;
        }
        let prefix = format!("{}.mlp", llama::prefix(index));
        let counts = Counts::read(
            config,
            &["num_experts", "num_local_experts"],
            &["num_experts_per_tok"],
        )?;
        let inner = config.size("moe_intermediate_size")?;
        let routing = RoutingSpec::sigmoid(true, scale.unwrap_or(HY_SCALE));
        let mut mixture = experts::numbered(config, &prefix, (counts, inner), routing)?;
        mixture.router = LinearSpec::new(format!("{prefix}.router.gate"), false);
        mixture.correction = Some(experts::correction(format!("{prefix}.expert_bias"), counts));
        let num_shared = config.optional_size("num_shared_experts")?.unwrap_or(1);
        let shared = format!("{prefix}.shared_mlp");
        mixture.shared = Some(experts::shared(config, &shared, inner * num_shared)?);
        layer.network = mixture.into();
    }
    let mut model = llama::model(config, EXAONE, layers)?;
    experts::skip_prediction_layers(config, &mut model)?;
    Ok(model)
}

fn normalize_heads(
    config: &ConfigFile,
    defaults: Defaults,
    layers: &mut [Layer],
) -> Result<(), Error> {
    let epsilon = llama::rms_epsilon(config, defaults)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = format!("{}.self_attn", llama::prefix(index));
        let norms = head_norms(&prefix, ["q_norm", "k_norm"], NormKind::Rms, epsilon);
        layer.attention.head_norms = Some(norms);
    }
    Ok(())
}

/// Gives the layers that `is_sparse` includes a mixture of experts.
fn mix(
    config: &ConfigFile,
    layers: &mut [Layer],
    style: &DeepSeekStyle,
    is_sparse: impl Fn(usize) -> bool,
) -> Result<(), Error> {
    for (index, layer) in layers.iter_mut().enumerate() {
        if is_sparse(index) {
            let prefix = format!("{}.mlp", llama::prefix(index));
            layer.network = style.mixture(config, &prefix)?.into();
        }
    }
    Ok(())
}
