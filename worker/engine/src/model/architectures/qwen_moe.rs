//! Mixtures of experts of Qwen: Qwen 2 with an expert that all rows share (Qwen 1.5 `MoE`, Qwen 2
//! `MoE`), and Qwen 3 without it; and Mellum, which is Qwen 3 with two rotations.
//!
//! Sources: Qwen team 2024, <https://qwenlm.github.io/blog/qwen-moe/>; Yang et al. 2025,
//! <https://arxiv.org/abs/2505.09388>; `JetBrains` 2026,
//! <https://huggingface.co/JetBrains/Mellum2-12B-A2.5B-Base>.

use super::experts::{self, Counts};
use super::fields::{head_norms, size_or, windows};
use super::layer::Layer;
use super::llama::{self, DEFAULTS};
use super::rope::{self, RopeDefaults};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{ExpertsSpec, LinearSpec, ModelSpec, NormKind, RoutingSpec};

/// What transformers assumes if the file does not give a value.
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_MAX_WINDOW_LAYERS: usize = 28;
const MELLUM_WINDOW: usize = 1024;

/// Reads the specification of a Qwen 2 model with experts.
pub(super) fn qwen2_moe(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, DEFAULTS)?;
    let bias = config.flag_or("qkv_bias", true)?;
    let sparse = sparse_layers(config, layers.len())?;
    let window = window(config)?;
    let first = config.optional_size("max_window_layers")?;
    let first = first.unwrap_or(DEFAULT_MAX_WINDOW_LAYERS);
    let slides = |layer: usize| layer.is_multiple_of(2) && layer < first;
    let windows = windows(config, layers.len(), window, slides)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.set_biases(bias, false);
        layer.attention.window = windows[index];
        if sparse[index] {
            layer.network = mixture_with_shared(config, index)?.into();
        }
    }
    llama::model(config, DEFAULTS, layers)
}

/// Reads the specification of a Qwen 3 model with experts.
pub(super) fn qwen3_moe(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, DEFAULTS)?;
    let sparse = sparse_layers(config, layers.len())?;
    let window = window(config)?;
    normalize_heads(config, &mut layers)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.attention.window = window;
        if sparse[index] {
            layer.network = mixture(config, index, false)?.into();
        }
    }
    llama::model(config, DEFAULTS, layers)
}

/// Reads the specification of a Mellum model.
pub(super) fn mellum(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, DEFAULTS)?;
    let sparse = experts::sparse_layers(config, layers.len(), 0)?;
    let window = size_or(config, "sliding_window", MELLUM_WINDOW)?;
    // The size 1 only marks the layers with a window, which have a rotation of their own.
    let is_local = windows(config, layers.len(), Some(1), |_| false)?;
    normalize_heads(config, &mut layers)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let is_local = is_local[index].is_some();
        layer.attention.window = window.filter(|_| is_local);
        layer.attention.rotation = Some(usize::from(is_local));
        if sparse[index] {
            layer.network = mixture(config, index, true)?.into();
        }
    }
    let mut model = llama::model(config, DEFAULTS, layers)?;
    let global = RopeDefaults {
        theta: 500_000.0,
        ..DEFAULTS.rope
    };
    model.decoder.rotations = rope::by_layer_type(config, global, DEFAULTS.rope)?;
    Ok(model)
}

/// Adds the norms of Qwen 3 on queries and keys.
fn normalize_heads(config: &ConfigFile, layers: &mut [Layer]) -> Result<(), Error> {
    let epsilon = llama::rms_epsilon(config, DEFAULTS)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = format!("{}.self_attn", llama::prefix(index));
        let norms = head_norms(&prefix, ["q_norm", "k_norm"], NormKind::Rms, epsilon);
        layer.attention.head_norms = Some(norms);
    }
    Ok(())
}

/// Returns the window of the layers that have one, if `use_sliding_window` is set.
fn window(config: &ConfigFile) -> Result<Option<usize>, Error> {
    if !config.flag_or("use_sliding_window", false)? {
        return Ok(None);
    }
    let window = config.optional_size("sliding_window")?;
    Ok(Some(window.unwrap_or(DEFAULT_WINDOW)))
}

/// Reads which layers are mixtures of experts: each one whose number is a multiple of
/// `decoder_sparse_step`, except those in `mlp_only_layers`.
fn sparse_layers(config: &ConfigFile, layers: usize) -> Result<Vec<bool>, Error> {
    let step = config.optional_size("decoder_sparse_step")?.unwrap_or(1);
    let mut dense = Vec::new();
    if config
        .fields()
        .get("mlp_only_layers")
        .is_some_and(|v| !v.is_null())
    {
        dense = config.numbers("mlp_only_layers")?;
    }
    let is_sparse =
        |layer: usize| (layer + 1).is_multiple_of(step) && !dense.contains(&(layer as f64));
    Ok((0..layers).map(is_sparse).collect())
}

/// Reads the mixture of layer `index`. `sums_to_one` is the default of `norm_topk_prob`.
fn mixture(config: &ConfigFile, index: usize, sums_to_one: bool) -> Result<ExpertsSpec, Error> {
    let counts = Counts::read(
        config,
        &["num_experts", "num_local_experts"],
        &["num_experts_per_tok"],
    )?;
    let inner = config.size("moe_intermediate_size")?;
    let routing = RoutingSpec::softmax(config.flag_or("norm_topk_prob", sums_to_one)?);
    let prefix = format!("{}.mlp", llama::prefix(index));
    experts::numbered(config, &prefix, (counts, inner), routing)
}

/// Reads the mixture of layer `index` of a Qwen 2 model, with its shared expert.
fn mixture_with_shared(config: &ConfigFile, index: usize) -> Result<ExpertsSpec, Error> {
    let prefix = format!("{}.mlp", llama::prefix(index));
    let inner = config.size("shared_expert_intermediate_size")?;
    let mut shared = experts::shared(config, &format!("{prefix}.shared_expert"), inner)?;
    shared.gate = Some(LinearSpec::new(
        format!("{prefix}.shared_expert_gate"),
        false,
    ));
    Ok(ExpertsSpec {
        shared: Some(shared),
        ..mixture(config, index, false)?
    })
}
