//! OPT: decoder-only with layer norms, learned positions and `ReLU`: BART's decoder without
//! cross-attention.
//!
//! Source: Zhang et al. 2022, <https://arxiv.org/abs/2205.01068>; weight names as transformers
//! saves them. The 350M model has its norms after the sums, and embeddings narrower than the
//! residual stream, with linear maps from one to the other and back.

use super::fields::{activation, head_dim, head_weight};
use super::layer::{Layer, Norms, sublayers};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AddedPositions, AttentionSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec,
    NormKind, NormSpec, Projection, StackSpec, Surroundings,
};

/// The default of torch, which transformers keeps; configuration files do not have this value.
const EPSILON: f64 = 1e-5;

/// Rows of the position table that come before the row of position 0.
const POSITION_OFFSET: usize = 2;

/// Reads the specification of an OPT model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("hidden_size")?;
    let width = config.optional_size("word_embed_proj_dim")?;
    let projection = |name: &str| {
        let width = width.filter(|&width| width != hidden)?;
        let linear = LinearSpec::new(format!("model.decoder.{name}"), false);
        Some(Projection { linear, width })
    };
    let kind = if config.flag_or("layer_norm_elementwise_affine", true)? {
        NormKind::Layer
    } else {
        NormKind::LayerWithoutWeights
    };
    let layers =
        (0..config.size("num_hidden_layers")?).map(|index| layer(config, index, hidden, kind));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    let has_final_norm = config.flag_or("do_layer_norm_before", true)?
        && !config.flag_or("_remove_final_layer_norm", false)?;
    let final_norm = NormSpec::new("model.decoder.final_layer_norm", kind, EPSILON);
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: config.size("max_position_embeddings")?,
        embedding: "model.decoder.embed_tokens.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        surroundings: Surroundings::default(),
        decoder: StackSpec {
            input_projection: projection("project_in"),
            added_positions: Some(AddedPositions::Learned {
                name: "model.decoder.embed_positions.weight".to_owned(),
                offset: POSITION_OFFSET,
            }),
            final_norm: has_final_norm.then_some(final_norm),
            ..StackSpec::new(sublayers(layers))
        },
        head: HeadSpec {
            projection: projection("project_out"),
            ..HeadSpec::plain(head_weight(config, "lm_head.weight", true)?)
        },
    })
}

fn layer(
    config: &ConfigFile,
    index: usize,
    hidden: usize,
    norm_kind: NormKind,
) -> Result<Layer, Error> {
    let heads = config.size("num_attention_heads")?;
    let dim = head_dim(config, hidden, heads)?;
    let bias = config.flag_or("enable_bias", true)?;
    let prefix = format!("model.decoder.layers.{index}");
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), bias);
    let norm = |name: &str| NormSpec::new(format!("{prefix}.{name}"), norm_kind, EPSILON);
    let projections = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
    let attention = AttentionSpec::causal(
        (heads, heads, dim),
        projections.map(linear),
        linear("self_attn.out_proj"),
    );
    let network = FeedForwardSpec {
        inner: config.size("ffn_dim")?,
        activation: activation(config, "activation_function", "relu")?,
        gate: Gate::Plain { up: linear("fc1") },
        down: linear("fc2"),
    };
    let mut layer = Layer::pre_norm(
        (norm("self_attn_layer_norm"), attention),
        (norm("final_layer_norm"), network),
    );
    if !config.flag_or("do_layer_norm_before", true)? {
        layer.attention_norms = Norms::Sum(norm("self_attn_layer_norm"));
        layer.network_norms = Norms::Sum(norm("final_layer_norm"));
    }
    Ok(layer)
}
