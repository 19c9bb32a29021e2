//! XGLM and `BioGPT`: decoders in fairseq's style, pre-norm with layer norms and scaled embeddings.
//!
//! Sources: Lin et al. 2021, <https://arxiv.org/abs/2112.10668>; Luo et al. 2022,
//! <https://arxiv.org/abs/2210.10341>. Weight names as transformers saves them. XGLM has sinusoidal
//! positions, `BioGPT` learned ones.

use super::fields::{activation, head_dim, head_weight, padding_row};
use super::layer::{Layer, sublayers};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AddedPositions, AttentionSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec,
    NormSpec, StackSpec, Surroundings, Waves,
};

/// The default of torch, which transformers keeps; it ignores the `layer_norm_eps` of the file.
const EPSILON: f64 = 1e-5;

/// The row of the position table that belongs to position 0.
const POSITION_OFFSET: usize = 2;

/// The `pad_token_id` that transformers assumes for XGLM if the file does not give one.
const DEFAULT_PADDING: usize = 1;

/// Names of tensors and fields, which differ between the two families.
struct Names {
    prefix: &'static str,
    hidden: &'static str,
    heads: &'static str,
    layers: &'static str,
    inner: &'static str,
    activation: &'static str,
    head: &'static str,
}

/// Reads the specification of an XGLM model.
pub(super) fn xglm(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let names = Names {
        prefix: "model",
        hidden: "d_model",
        heads: "attention_heads",
        layers: "num_layers",
        inner: "ffn_dim",
        activation: "activation_function",
        head: "lm_head.weight",
    };
    // The padding row is all zeros even if a position falls on it. With a `pad_token_id` of 2 or
    // more, the token at position `pad_token_id - 2` therefore gets no position.
    let rows = POSITION_OFFSET + config.size("max_position_embeddings")?;
    let waves = Waves::Tensor2tensor {
        offset: POSITION_OFFSET,
        padding: padding_row(config, rows, DEFAULT_PADDING)?,
    };
    names.spec(config, AddedPositions::Sinusoidal(waves))
}

/// Reads the specification of a `BioGPT` model.
pub(super) fn biogpt(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let names = Names {
        prefix: "biogpt",
        hidden: "hidden_size",
        heads: "num_attention_heads",
        layers: "num_hidden_layers",
        inner: "intermediate_size",
        activation: "hidden_act",
        head: "output_projection.weight",
    };
    let positions = AddedPositions::Learned {
        name: "biogpt.embed_positions.weight".to_owned(),
        offset: POSITION_OFFSET,
    };
    names.spec(config, positions)
}

impl Names {
    fn spec(&self, config: &ConfigFile, positions: AddedPositions) -> Result<ModelSpec, Error> {
        let hidden = config.size(self.hidden)?;
        let heads = config.size(self.heads)?;
        let dim = head_dim(config, hidden, heads)?;
        let mut layers = Vec::new();
        for index in 0..config.size(self.layers)? {
            let prefix = format!("{}.layers.{index}", self.prefix);
            let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), true);
            let norm = |name: &str| NormSpec::layer(format!("{prefix}.{name}"), EPSILON);
            let projections = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
            let attention = AttentionSpec::causal(
                (heads, heads, dim),
                projections.map(linear),
                linear("self_attn.out_proj"),
            );
            let network = FeedForwardSpec {
                inner: config.size(self.inner)?,
                activation: activation(config, self.activation, "gelu")?,
                gate: Gate::Plain { up: linear("fc1") },
                down: linear("fc2"),
            };
            layers.push(Layer::pre_norm(
                (norm("self_attn_layer_norm"), attention),
                (norm("final_layer_norm"), network),
            ));
        }
        let is_scaled = config.flag_or("scale_embedding", true)?;
        let final_norm = format!("{}.layer_norm", self.prefix);
        Ok(ModelSpec {
            hidden,
            vocabulary: config.size("vocab_size")?,
            max_positions: config.size("max_position_embeddings")?,
            embedding: format!("{}.embed_tokens.weight", self.prefix),
            embedding_scale: if is_scaled {
                (hidden as f64).sqrt()
            } else {
                1.0
            },
            encoder: None,
            surroundings: Surroundings::default(),
            decoder: StackSpec {
                added_positions: Some(positions),
                final_norm: Some(NormSpec::layer(final_norm, EPSILON)),
                ..StackSpec::new(sublayers(layers))
            },
            head: HeadSpec::plain(head_weight(config, self.head, true)?),
        })
    }
}
