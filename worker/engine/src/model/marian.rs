//! Marian: encoder-decoder, post-norm with layer norms, sinusoidal positions, swish.
//!
//! Source: Junczys-Dowmunt et al. 2018, <https://arxiv.org/abs/1804.00344>; weight names as
//! transformers saves them. Embeddings are scaled by √hidden where `scale_embedding` says so, and
//! `final_logits_bias` is added to the logits.

use super::config::ConfigFile;
use super::spec::{
    Activation, AttentionSpec, CoreSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec,
    NormKind, NormSpec, Positions, StackSpec, SublayerSpec, Wiring,
};
use crate::Error;

/// transformers leaves `torch`'s default; no file says it.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// Reads the specification of a Marian model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("d_model")?;
    if !config.flag_or("share_encoder_decoder_embeddings", true)? {
        return Err(config
            .refused("separate encoder and decoder vocabularies are not supported".to_owned()));
    }
    if config.flag_or("normalize_before", false)? || config.flag_or("normalize_embedding", false)? {
        return Err(
            config.refused("pre-norm and normalised embeddings are not supported".to_owned())
        );
    }
    let embedding = "model.shared.weight".to_owned();
    let scaled = config.flag_or("scale_embedding", false)?;
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: config.size("max_position_embeddings")?,
        embedding_scale: if scaled { (hidden as f64).sqrt() } else { 1.0 },
        encoder: Some(stack(config, "encoder", hidden)?),
        decoder: stack(config, "decoder", hidden)?,
        head: HeadSpec {
            weight: embedding.clone(),
            bias: Some("final_logits_bias".to_owned()),
        },
        embedding,
    })
}

fn stack(config: &ConfigFile, side: &str, hidden: usize) -> Result<StackSpec, Error> {
    let heads = config.size(&format!("{side}_attention_heads"))?;
    if !hidden.is_multiple_of(heads) {
        return Err(config.refused(format!(
            "{heads} attention heads do not divide a width of {hidden}"
        )));
    }
    let is_decoder = side == "decoder";
    let mut sublayers = Vec::new();
    for layer in 0..config.size(&format!("{side}_layers"))? {
        let prefix = format!("model.{side}.layers.{layer}");
        let sublayer = |norm: &str, core: CoreSpec| SublayerSpec {
            layer,
            wiring: Wiring::PostNorm,
            norm: NormSpec {
                name: format!("{prefix}.{norm}"),
                kind: NormKind::Layer,
                epsilon: LAYER_NORM_EPSILON,
            },
            core,
        };
        let own = attention(&format!("{prefix}.self_attn"), hidden, heads, is_decoder);
        sublayers.push(sublayer(
            "self_attn_layer_norm",
            CoreSpec::SelfAttention(own),
        ));
        if is_decoder {
            let cross = attention(&format!("{prefix}.encoder_attn"), hidden, heads, false);
            sublayers.push(sublayer(
                "encoder_attn_layer_norm",
                CoreSpec::CrossAttention(cross),
            ));
        }
        sublayers.push(sublayer(
            "final_layer_norm",
            CoreSpec::FeedForward(feed_forward(config, side, &prefix)?),
        ));
    }
    Ok(StackSpec {
        positions: Positions::Sinusoidal,
        sublayers,
        final_norm: None,
    })
}

fn attention(prefix: &str, hidden: usize, heads: usize, causal: bool) -> AttentionSpec {
    let linear = |name: &str| LinearSpec {
        name: format!("{prefix}.{name}"),
        bias: true,
    };
    let head_dim = hidden / heads;
    AttentionSpec {
        heads,
        kv_heads: heads,
        head_dim,
        scale: (head_dim as f64).powf(-0.5),
        causal,
        query: linear("q_proj"),
        key: linear("k_proj"),
        value: linear("v_proj"),
        output: linear("out_proj"),
    }
}

fn feed_forward(config: &ConfigFile, side: &str, prefix: &str) -> Result<FeedForwardSpec, Error> {
    let name = config.text("activation_function")?;
    let activation = Activation::from_name(name).ok_or_else(|| {
        config.refused(format!(
            "`activation_function` is `{name}`, an activation we do not have"
        ))
    })?;
    let linear = |name: &str| LinearSpec {
        name: format!("{prefix}.{name}"),
        bias: true,
    };
    Ok(FeedForwardSpec {
        inner: config.size(&format!("{side}_ffn_dim"))?,
        activation,
        gate: Gate::Plain { up: linear("fc1") },
        down: linear("fc2"),
    })
}
