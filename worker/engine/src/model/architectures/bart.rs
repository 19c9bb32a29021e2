//! BART and its relatives: encoder-decoders with layer norms, and biases everywhere.
//!
//! BART (Lewis et al. 2019, <https://arxiv.org/abs/1910.13461>), PLBART (Ahmad et al. 2021,
//! <https://arxiv.org/abs/2103.06333>), MVP (Tang et al. 2022, <https://arxiv.org/abs/2206.12131>),
//! Blenderbot (Roller et al. 2020, <https://arxiv.org/abs/2004.13637>), mBART (Liu et al. 2020,
//! <https://arxiv.org/abs/2001.08210>), Pegasus (Zhang et al. 2019,
//! <https://arxiv.org/abs/1912.08777>), M2M-100 and NLLB (Fan et al. 2020,
//! <https://arxiv.org/abs/2010.11125>) and Marian (Junczys-Dowmunt et al. 2018,
//! <https://arxiv.org/abs/1804.00344>) differ in where the norms sit and in their positions; weight
//! names are the same. Embeddings are scaled by √hidden where `scale_embedding` says so.

use super::fields::{activation, head_dim, padding_row, require, size_of};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AddedPositions, AttentionSpec, CoreSpec, FeedForwardSpec, Gate, HeadBias, HeadSpec, HeadWeight,
    LinearSpec, ModelSpec, NormSpec, StackEmbedding, StackSpec, SublayerSpec, Surroundings, Waves,
};

/// The default of torch, which transformers keeps; configuration files do not have this value.
const EPSILON: f64 = 1e-5;

/// Learned positions as in BART: two rows of the table come before the row of position 0.
const FROM_ROW_2: PositionKind = PositionKind::Learned { offset: 2 };

/// Extra rows that transformers adds to M2M-100's position table.
const M2M_EXTRA_POSITIONS: usize = 2;

/// The `pad_token_id` that transformers assumes for M2M-100 if the file does not give one.
const M2M_DEFAULT_PADDING: usize = 1;
/// The same for `SeamlessM4T`.
const SEAMLESS_DEFAULT_PADDING: usize = 0;

/// What distinguishes the relatives from each other.
struct Variant {
    /// If true, norms come before each core, plus one after the last layer; otherwise after each
    /// sum.
    is_pre_norm: bool,
    /// Whether the embeddings pass through a norm.
    normalizes_embeddings: bool,
    positions: PositionKind,
    /// Whether transformers' decoder scales embeddings again if a caller passes them in place of
    /// ids.
    scales_given: bool,
    /// The activation that transformers assumes if the file names none.
    default_activation: &'static str,
    /// How `scale_embedding` is set if the file does not have it.
    default_scale: DefaultScale,
}

/// The embedding scale that transformers assumes if the file does not give one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DefaultScale {
    /// No scaling.
    One,
    /// Scaling by the square root of the hidden width.
    RootOfWidth,
}

#[derive(Debug, Clone, Copy)]
enum PositionKind {
    Learned {
        /// Rows of the table that come before the row of position 0.
        offset: usize,
    },
    Sinusoidal(Waves),
}

const BART: Variant = Variant {
    is_pre_norm: false,
    normalizes_embeddings: true,
    positions: FROM_ROW_2,
    scales_given: false,
    default_activation: "gelu",
    default_scale: DefaultScale::One,
};

/// Reads the specification of a BART model.
pub(super) fn bart(config: &ConfigFile) -> Result<ModelSpec, Error> {
    BART.spec(config)
}

/// Reads the specification of a PLBART model.
pub(super) fn plbart(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let variant = Variant {
        default_scale: DefaultScale::RootOfWidth,
        ..BART
    };
    variant.spec(config)
}

/// Reads the specification of an MVP model.
pub(super) fn mvp(config: &ConfigFile) -> Result<ModelSpec, Error> {
    require(config, "use_prompt", false)?;
    BART.spec(config)
}

const BLENDERBOT: Variant = Variant {
    is_pre_norm: true,
    normalizes_embeddings: false,
    positions: PositionKind::Learned { offset: 0 },
    ..BART
};

