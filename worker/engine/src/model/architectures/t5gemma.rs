//! T5Gemma: an encoder-decoder made of two Gemma 2 models, each with an embedding of its own.
//!
//! Source: Zhang et al. 2025, <https://arxiv.org/abs/2504.06225>.

use super::fields::{activation, head_sizes, number_or, require, size_or, windows};
use super::llama;
use super::rope::{RopeDefaults, rope};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AttentionSpec, CoreSpec, FeedForwardSpec, HeadSpec, HeadWeight, LinearSpec, ModelSpec,
    NormKind, NormSpec, StackEmbedding, StackSpec, SublayerSpec, Surroundings,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-6;
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_QUERY_SCALAR: f64 = 256.0;
const DEFAULT_SCORE_CAP: f64 = 50.0;
const DEFAULT_LOGIT_CAP: f64 = 30.0;

const ROPE: RopeDefaults = RopeDefaults {
    theta: 10_000.0,
    partial: None,
    has_alpha: false,
};

/// Encoder or decoder, with its part of the configuration.
struct Side {
    name: &'static str,
    config: ConfigFile,
}

/// Reads the specification of a T5Gemma model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let [source, target] = [
        Side::read(config, "encoder")?,
        Side::read(config, "decoder")?,
    ];
    let hidden = target.config.size("hidden_size")?;
    let of_source = source.config.size("hidden_size")?;
    if of_source != hidden {
        return Err(config.refused(format!(
            "the encoder has a width of {of_source} and the decoder of {hidden}, which is not \
             supported"
        )));
    }
    let mut encoder = source.stack()?;
    encoder.embedding = StackEmbedding::Own {
        name: "model.encoder.embed_tokens.weight".to_owned(),
        vocabulary: source.config.size("vocab_size")?,
    };
    let mut max_positions = target.config.size("max_position_embeddings")?;
    max_positions = max_positions.min(source.config.size("max_position_embeddings")?);
    if let Some(seen) = source.seen_whole()? {
        max_positions = max_positions.min(seen);
    }
    let head = "lm_head.out_proj.weight".to_owned();
    let weight = if config.flag_or("tie_word_embeddings", true)? {
        HeadWeight::OwnOrTied(head)
    } else {
        HeadWeight::Own(head)
    };
    let softcap = number_or(&target.config, "final_logit_softcapping", DEFAULT_LOGIT_CAP)?;
    Ok(ModelSpec {
        hidden,
        vocabulary: target.config.size("vocab_size")?,
        max_positions,
        embedding: "model.decoder.embed_tokens.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: Some(encoder),
        decoder: target.stack()?,
        head: HeadSpec {
            softcap,
            ..HeadSpec::plain(weight)
        },
        surroundings: Surroundings::default(),
    })
}

impl Side {
    fn read(config: &ConfigFile, name: &'static str) -> Result<Self, Error> {
        let Some(part) = config.object(name)? else {
            return Err(config.refused(format!("`{name}` is missing")));
        };
        require(&part, "use_bidirectional_attention", false)?;
        Ok(Self { name, config: part })
    }

    fn is_decoder(&self) -> bool {
        self.name == "decoder"
    }

    /// Returns the window of each layer.
    fn windows(&self) -> Result<Vec<Option<usize>>, Error> {
        let layers = self.config.size("num_hidden_layers")?;
        let window = size_or(&self.config, "sliding_window", DEFAULT_WINDOW)?;
        windows(&self.config, layers, window, |layer| layer % 2 == 0)
    }

    /// Returns the length up to which windows hide nothing in the encoder, where they reach as far
    /// in both directions; `None` if there are none.
    fn seen_whole(&self) -> Result<Option<usize>, Error> {
        let reach = self.windows()?.into_iter().flatten().min();
        Ok(reach.map(|window| window + 1))
    }

    fn norm(&self, name: &str) -> Result<NormSpec, Error> {
        let epsilon = self.config.optional_number("rms_norm_eps")?;
        let name = format!("model.{}.{name}", self.name);
        let kind = NormKind::RmsPlusOne;
        Ok(NormSpec::new(
            name,
            kind,
            epsilon.unwrap_or(DEFAULT_EPSILON),
        ))
    }

    fn stack(&self) -> Result<StackSpec, Error> {
        let hidden = self.config.size("hidden_size")?;
        let (_, _, head_dim) = head_sizes(&self.config, hidden)?;
        let mut sublayers = Vec::new();
        for (layer, window) in self.windows()?.into_iter().enumerate() {
            let own = AttentionSpec {
                causal: self.is_decoder(),
                window: window.filter(|_| self.is_decoder()),
                rotation: Some(0),
                ..self.attention(&format!("layers.{layer}.self_attn"))?
            };
            sublayers.push(self.step(layer, "self_attn", CoreSpec::SelfAttention(own))?);
            if self.is_decoder() {
                let cross = AttentionSpec {
                    causal: false,
                    ..self.attention(&format!("layers.{layer}.cross_attn"))?
                };
                sublayers.push(self.step(layer, "cross_attn", CoreSpec::CrossAttention(cross))?);
            }
            let network = self.network(&format!("layers.{layer}.mlp"))?;
            sublayers.push(self.step(layer, "feedforward", network.into())?);
        }
        Ok(StackSpec {
            input_scale: (hidden as f64).sqrt(),
            rotations: vec![rope(&self.config, head_dim, ROPE)?.rotary],
            final_norm: Some(self.norm("norm")?),
            ..StackSpec::new(sublayers)
        })
    }

    /// Returns the sublayer of `core`, whose norms before and after it have `name` in their names.
    fn step(&self, layer: usize, name: &str, core: CoreSpec) -> Result<SublayerSpec, Error> {
        let norm = |place: &str| self.norm(&format!("layers.{layer}.{place}_{name}_layernorm"));
        Ok(SublayerSpec {
            norm_after: Some(norm("post")?),
            ..SublayerSpec::pre_norm(layer, norm("pre")?, core)
        })
    }

    fn attention(&self, prefix: &str) -> Result<AttentionSpec, Error> {
        let sizes = head_sizes(&self.config, self.config.size("hidden_size")?)?;
        let bias = self.config.flag_or("attention_bias", false)?;
        let linear =
            |name: &str| LinearSpec::new(format!("model.{}.{prefix}.{name}", self.name), bias);
        let scalar = self.config.optional_number("query_pre_attn_scalar")?;
        Ok(AttentionSpec {
            scale: scalar.unwrap_or(DEFAULT_QUERY_SCALAR).powf(-0.5),
            softcap: number_or(&self.config, "attn_logit_softcapping", DEFAULT_SCORE_CAP)?,
            ..AttentionSpec::causal(
                sizes,
                [linear("q_proj"), linear("k_proj"), linear("v_proj")],
                linear("o_proj"),
            )
        })
    }

    fn network(&self, prefix: &str) -> Result<FeedForwardSpec, Error> {
        let inner = self.config.size("intermediate_size")?;
        Ok(FeedForwardSpec {
            activation: activation(&self.config, "hidden_activation", "gelu_pytorch_tanh")?,
            ..llama::gated(&format!("model.{}.{prefix}", self.name), inner, false)
        })
    }
}
