//! Llama: decoder-only, pre-norm with RMS norms, rotary positions, grouped-query attention, `SwiGLU`.
//!
//! Source: Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>; weight names as transformers
//! saves them. `rope_theta` stands at the top level in files of transformers 4 and inside
//! `rope_parameters` in those of 5: both are read, and another rope type is refused.

use super::config::ConfigFile;
use super::spec::{
    Activation, AttentionSpec, CoreSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec,
    NormKind, NormSpec, Positions, RotarySpec, StackSpec, SublayerSpec, Wiring,
};
use crate::Error;

/// What transformers assumes where a file says nothing.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;
const DEFAULT_RMS_EPSILON: f64 = 1e-6;

/// Reads the specification of a Llama model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let head_dim = config.optional_size("head_dim")?.unwrap_or(hidden / heads);
    let kv_heads = config
        .optional_size("num_key_value_heads")?
        .unwrap_or(heads);
    if heads % kv_heads != 0 {
        return Err(config.refused(format!(
            "{heads} attention heads cannot share {kv_heads} key-value heads"
        )));
    }
    let epsilon = config
        .optional_number("rms_norm_eps")?
        .unwrap_or(DEFAULT_RMS_EPSILON);
    let norm = |name: String| NormSpec {
        name,
        kind: NormKind::Rms,
        epsilon,
    };

    let mut sublayers = Vec::new();
    for layer in 0..config.size("num_hidden_layers")? {
        let prefix = format!("model.layers.{layer}");
        sublayers.push(SublayerSpec {
            layer,
            wiring: Wiring::PreNorm,
            norm: norm(format!("{prefix}.input_layernorm")),
            core: CoreSpec::SelfAttention(attention(config, &prefix, heads, kv_heads, head_dim)?),
        });
        sublayers.push(SublayerSpec {
            layer,
            wiring: Wiring::PreNorm,
            norm: norm(format!("{prefix}.post_attention_layernorm")),
            core: CoreSpec::FeedForward(feed_forward(config, &prefix)?),
        });
    }
    let embedding = "model.embed_tokens.weight".to_owned();
    let tied = config.flag_or("tie_word_embeddings", false)?;
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: config.size("max_position_embeddings")?,
        embedding_scale: 1.0,
        encoder: None,
        decoder: StackSpec {
            positions: Positions::Rotary(rotary(config, head_dim)?),
            sublayers,
            final_norm: Some(norm("model.norm".to_owned())),
        },
        head: HeadSpec {
            weight: if tied {
                embedding.clone()
            } else {
                "lm_head.weight".to_owned()
            },
            bias: None,
        },
        embedding,
    })
}

fn attention(
    config: &ConfigFile,
    prefix: &str,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
) -> Result<AttentionSpec, Error> {
    let bias = config.flag_or("attention_bias", false)?;
    let linear = |name: &str| LinearSpec {
        name: format!("{prefix}.self_attn.{name}"),
        bias,
    };
    Ok(AttentionSpec {
        heads,
        kv_heads,
        head_dim,
        scale: (head_dim as f64).powf(-0.5),
        causal: true,
        query: linear("q_proj"),
        key: linear("k_proj"),
        value: linear("v_proj"),
        output: linear("o_proj"),
    })
}

fn feed_forward(config: &ConfigFile, prefix: &str) -> Result<FeedForwardSpec, Error> {
    let bias = config.flag_or("mlp_bias", false)?;
    let linear = |name: &str| LinearSpec {
        name: format!("{prefix}.mlp.{name}"),
        bias,
    };
    let name = config.text("hidden_act")?;
    let activation = Activation::from_name(name).ok_or_else(|| {
        config.refused(format!(
            "`hidden_act` is `{name}`, an activation we do not have"
        ))
    })?;
    Ok(FeedForwardSpec {
        inner: config.size("intermediate_size")?,
        activation,
        gate: Gate::Gated {
            gate: linear("gate_proj"),
            up: linear("up_proj"),
        },
        down: linear("down_proj"),
    })
}

/// Reads the rotation, wherever this version of transformers wrote it.
fn rotary(config: &ConfigFile, head_dim: usize) -> Result<RotarySpec, Error> {
    if let Some(scaling) = config.object("rope_scaling")? {
        require_plain_rotation(&scaling)?;
    }
    let mut theta = config.optional_number("rope_theta")?;
    if let Some(parameters) = config.object("rope_parameters")? {
        require_plain_rotation(&parameters)?;
        theta = parameters.optional_number("rope_theta")?.or(theta);
    }
    let theta = theta.unwrap_or(DEFAULT_ROPE_THETA);
    // In single precision, in transformers' order of operations: the model was trained with it.
    let frequency =
        |plane: usize| 1.0 / (theta.powf(f64::from(2.0 * plane as f32 / head_dim as f32)) as f32);
    Ok(RotarySpec {
        inverse_frequencies: (0..head_dim / 2).map(frequency).collect(),
    })
}

fn require_plain_rotation(parameters: &ConfigFile) -> Result<(), Error> {
    let kind = match parameters.optional_text("rope_type")? {
        Some(kind) => kind,
        None => parameters.optional_text("type")?.unwrap_or("default"),
    };
    if kind == "default" {
        return Ok(());
    }
    Err(parameters.refused(format!(
        "rope type `{kind}` is not supported, only `default`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(extra: &str) -> ConfigFile {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"{{"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 1, "vocab_size": 10,
                "max_position_embeddings": 32, "intermediate_size": 96, "hidden_act": "silu", {extra}}}"#
        );
        std::fs::write(folder.path().join("config.json"), text).unwrap();
        ConfigFile::read(folder.path(), "config.json").unwrap()
    }

    #[test]
    fn theta_is_found_in_either_place() {
        let old = spec(&config(r#""rope_theta": 100000.0"#)).unwrap();
        let new = spec(&config(
            r#""rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"}"#,
        ))
        .unwrap();
        assert_eq!(old, new);
        assert_ne!(old, spec(&config(r#""rope_theta": 10000.0"#)).unwrap());
    }

    #[test]
    fn an_unknown_rope_type_or_activation_is_refused_by_name() {
        let error = spec(&config(r#""rope_scaling": {"rope_type": "yarn"}"#))
            .unwrap_err()
            .to_string();
        assert!(error.contains("yarn"), "{error}");
        let error = spec(&config(r#""hidden_act": "mish""#))
            .unwrap_err()
            .to_string();
        assert!(error.contains("mish"), "{error}");
    }
}