/// Reads the specification of a Blenderbot model.
pub(super) fn blenderbot(config: &ConfigFile) -> Result<ModelSpec, Error> {
    BLENDERBOT.spec(config)
}

/// Reads the specification of a BigBird-Pegasus model as if its tensors had Blenderbot's names.
pub(super) fn named_as_blenderbot(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let variant = Variant {
        default_activation: "gelu_new",
        default_scale: DefaultScale::RootOfWidth,
        ..BLENDERBOT
    };
    variant.spec(config)
}

/// Reads the specification of an mBART model.
pub(super) fn mbart(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let variant = Variant {
        is_pre_norm: true,
        ..BART
    };
    variant.spec(config)
}

/// Reads the specification of a Pegasus model.
pub(super) fn pegasus(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let variant = Variant {
        is_pre_norm: true,
        normalizes_embeddings: false,
        positions: PositionKind::Sinusoidal(Waves::Vaswani),
        scales_given: true,
        ..BART
    };
    variant.spec(config)
}

/// Reads the specification of an M2M-100 or NLLB model.
pub(super) fn m2m_100(config: &ConfigFile) -> Result<ModelSpec, Error> {
    counted_from_padding(config, M2M_DEFAULT_PADDING)
}

/// Reads the specification of a `SeamlessM4T` model as if its tensors had NLLB's names.
pub(super) fn seamless(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut spec = counted_from_padding(config, SEAMLESS_DEFAULT_PADDING)?;
    spec.head.bias = None;
    Ok(spec)
}

/// Reads a model whose positions are counted from behind the padding row, as in fairseq. `padding` is
/// that row if the file does not name it.
fn counted_from_padding(config: &ConfigFile, padding: usize) -> Result<ModelSpec, Error> {
    let rows = M2M_EXTRA_POSITIONS + config.size("max_position_embeddings")?;
    let Some(padding) = padding_row(config, rows, padding)? else {
        return Err(config.refused(
            "`pad_token_id` is null, and positions are counted from behind it; name the token"
                .to_owned(),
        ));
    };
    let waves = Waves::Tensor2tensor {
        offset: padding + 1,
        padding: None,
    };
    let variant = Variant {
        is_pre_norm: true,
        normalizes_embeddings: false,
        positions: PositionKind::Sinusoidal(waves),
        scales_given: false,
        default_activation: "relu",
        default_scale: DefaultScale::RootOfWidth,
    };
    variant.spec(config)
}

/// Reads the specification of a Marian model.
pub(super) fn marian(config: &ConfigFile) -> Result<ModelSpec, Error> {
    require(config, "normalize_before", false)?;
    require(config, "normalize_embedding", false)?;
    let variant = Variant {
        normalizes_embeddings: false,
        positions: PositionKind::Sinusoidal(Waves::Vaswani),
        scales_given: true,
        ..BART
    };
    let spec = variant.spec(config)?;
    if config.flag_or("share_encoder_decoder_embeddings", true)? {
        return Ok(spec);
    }
    with_an_embedding_for_each_side(config, spec)
}

/// Gives the encoder its own embedding. The head and its bias then cover the decoder's vocabulary.
fn with_an_embedding_for_each_side(
    config: &ConfigFile,
    spec: ModelSpec,
) -> Result<ModelSpec, Error> {
    let of_source = StackEmbedding::Own {
        name: "model.encoder.embed_tokens.weight".to_owned(),
        vocabulary: spec.vocabulary,
    };
    let of_target = config.optional_size("decoder_vocab_size")?;
    Ok(ModelSpec {
        vocabulary: of_target.unwrap_or(spec.vocabulary),
        embedding: "model.decoder.embed_tokens.weight".to_owned(),
        encoder: spec.encoder.map(|stack| StackSpec {
            embedding: of_source,
            ..stack
        }),
        decoder: StackSpec {
            embedding: StackEmbedding::Shared,
            ..spec.decoder
        },
        ..spec
    })
}

