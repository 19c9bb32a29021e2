//! Phi: attention and network in parallel after one layer norm, rotary positions in part of each
//! head, biases everywhere.
//!
//! Source: Li et al. 2023, <https://arxiv.org/abs/2309.05463>; weight names as transformers saves
//! them.

use super::fields::{activation, head_sizes, head_weight};
use super::layer::{Layer, sublayers};
use super::rope::{RopeDefaults, rope};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AttentionSpec, FeedForwardSpec, Gate, HeadBias, HeadNormOrder, HeadNormSpec, HeadNormWeights,
    HeadSpec, LinearSpec, ModelSpec, NormKind, NormSpec, StackSpec, Surroundings,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;
const ROPE: RopeDefaults = RopeDefaults {
    theta: 10_000.0,
    partial: Some(0.5),
    has_alpha: false,
};

/// Reads the specification of a Phi model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("hidden_size")?;
    let sizes = head_sizes(config, hidden)?;
    let (_, _, dim) = sizes;
    let epsilon = config.optional_number("layer_norm_eps")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let has_head_norms = config.flag_or("qk_layernorm", false)?;
    let mut layers = Vec::new();
    for index in 0..config.size("num_hidden_layers")? {
        let prefix = format!("model.layers.{index}");
        let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), true);
        let norm = NormSpec::layer(format!("{prefix}.input_layernorm"), epsilon);
        let projections = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
        let attention = AttentionSpec {
            rotation: Some(0),
            head_norms: has_head_norms.then(|| head_norms(&prefix, epsilon)),
            ..AttentionSpec::causal(sizes, projections.map(linear), linear("self_attn.dense"))
        };
        let network = FeedForwardSpec {
            inner: config.size("intermediate_size")?,
            activation: activation(config, "hidden_act", "gelu_new")?,
            gate: Gate::Plain {
                up: linear("mlp.fc1"),
            },
            down: linear("mlp.fc2"),
        };
        layers.push(Layer {
            is_parallel: true,
            ..Layer::pre_norm((norm.clone(), attention), (norm, network))
        });
    }
    let rope = rope(config, dim, ROPE)?;
    let max_positions = config.size("max_position_embeddings")?;
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: rope.valid_positions.unwrap_or(max_positions),
        embedding: "model.embed_tokens.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        surroundings: Surroundings::default(),
        decoder: StackSpec {
            rotations: vec![rope.rotary],
            final_norm: Some(NormSpec::layer("model.final_layernorm", epsilon)),
            ..StackSpec::new(sublayers(layers))
        },
        head: HeadSpec {
            bias: Some(HeadBias::Linear("lm_head.bias".to_owned())),
            ..HeadSpec::plain(head_weight(config, "lm_head.weight", false)?)
        },
    })
}

/// Returns the norms of the heads of the layer whose tensors begin with `prefix`.
fn head_norms(prefix: &str, epsilon: f64) -> HeadNormSpec {
    let weights = |name: &str| HeadNormWeights::Shared(format!("{prefix}.self_attn.{name}"));
    HeadNormSpec {
        kind: NormKind::Layer,
        epsilon,
        is_joint: false,
        order: HeadNormOrder::BeforeRotation,
        queries: weights("q_layernorm"),
        keys: weights("k_layernorm"),
    }
}
