//! T5, mT5, UMT5 and Switch Transformers: encoder-decoder, pre-norm with RMS norms, relative position
//! buckets. Switch Transformers have mixtures of experts, and each row uses one expert.
//!
//! Sources: Raffel et al. 2019, <https://arxiv.org/abs/1910.10683>; Fedus et al. 2021,
//! <https://arxiv.org/abs/2101.03961>. Weight names as transformers saves them. Attention scores are not scaled. All layers of a stack share the position buckets
//! of its first layer; in UMT5 each layer has its own. The original T5 models scale the hidden
//! states before the head.

use super::experts::Counts;
use super::fields;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    Activation, AttentionSpec, CoreSpec, ExpertsSpec, FeedForwardSpec, Gate, HeadSpec, HeadWeight,
    LinearSpec, ModelSpec, NormSpec, RoutingSpec, ScoreBiasSpec, StackEmbedding, StackSpec,
    SublayerSpec, Surroundings, UNBOUNDED,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-6;
const DEFAULT_BUCKETS: usize = 32;
const DEFAULT_MAX_DISTANCE: usize = 128;
const DEFAULT_CAPACITY: usize = 64;
const DEFAULT_SPARSE: usize = 3;

/// What distinguishes the relatives from each other.
#[derive(Debug, Clone, Copy)]
struct Variant {
    /// Whether every layer has its own position buckets.
    has_buckets_in_each_layer: bool,
    /// The `feed_forward_proj` that transformers assumes if the file does not give one.
    default_network: &'static str,
}

const T5: Variant = Variant {
    has_buckets_in_each_layer: false,
    default_network: "relu",
};

const MT5: Variant = Variant {
    has_buckets_in_each_layer: false,
    default_network: "gated-gelu",
};

const UMT5: Variant = Variant {
    has_buckets_in_each_layer: true,
    default_network: "gated-gelu",
};

/// Reads the specification of a T5 model.
pub(super) fn t5(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut spec = T5.spec(config)?;
    // T5 1.1 and FLAN-T5 do not scale; files of transformers 4 show this only by an untied head.
    let scales = config.flag_or("tie_word_embeddings", true)?;
    if config.flag_or("scale_decoder_outputs", scales)? {
        spec.head.scale = (spec.hidden as f64).powf(-0.5);
    }
    Ok(spec)
}

/// Reads the specification of an mT5 model.
pub(super) fn mt5(config: &ConfigFile) -> Result<ModelSpec, Error> {
    MT5.spec(config)
}

/// Reads the specification of a Switch Transformer.
///
/// An expert takes at most `expert_capacity` rows of a text and leaves out the others. Texts that are
/// not longer than that never reach the limit, so longer ones are refused.
pub(super) fn switch_transformers(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut spec = T5.spec(config)?;
    let capacity = config.optional_size("expert_capacity")?;
    spec.max_positions = capacity.unwrap_or(DEFAULT_CAPACITY);
    if config.flag_or("tie_word_embeddings", true)? {
        spec.head.scale = (spec.hidden as f64).powf(-0.5);
    }
    if let Some(encoder) = &mut spec.encoder {
        switch(config, encoder, "num_sparse_encoder_layers")?;
    }
    switch(config, &mut spec.decoder, "num_sparse_decoder_layers")?;
    Ok(spec)
}

/// Renames the networks of a stack as Switch Transformers do, and replaces those of as many layers as
/// `field` says by mixtures of experts.
fn switch(config: &ConfigFile, stack: &mut StackSpec, field: &str) -> Result<(), Error> {
    let layers = stack.sublayers.last().map_or(0, |last| last.layer + 1);
    let step = match fields::index_or(config, field, DEFAULT_SPARSE)? {
        0 => layers,
        sparse => layers / sparse,
    };
    for sublayer in &mut stack.sublayers {
        let CoreSpec::FeedForward(network) = &sublayer.core else {
            continue;
        };
        let prefix = network.down.name.replace(".DenseReluDense.wo", ".mlp");
        sublayer.core = if step == 1 || (step > 1 && sublayer.layer % step == 1) {
            mixture(config, &prefix, network)?.into()
        } else {
            ungated(&prefix, network).into()
        };
    }
    Ok(())
}

/// Returns the mixture in the module `prefix`, of networks like `network`.
fn mixture(
    config: &ConfigFile,
    prefix: &str,
    network: &FeedForwardSpec,
) -> Result<ExpertsSpec, Error> {
    let counts = Counts::checked(config, config.size("num_experts")?, 1)?;
    let expert = |index: usize| ungated(&format!("{prefix}.experts.expert_{index}"), network);
    let routing = RoutingSpec::softmax(false);
    let mut mixture = counts.mixture(&format!("{prefix}.router.classifier"), routing, expert);
    mixture.router.bias = config.flag_or("router_bias", false)?;
    Ok(mixture)
}

/// Returns a network of the sizes of `network`, without a gate, in the module `prefix`.
fn ungated(prefix: &str, network: &FeedForwardSpec) -> FeedForwardSpec {
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), false);
    FeedForwardSpec {
        gate: Gate::Plain { up: linear("wi") },
        down: linear("wo"),
        ..network.clone()
    }
}

/// Reads the specification of a UMT5 model.
pub(super) fn umt5(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut spec = UMT5.spec(config)?;
    // transformers always scales UMT5's hidden states, whether or not the head is tied.
    spec.head.scale = (spec.hidden as f64).powf(-0.5);
    Ok(spec)
}

