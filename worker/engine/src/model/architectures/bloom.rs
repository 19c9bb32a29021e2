//! BLOOM: decoder-only, pre-norm with layer norms, a norm on the embeddings, `ALiBi` score biases.
//! Queries, keys and values are stored in one linear map, head by head.
//!
//! Source: `BigScience` Workshop 2022, <https://arxiv.org/abs/2211.05100>; weight names as
//! transformers saves them.

use super::alibi::interleaved_slopes;
use super::fields::{head_dim, head_weight, size_of};
use super::layer::{Layer, sublayers};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    Activation, AttentionSpec, Carried, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec,
    NormSpec, ScoreBiasSpec, StackSpec, Surroundings, UNBOUNDED,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;

/// Reads the specification of a BLOOM model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = size_of(config, &["hidden_size", "n_embed"])?;
    let heads = size_of(config, &["n_head", "num_attention_heads"])?;
    let dim = head_dim(config, hidden, heads)?;
    let epsilon = config.optional_number("layer_norm_epsilon")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let mut layers = Vec::new();
    for index in 0..size_of(config, &["n_layer", "num_hidden_layers"])? {
        let prefix = format!("transformer.h.{index}");
        layers.push(layer(&prefix, (hidden, heads, dim), epsilon));
    }
    let mut sublayers = sublayers(layers);
    if config.flag_or("apply_residual_connection_post_layernorm", false)? {
        for sublayer in &mut sublayers {
            sublayer.carried = Carried::Normalized;
        }
    }
    let norm = |name: &str| NormSpec::layer(format!("transformer.{name}"), epsilon);
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: UNBOUNDED,
        embedding: "transformer.word_embeddings.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        surroundings: Surroundings::default(),
        decoder: StackSpec {
            embedding_norm: Some(norm("word_embeddings_layernorm")),
            score_biases: vec![ScoreBiasSpec::Alibi {
                slopes: interleaved_slopes(heads),
                is_bfloat16: false,
                factor: 1.0,
            }],
            final_norm: Some(norm("ln_f")),
            ..StackSpec::new(sublayers)
        },
        head: HeadSpec::plain(head_weight(config, "lm_head.weight", true)?),
    })
}

/// Returns the layer whose tensors begin with `prefix`, of `heads` heads of `dim` entries each.
fn layer(prefix: &str, (hidden, heads, dim): (usize, usize, usize), epsilon: f64) -> Layer {
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), true);
    let norm = |name: &str| NormSpec::layer(format!("{prefix}.{name}"), epsilon);
    let stored = linear("self_attention.query_key_value");
    let attention = AttentionSpec {
        score_bias: Some(0),
        ..AttentionSpec::causal(
            (heads, heads, dim),
            stored.split_in_groups(heads, [dim; 3]),
            linear("self_attention.dense"),
        )
    };
    let network = FeedForwardSpec {
        inner: 4 * hidden,
        activation: Activation::TruncatedTanhGelu,
        gate: Gate::Plain {
            up: linear("mlp.dense_h_to_4h"),
        },
        down: linear("mlp.dense_4h_to_h"),
    };
    Layer::pre_norm(
        (norm("input_layernorm"), attention),
        (norm("post_attention_layernorm"), network),
    )
}
