//! Llama: decoder-only, pre-norm with RMS norms, rotary positions, grouped-query attention and
//! `SwiGLU`.
//!
//! Source: Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>; weight names as transformers
//! saves them. Most later decoders are Llama with changes: their files take the layers from
//! [`layers`], change them, and build the model with [`model`].

use super::fields::{HeadSizes, activation, head_sizes, head_weight, size_of};
use super::layer::{Layer, sublayers};
use super::rope::{Rope, RopeDefaults, rope};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    Activation, AttentionSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec, NormSpec,
    StackSpec, Surroundings,
};

/// Values that transformers assumes if the file does not give them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    pub(super) rms_epsilon: f64,
    pub(super) activation: &'static str,
    pub(super) is_tied: bool,
    pub(super) rope: RopeDefaults,
}

/// The values that transformers assumes for Llama.
pub(super) const DEFAULTS: Defaults = Defaults {
    rms_epsilon: 1e-6,
    activation: "silu",
    is_tied: false,
    rope: RopeDefaults {
        theta: 10_000.0,
        partial: None,
        has_alpha: false,
    },
};

/// Reads the specification of a Llama model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    model(config, DEFAULTS, layers(config, DEFAULTS)?)
}

/// Reads Llama's layers.
pub(super) fn layers(config: &ConfigFile, defaults: Defaults) -> Result<Vec<Layer>, Error> {
    let sizes = head_sizes(config, config.size("hidden_size")?)?;
    let epsilon = rms_epsilon(config, defaults)?;
    let layer = |index: usize| {
        let prefix = prefix(index);
        let norm = |name: &str| NormSpec::rms(format!("{prefix}.{name}"), epsilon);
        Ok(Layer::pre_norm(
            (norm("input_layernorm"), attention(config, &prefix, sizes)?),
            (
                norm("post_attention_layernorm"),
                feed_forward(config, &prefix, defaults)?,
            ),
        ))
    };
    (0..config.size("num_hidden_layers")?).map(layer).collect()
}

/// Returns the prefix of the tensor names of layer `index`.
pub(super) fn prefix(index: usize) -> String {
    format!("model.layers.{index}")
}

/// Reads the epsilon of RMS norms.
pub(super) fn rms_epsilon(config: &ConfigFile, defaults: Defaults) -> Result<f64, Error> {
    let given = config.optional_number("rms_norm_eps")?;
    Ok(given.unwrap_or(defaults.rms_epsilon))
}

/// Combines `layers` with Llama's embedding, final norm and head.
pub(super) fn model(
    config: &ConfigFile,
    defaults: Defaults,
    layers: Vec<Layer>,
) -> Result<ModelSpec, Error> {
    let (_, _, head_dim) = head_sizes(config, config.size("hidden_size")?)?;
    let rope = rope(config, head_dim, defaults.rope)?;
    rotated_model(config, defaults, layers, rope)
}

/// As [`model`], with a rotation that was read before.
pub(super) fn rotated_model(
    config: &ConfigFile,
    defaults: Defaults,
    layers: Vec<Layer>,
    rope: Rope,
) -> Result<ModelSpec, Error> {
    let hidden = config.size("hidden_size")?;
    let max_positions = config.size("max_position_embeddings")?;
    let epsilon = rms_epsilon(config, defaults)?;
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
            final_norm: Some(NormSpec::rms("model.norm", epsilon)),
            ..StackSpec::new(sublayers(layers))
        },
        head: HeadSpec::plain(head_weight(config, "lm_head.weight", defaults.is_tied)?),
    })
}

fn attention(config: &ConfigFile, prefix: &str, sizes: HeadSizes) -> Result<AttentionSpec, Error> {
    let bias = config.flag_or("attention_bias", false)?;
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.self_attn.{name}"), bias);
    Ok(AttentionSpec {
        rotation: Some(0),
        ..AttentionSpec::causal(
            sizes,
            [linear("q_proj"), linear("k_proj"), linear("v_proj")],
            linear("o_proj"),
        )
    })
}

fn feed_forward(
    config: &ConfigFile,
    prefix: &str,
    defaults: Defaults,
) -> Result<FeedForwardSpec, Error> {
    let bias = config.flag_or("mlp_bias", false)?;
    // Families in which every layer is a mixture of experts may have the width of those alone.
    let inner = size_of(config, &["intermediate_size", "moe_intermediate_size"])?;
    Ok(FeedForwardSpec {
        activation: activation(config, "hidden_act", defaults.activation)?,
        ..gated(&format!("{prefix}.mlp"), inner, bias)
    })
}

/// Returns the gated network `prefix` with Llama's names of the linear maps, and with `SiLU`.
pub(super) fn gated(prefix: &str, inner: usize, bias: bool) -> FeedForwardSpec {
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), bias);
    FeedForwardSpec {
        inner,
        activation: Activation::Silu,
        gate: Gate::Gated {
            gate: linear("gate_proj"),
            up: linear("up_proj"),
        },
        down: linear("down_proj"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(extra: &str) -> ConfigFile {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"{{"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 1, "vocab_size": 10,
                "max_position_embeddings": 32, "intermediate_size": 96, {extra}}}"#
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
        let error = spec(&config(r#""rope_scaling": {"rope_type": "spiral"}"#))
            .unwrap_err()
            .to_string();
        assert!(error.contains("spiral"), "{error}");
        let error = spec(&config(r#""hidden_act": "xielu""#))
            .unwrap_err()
            .to_string();
        assert!(error.contains("xielu"), "{error}");
    }

    #[test]
    fn a_rotation_that_changes_with_every_token_limits_the_text() {
        let dynamic = config(
            r#""original_max_position_embeddings": 16,
                "rope_scaling": {"type": "dynamic", "factor": 2.0}"#,
        );
        assert_eq!(spec(&dynamic).unwrap().max_positions, 16);
    }

    #[test]
    fn long_texts_have_a_rotation_of_their_own() {
        let longrope = config(
            r#""original_max_position_embeddings": 16, "rope_scaling": {"type": "longrope",
                "short_factor": [1, 1, 1, 1, 1, 1, 1, 1], "long_factor": [2, 2, 2, 2, 2, 2, 2, 2]}"#,
        );
        let spec = spec(&longrope).unwrap();
        assert!(spec.max_positions > 16);
        assert_eq!(spec.long_rope_threshold(), Some(16));
        let rotary = &spec.decoder.rotations[0];
        let long = &rotary.long.as_ref().unwrap().inverse_frequencies;
        let halved = rotary.inverse_frequencies.iter().map(|f| f / 2.0);
        assert_eq!(*long, halved.collect::<Vec<_>>());
    }
}