impl Variant {
    fn spec(self, config: &ConfigFile) -> Result<ModelSpec, Error> {
        Ok(ModelSpec {
            hidden: config.size("d_model")?,
            vocabulary: config.size("vocab_size")?,
            max_positions: UNBOUNDED,
            embedding: "shared.weight".to_owned(),
            embedding_scale: 1.0,
            encoder: Some(self.stack(config, "encoder")?),
            surroundings: Surroundings::default(),
            decoder: self.stack(config, "decoder")?,
            head: HeadSpec::plain(HeadWeight::OwnOrTied("lm_head.weight".to_owned())),
        })
    }

    fn stack(self, config: &ConfigFile, side: &str) -> Result<StackSpec, Error> {
        let is_decoder = side == "decoder";
        let mut layers = config.size("num_layers")?;
        if is_decoder {
            let of_decoder = config.optional_size("num_decoder_layers")?;
            layers = of_decoder.unwrap_or(layers);
        }
        let epsilon = config
            .optional_number("layer_norm_epsilon")?
            .unwrap_or(DEFAULT_EPSILON);
        let mut sublayers = Vec::new();
        let mut score_biases = Vec::new();
        for layer in 0..layers {
            let prefix = format!("{side}.block.{layer}.layer");
            if layer == 0 || self.has_buckets_in_each_layer {
                let attention = format!("{prefix}.0.SelfAttention");
                score_biases.push(bias(config, &attention, !is_decoder)?);
            }
            let cores = self.cores(config, &prefix, score_biases.len() - 1, is_decoder)?;
            for (index, core) in cores.into_iter().enumerate() {
                let norm = NormSpec::rms(format!("{prefix}.{index}.layer_norm"), epsilon);
                sublayers.push(SublayerSpec::pre_norm(layer, norm, core));
            }
        }
        Ok(StackSpec {
            embedding: StackEmbedding::Repeated(format!("{side}.embed_tokens.weight")),
            score_biases,
            final_norm: Some(NormSpec::rms(format!("{side}.final_layer_norm"), epsilon)),
            ..StackSpec::new(sublayers)
        })
    }

    /// Returns the cores of one layer, in order.
    fn cores(
        self,
        config: &ConfigFile,
        prefix: &str,
        score_bias: usize,
        is_decoder: bool,
    ) -> Result<Vec<CoreSpec>, Error> {
        let own = AttentionSpec {
            causal: is_decoder,
            score_bias: Some(score_bias),
            ..attention(config, &format!("{prefix}.0.SelfAttention"))?
        };
        let mut cores = vec![CoreSpec::SelfAttention(own)];
        if is_decoder {
            let cross = AttentionSpec {
                causal: false,
                ..attention(config, &format!("{prefix}.1.EncDecAttention"))?
            };
            cores.push(CoreSpec::CrossAttention(cross));
        }
        let network = format!("{prefix}.{}.DenseReluDense", cores.len());
        let kind = config
            .optional_text("feed_forward_proj")?
            .unwrap_or(self.default_network);
        cores.push(CoreSpec::FeedForward(feed_forward(config, &network, kind)?));
        Ok(cores)
    }
}

fn attention(config: &ConfigFile, prefix: &str) -> Result<AttentionSpec, Error> {
    let heads = config.size("num_heads")?;
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), false);
    Ok(AttentionSpec {
        scale: 1.0,
        ..AttentionSpec::causal(
            (heads, heads, config.size("d_kv")?),
            [linear("q"), linear("k"), linear("v")],
            linear("o"),
        )
    })
}

fn bias(config: &ConfigFile, prefix: &str, is_bidirectional: bool) -> Result<ScoreBiasSpec, Error> {
    let size = |name: &str, default: usize| -> Result<usize, Error> {
        Ok(config.optional_size(name)?.unwrap_or(default))
    };
    Ok(ScoreBiasSpec::Relative {
        name: format!("{prefix}.relative_attention_bias.weight"),
        heads: config.size("num_heads")?,
        buckets: size("relative_attention_num_buckets", DEFAULT_BUCKETS)?,
        max_distance: size("relative_attention_max_distance", DEFAULT_MAX_DISTANCE)?,
        is_bidirectional,
    })
}

fn feed_forward(config: &ConfigFile, prefix: &str, name: &str) -> Result<FeedForwardSpec, Error> {
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), false);
    // T5 1.1 files say `gated-gelu` although the model was trained with the tanh approximation.
    let (activation, is_gated) = match name.strip_prefix("gated-") {
        Some("gelu") => (Activation::TanhGelu, true),
        Some(gate) => (named(config, gate)?, true),
        None => (named(config, name)?, false),
    };
    // Files written by transformers repeat both values in separate fields, which take precedence.
    let activation = match config.optional_text("dense_act_fn")? {
        Some(name) => fields::activation(config, "dense_act_fn", name)?,
        None => activation,
    };
    let gate = if config.flag_or("is_gated_act", is_gated)? {
        Gate::Gated {
            gate: linear("wi_0"),
            up: linear("wi_1"),
        }
    } else {
        Gate::Plain { up: linear("wi") }
    };
    Ok(FeedForwardSpec {
        inner: config.size("d_ff")?,
        activation,
        gate,
        down: linear("wo"),
    })
}

fn named(config: &ConfigFile, name: &str) -> Result<Activation, Error> {
    Activation::from_name(name).ok_or_else(|| {
        config.refused(format!(
            "`feed_forward_proj` names `{name}`, an activation whence does not have"
        ))
    })
}
