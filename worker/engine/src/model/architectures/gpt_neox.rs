//! GPT-NeoX: attention and network in parallel, each after its own layer norm, with rotary
//! positions in part of each head. Queries, keys and values are stored in one linear map, head by
//! head.
//!
//! Source: Black et al. 2022, <https://arxiv.org/abs/2204.06745>; weight names as transformers
//! saves them. Pythia is of this family.

use super::fields::{activation, head_dim, head_weight};
use super::layer::{Layer, sublayers};
use super::rope::{RopeDefaults, rope};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AttentionSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec, NormSpec, StackSpec,
    Surroundings,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;
const DEFAULT_THETA: f64 = 10_000.0;
const DEFAULT_TURNED: f64 = 0.25;

/// Reads the specification of a GPT-NeoX model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let dim = head_dim(config, hidden, heads)?;
    let epsilon = config.optional_number("layer_norm_eps")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let layer = |index| layer(config, index, (heads, dim), epsilon);
    let layers: Vec<_> = (0..config.size("num_hidden_layers")?)
        .map(layer)
        .collect::<Result<_, _>>()?;
    // The names of theta and the rotated fraction in files of transformers 4.
    let theta = config.optional_number("rotary_emb_base")?;
    let partial = config.optional_number("rotary_pct")?;
    let defaults = RopeDefaults {
        theta: theta.unwrap_or(DEFAULT_THETA),
        partial: Some(partial.unwrap_or(DEFAULT_TURNED)),
        has_alpha: false,
    };
    let rope = rope(config, dim, defaults)?;
    let max_positions = config.size("max_position_embeddings")?;
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: rope.valid_positions.unwrap_or(max_positions),
        embedding: "gpt_neox.embed_in.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        surroundings: Surroundings::default(),
        decoder: StackSpec {
            rotations: vec![rope.rotary],
            final_norm: Some(NormSpec::layer("gpt_neox.final_layer_norm", epsilon)),
            ..StackSpec::new(sublayers(layers))
        },
        head: HeadSpec::plain(head_weight(config, "embed_out.weight", false)?),
    })
}

/// Describes layer `index` of a model with `heads` heads of `dim` entries.
fn layer(
    config: &ConfigFile,
    index: usize,
    (heads, dim): (usize, usize),
    epsilon: f64,
) -> Result<Layer, Error> {
    let attention_bias = config.flag_or("attention_bias", true)?;
    let prefix = format!("gpt_neox.layers.{index}");
    let linear = |name: &str, bias| LinearSpec::new(format!("{prefix}.{name}"), bias);
    let norm = |name: &str| NormSpec::layer(format!("{prefix}.{name}"), epsilon);
    let stored = linear("attention.query_key_value", attention_bias);
    let attention = AttentionSpec {
        rotation: Some(0),
        ..AttentionSpec::causal(
            (heads, heads, dim),
            stored.split_in_groups(heads, [dim; 3]),
            linear("attention.dense", attention_bias),
        )
    };
    let network = FeedForwardSpec {
        inner: config.size("intermediate_size")?,
        activation: activation(config, "hidden_act", "gelu")?,
        gate: Gate::Plain {
            up: linear("mlp.dense_h_to_4h", true),
        },
        down: linear("mlp.dense_4h_to_h", true),
    };
    Ok(Layer {
        is_parallel: config.flag_or("use_parallel_residual", true)?,
        ..Layer::pre_norm(
            (norm("input_layernorm"), attention),
            (norm("post_attention_layernorm"), network),
        )
    })
}