impl Variant {
    fn spec(&self, config: &ConfigFile) -> Result<ModelSpec, Error> {
        let hidden = size_of(config, &["d_model", "hidden_size"])?;
        let scale = if config.flag_or(
            "scale_embedding",
            self.default_scale == DefaultScale::RootOfWidth,
        )? {
            (hidden as f64).sqrt()
        } else {
            1.0
        };
        let mut decoder = self.stack(config, "decoder", hidden)?;
        if self.scales_given {
            decoder.given_scale = scale;
        }
        let bias = HeadBias::FinalLogits("final_logits_bias".to_owned());
        Ok(ModelSpec {
            hidden,
            vocabulary: config.size("vocab_size")?,
            max_positions: config.size("max_position_embeddings")?,
            embedding: "model.shared.weight".to_owned(),
            embedding_scale: scale,
            encoder: Some(self.stack(config, "encoder", hidden)?),
            surroundings: Surroundings::default(),
            decoder,
            head: HeadSpec {
                // M2M-100 has no such bias. Its checkpoints lack the tensor, which then counts as
                // zero.
                bias: Some(bias),
                ..HeadSpec::plain(HeadWeight::OwnOrTied("lm_head.weight".to_owned()))
            },
        })
    }

    fn stack(&self, config: &ConfigFile, side: &str, hidden: usize) -> Result<StackSpec, Error> {
        let is_decoder = side == "decoder";
        let heads = config.size(&format!("{side}_attention_heads"))?;
        let dim = head_dim(config, hidden, heads)?;
        let mut sublayers = Vec::new();
        for layer in 0..config.size(&format!("{side}_layers"))? {
            let prefix = format!("model.{side}.layers.{layer}");
            let step = |norm: &str, core: CoreSpec| {
                let norm = NormSpec::layer(format!("{prefix}.{norm}"), EPSILON);
                if self.is_pre_norm {
                    SublayerSpec::pre_norm(layer, norm, core)
                } else {
                    SublayerSpec::post_norm(layer, norm, core)
                }
            };
            let own = AttentionSpec {
                causal: is_decoder,
                ..attention(&format!("{prefix}.self_attn"), (heads, heads, dim))
            };
            sublayers.push(step("self_attn_layer_norm", CoreSpec::SelfAttention(own)));
            if is_decoder {
                let cross = AttentionSpec {
                    causal: false,
                    ..attention(&format!("{prefix}.encoder_attn"), (heads, heads, dim))
                };
                sublayers.push(step(
                    "encoder_attn_layer_norm",
                    CoreSpec::CrossAttention(cross),
                ));
            }
            let network = self.feed_forward(config, side, &prefix)?;
            sublayers.push(step("final_layer_norm", CoreSpec::FeedForward(network)));
        }
        let norm = |name: &str| NormSpec::layer(format!("model.{side}.{name}"), EPSILON);
        Ok(StackSpec {
            embedding: StackEmbedding::Repeated(format!("model.{side}.embed_tokens.weight")),
            added_positions: Some(match self.positions {
                PositionKind::Sinusoidal(waves) => AddedPositions::Sinusoidal(waves),
                PositionKind::Learned { offset } => AddedPositions::Learned {
                    name: format!("model.{side}.embed_positions.weight"),
                    offset,
                },
            }),
            embedding_norm: self
                .normalizes_embeddings
                .then(|| norm("layernorm_embedding")),
            final_norm: self.is_pre_norm.then(|| norm("layer_norm")),
            ..StackSpec::new(sublayers)
        })
    }

    fn feed_forward(
        &self,
        config: &ConfigFile,
        side: &str,
        prefix: &str,
    ) -> Result<FeedForwardSpec, Error> {
        let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), true);
        Ok(FeedForwardSpec {
            inner: config.size(&format!("{side}_ffn_dim"))?,
            activation: activation(config, "activation_function", self.default_activation)?,
            gate: Gate::Plain { up: linear("fc1") },
            down: linear("fc2"),
        })
    }
}

fn attention(prefix: &str, sizes: (usize, usize, usize)) -> AttentionSpec {
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), true);
    AttentionSpec::causal(
        sizes,
        [linear("q_proj"), linear("k_proj"), linear("v_proj")],
        linear("out_proj"),
    )
}
