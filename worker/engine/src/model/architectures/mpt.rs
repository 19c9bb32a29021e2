//! MPT: decoder-only, pre-norm with layer norms, no biases, `ALiBi` score biases. Queries, keys
//! and values are stored in one linear map.
//!
//! Source: `MosaicML` 2023, <https://www.databricks.com/blog/mpt-7b>; weight names as transformers
//! saves them.

use super::alibi::reordered_slopes;
use super::fields::{head_dim, head_weight, require};
use super::layer::{Layer, sublayers};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    Activation, AttentionSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec, NormKind,
    NormSpec, ScoreBiasSpec, StackSpec, Surroundings, UNBOUNDED,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;
const DEFAULT_BIAS_MAX: f64 = 8.0;

/// Reads the specification of an MPT model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("d_model")?;
    let heads = config.size("n_heads")?;
    let dim = head_dim(config, hidden, heads)?;
    let epsilon = config.optional_number("layer_norm_epsilon")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let of_attention = config.object("attn_config")?;
    let of_attention = of_attention.unwrap_or_else(|| config.empty());
    refuse_unserved(config, &of_attention)?;
    let clip = of_attention.optional_number("clip_qkv")?;
    let scale = of_attention.optional_number("softmax_scale")?;
    let mut layers = Vec::new();
    for index in 0..config.size("n_layers")? {
        let prefix = format!("transformer.blocks.{index}");
        let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), false);
        let mut attention = AttentionSpec {
            score_bias: Some(0),
            // As in transformers, 0 means no clipping.
            clip: clip.filter(|&limit| limit != 0.0),
            ..AttentionSpec::causal(
                (heads, heads, dim),
                linear("attn.Wqkv").split([hidden; 3]),
                linear("attn.out_proj"),
            )
        };
        attention.scale = scale.unwrap_or(attention.scale);
        let network = network(&prefix, hidden);
        let norm = |name: &str| norm(&format!("{prefix}.{name}"), epsilon);
        layers.push(Layer::pre_norm(
            (norm("norm_1"), attention),
            (norm("norm_2"), network),
        ));
    }
    let bias_max = of_attention.optional_number("alibi_bias_max")?;
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: UNBOUNDED,
        embedding: "transformer.wte.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        surroundings: Surroundings::default(),
        decoder: StackSpec {
            score_biases: vec![ScoreBiasSpec::Alibi {
                slopes: reordered_slopes(heads, bias_max.unwrap_or(DEFAULT_BIAS_MAX)),
                is_bfloat16: false,
                factor: 1.0,
            }],
            final_norm: Some(norm("transformer.norm_f", epsilon)),
            ..StackSpec::new(sublayers(layers))
        },
        head: HeadSpec::plain(head_weight(config, "lm_head.weight", true)?),
    })
}

/// Returns the feed-forward network of the layer whose tensors begin with `prefix`.
fn network(prefix: &str, hidden: usize) -> FeedForwardSpec {
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), false);
    FeedForwardSpec {
        inner: 4 * hidden,
        activation: Activation::Gelu,
        gate: Gate::Plain {
            up: linear("ffn.up_proj"),
        },
        down: linear("ffn.down_proj"),
    }
}

/// Fails if the file asks for a feature that MPT's original code has and transformers silently
/// ignores.
fn refuse_unserved(config: &ConfigFile, of_attention: &ConfigFile) -> Result<(), Error> {
    require(config, "no_bias", true)?;
    for (field, served) in [("alibi", true), ("qk_ln", false), ("prefix_lm", false)] {
        require(of_attention, field, served)?;
    }
    let refused = |field: &str, value: &str| {
        config.refused(format!("`{field}` is `{value}`, which is not supported"))
    };
    let kind = of_attention.optional_text("attn_type")?;
    if let Some(kind) = kind.filter(|kind| *kind != "multihead_attention") {
        return Err(refused("attn_type", kind));
    }
    let norm = config.optional_text("norm_type")?;
    if let Some(norm) = norm.filter(|norm| !norm.ends_with("layernorm")) {
        return Err(refused("norm_type", norm));
    }
    if config.has("logit_scale") && !config.to_value()["logit_scale"].is_null() {
        let scale = config.to_value()["logit_scale"].to_string();
        return Err(refused("logit_scale", &scale));
    }
    Ok(())
}

fn norm(name: &str, epsilon: f64) -> NormSpec {
    NormSpec::new(name, NormKind::LayerWithoutBias, epsilon)
}
