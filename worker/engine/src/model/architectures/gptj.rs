//! GPT-J and CodeGen: attention and network in parallel after one layer norm, rotary positions on
//! pairs of neighboring entries in part of each head. CodeGen stores queries, values and keys in one
//! map.
//!
//! Sources: Wang & Komatsuzaki 2021, <https://github.com/kingoflolz/mesh-transformer-jax>; Nijkamp
//! et al. 2022, <https://arxiv.org/abs/2203.13474>. Weight names as transformers saves them.

use super::fields::{HeadSizes, activation, head_dim, head_weight, size_or};
use super::layer::{Layer, sublayers};
use super::rope::inverse_frequencies;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AttentionSpec, FeedForwardSpec, Gate, HeadBias, HeadSpec, LinearSpec, ModelSpec, NormSpec,
    Pairing, RotarySpec, StackSpec, Surroundings,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;
/// Fixed in transformers' code.
const THETA: f64 = 10_000.0;

/// The number of parts of CodeGen's map of queries, values and keys: that of the processors that the
/// models were trained on.
const CODEGEN_PARTS: usize = 4;
/// What transformers assumes for CodeGen if the file does not give a value.
const CODEGEN_ROTATED: usize = 64;

/// Reads the specification of a GPT-J model.
pub(super) fn gptj(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let turned = config.optional_size("rotary_dim")?;
    spec(config, turned, |prefix, _| {
        let linear = |name: &str| LinearSpec::new(format!("{prefix}.attn.{name}"), false);
        ["q_proj", "k_proj", "v_proj"].map(linear)
    })
}

/// Reads the specification of a CodeGen model.
pub(super) fn codegen(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let heads = config.size("n_head")?;
    if !heads.is_multiple_of(CODEGEN_PARTS) {
        return Err(config.refused(format!(
            "{heads} attention heads cannot be stored in {CODEGEN_PARTS} parts"
        )));
    }
    let turned = size_or(config, "rotary_dim", CODEGEN_ROTATED)?;
    spec(config, turned, |prefix, hidden| {
        let stored = LinearSpec::new(format!("{prefix}.attn.qkv_proj"), false);
        let width = hidden / CODEGEN_PARTS;
        let [query, value, key] = stored.split_in_groups(CODEGEN_PARTS, [width; 3]);
        [query, key, value]
    })
}

/// Reads a model whose heads have `turned` rotated entries, or only rotated ones. `projections`
/// returns the projections of queries, keys and values from a layer's prefix and the width of rows.
fn spec(
    config: &ConfigFile,
    turned: Option<usize>,
    projections: impl Fn(&str, usize) -> [LinearSpec; 3],
) -> Result<ModelSpec, Error> {
    let hidden = config.size("n_embd")?;
    let heads = config.size("n_head")?;
    let dim = head_dim(config, hidden, heads)?;
    let epsilon = config.optional_number("layer_norm_epsilon")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let layer = |index| {
        let projections = projections(&prefix(index), hidden);
        layer(config, index, ((heads, heads, dim), projections), epsilon)
    };
    let layers: Vec<_> = (0..config.size("n_layer")?)
        .map(layer)
        .collect::<Result<_, _>>()?;
    let turned = turned.unwrap_or(dim);
    if turned > dim {
        return Err(config.refused(format!(
            "`rotary_dim` is {turned}, the heads have {dim} entries"
        )));
    }
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: config.size("n_positions")?,
        embedding: "transformer.wte.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        surroundings: Surroundings::default(),
        decoder: StackSpec {
            rotations: vec![RotarySpec {
                long: None,
                inverse_frequencies: inverse_frequencies(turned, THETA),
                pairing: Pairing::Neighbours,
                magnitude: 1.0,
            }],
            final_norm: Some(NormSpec::layer("transformer.ln_f", epsilon)),
            ..StackSpec::new(sublayers(layers))
        },
        head: HeadSpec {
            bias: Some(HeadBias::Linear("lm_head.bias".to_owned())),
            ..HeadSpec::plain(head_weight(config, "lm_head.weight", false)?)
        },
    })
}

/// Returns the prefix of the tensor names of layer `index`.
fn prefix(index: usize) -> String {
    format!("transformer.h.{index}")
}

/// Describes layer `index`, whose attention has heads of the given sizes and the given projections
/// of queries, keys and values.
fn layer(
    config: &ConfigFile,
    index: usize,
    (sizes, projections): (HeadSizes, [LinearSpec; 3]),
    epsilon: f64,
) -> Result<Layer, Error> {
    let hidden = config.size("n_embd")?;
    let prefix = prefix(index);
    let linear = |name: &str, bias| LinearSpec::new(format!("{prefix}.{name}"), bias);
    let norm = NormSpec::layer(format!("{prefix}.ln_1"), epsilon);
    let attention = AttentionSpec {
        rotation: Some(0),
        ..AttentionSpec::causal(sizes, projections, linear("attn.out_proj", false))
    };
    let network = FeedForwardSpec {
        inner: config.optional_size("n_inner")?.unwrap_or(4 * hidden),
        activation: activation(config, "activation_function", "gelu_new")?,
        gate: Gate::Plain {
            up: linear("mlp.fc_in", true),
        },
        down: linear("mlp.fc_out", true),
    };
    Ok(Layer {
        is_parallel: true,
        ..Layer::pre_norm((norm.clone(), attention), (norm, network))
    })
}
