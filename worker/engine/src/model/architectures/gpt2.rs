//! GPT-2: decoder-only, pre-norm with layer norms, learned positions.
//!
//! Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; weight names
//! as transformers saves them. Its maps are stored `[in, out]`, those of queries, keys and values
//! in one.

use super::fields::{activation, head_dim, head_weight};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AddedPositions, AttentionSpec, CoreSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec,
    ModelSpec, NormSpec, StackSpec, SublayerSpec,
};

/// What transformers assumes where a file says nothing.
const DEFAULT_EPSILON: f64 = 1e-5;

/// Reads the specification of a GPT-2 model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("n_embd")?;
    let heads = config.size("n_head")?;
    let dim = head_dim(config, hidden, heads)?;
    let epsilon = config
        .optional_number("layer_norm_epsilon")?
        .unwrap_or(DEFAULT_EPSILON);
    let mut sublayers = Vec::new();
    for layer in 0..config.size("n_layer")? {
        let prefix = format!("transformer.h.{layer}");
        let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), true).transposed();
        let norm = |name: &str| NormSpec::layer(format!("{prefix}.{name}"), epsilon);
        let mut attention = AttentionSpec::causal(
            (heads, heads, dim),
            linear("attn.c_attn").split([hidden; 3]),
            linear("attn.c_proj"),
        );
        if !config.flag_or("scale_attn_weights", true)? {
            attention.scale = 1.0;
        }
        if config.flag_or("scale_attn_by_inverse_layer_idx", false)? {
            attention.scale /= (layer + 1) as f64;
        }
        sublayers.push(SublayerSpec::pre_norm(
            layer,
            norm("ln_1"),
            CoreSpec::SelfAttention(attention),
        ));
        let network = FeedForwardSpec {
            inner: config.optional_size("n_inner")?.unwrap_or(4 * hidden),
            activation: activation(config, "activation_function", "gelu_new")?,
            gate: Gate::Plain {
                up: linear("mlp.c_fc"),
            },
            down: linear("mlp.c_proj"),
        };
        sublayers.push(SublayerSpec::pre_norm(
            layer,
            norm("ln_2"),
            CoreSpec::FeedForward(network),
        ));
    }
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: config.size("n_positions")?,
        embedding: "transformer.wte.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        decoder: StackSpec {
            added_positions: Some(AddedPositions::Learned {
                name: "transformer.wpe.weight".to_owned(),
                offset: 0,
            }),
            final_norm: Some(NormSpec::layer("transformer.ln_f", epsilon)),
            ..StackSpec::of(sublayers)
        },
        head: HeadSpec::plain(head_weight(config, "lm_head.weight", true)?),
    })
}
