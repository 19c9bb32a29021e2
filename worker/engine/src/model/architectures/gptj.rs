//! GPT-J: attention and network in parallel after one layer norm, rotary positions on pairs of
//! neighboring entries in part of each head.
//!
//! Source: Wang & Komatsuzaki 2021, <https://github.com/kingoflolz/mesh-transformer-jax>; weight
//! names as transformers saves them.

use super::fields::{activation, head_dim, head_weight};
use super::layer::{Layer, sublayers};
use super::rope::inverse_frequencies;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AttentionSpec, FeedForwardSpec, Gate, HeadBias, HeadSpec, LinearSpec, ModelSpec, NormSpec,
    Pairing, RotarySpec, StackSpec,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;
/// Fixed in transformers' code.
const THETA: f64 = 10_000.0;

/// Reads the specification of a GPT-J model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("n_embd")?;
    let heads = config.size("n_head")?;
    let dim = head_dim(config, hidden, heads)?;
    let epsilon = config.optional_number("layer_norm_epsilon")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let layer = |index| layer(config, index, (hidden, heads, dim), epsilon);
    let layers: Vec<_> = (0..config.size("n_layer")?)
        .map(layer)
        .collect::<Result<_, _>>()?;
    let turned = config.optional_size("rotary_dim")?.unwrap_or(dim);
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

/// Describes layer `index` of a model with `hidden` entries per row and `heads` heads of `dim`
/// entries.
fn layer(
    config: &ConfigFile,
    index: usize,
    (hidden, heads, dim): (usize, usize, usize),
    epsilon: f64,
) -> Result<Layer, Error> {
    let prefix = format!("transformer.h.{index}");
    let linear = |name: &str, bias| LinearSpec::new(format!("{prefix}.{name}"), bias);
    let norm = NormSpec::layer(format!("{prefix}.ln_1"), epsilon);
    let attention = AttentionSpec {
        rotation: Some(0),
        ..AttentionSpec::causal(
            (heads, heads, dim),
            ["attn.q_proj", "attn.k_proj", "attn.v_proj"].map(|name| linear(name, false)),
            linear("attn.out_proj", false),
        )
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
