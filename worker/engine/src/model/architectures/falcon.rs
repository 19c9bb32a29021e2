//! Falcon: decoder-only with layer norms, attention and network in parallel in most models, and
//! rotary positions or `ALiBi` score biases.
//!
//! Source: Almazrouei et al. 2023, <https://arxiv.org/abs/2311.16867>; weight names as
//! transformers saves them. Queries, keys and values are stored in one linear map: head by head,
//! or all queries before the one key and value head, or (`new_decoder_architecture`) each key and
//! value head after the queries it serves. `ALiBi` slopes are rounded to bfloat16.

use super::alibi::interleaved_slopes;
use super::fields::{activation, head_dim, head_weight};
use super::layer::{Layer, sublayers};
use super::rope::{RopeDefaults, rope};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AttentionSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec, NormSpec, ScoreBiasSpec,
    StackSpec, Surroundings,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;
const DEFAULT_MAX_POSITIONS: usize = 2048;
const ROPE: RopeDefaults = RopeDefaults {
    theta: 10_000.0,
    partial: None,
    has_alpha: false,
};

/// The layout of queries, keys and values in their common linear map.
#[derive(Debug, Clone, Copy)]
enum Stored {
    /// Query, key and value of the first head, then those of the next.
    HeadByHead,
    /// All queries, then the one key and value head.
    QueriesFirst,
    /// Each key and value head after the queries it serves.
    InGroups,
}

/// Whether attention and network run in parallel, and the names of their norms.
#[derive(Debug, Clone, Copy)]
struct Wiring {
    is_parallel: bool,
    norm_names: [&'static str; 2],
}

/// Sizes and options that the parts of a layer depend on.
struct Shape {
    hidden: usize,
    heads: usize,
    kv_heads: usize,
    dim: usize,
    epsilon: f64,
    /// Whether scores have `ALiBi` slopes; if not, queries and keys are rotated.
    has_slopes: bool,
    stored: Stored,
    wiring: Wiring,
}

/// Reads the specification of a Falcon model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let shape = Shape::read(config)?;
    let layers = (0..config.size("num_hidden_layers")?).map(|index| shape.layer(config, index));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    let max_positions = config.optional_size("max_position_embeddings")?;
    let mut stack = StackSpec {
        final_norm: Some(NormSpec::layer("transformer.ln_f", shape.epsilon)),
        ..StackSpec::new(sublayers(layers))
    };
    let mut valid_positions = None;
    if shape.has_slopes {
        stack.score_biases = vec![ScoreBiasSpec::Alibi {
            slopes: interleaved_slopes(shape.heads),
            is_bfloat16: true,
            factor: (shape.dim as f64).powf(-0.5),
        }];
    } else {
        let rope = rope(config, shape.dim, ROPE)?;
        valid_positions = rope.valid_positions;
        stack.rotations = vec![rope.rotary];
    }
    Ok(ModelSpec {
        hidden: shape.hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: valid_positions
            .or(max_positions)
            .unwrap_or(DEFAULT_MAX_POSITIONS),
        embedding: "transformer.word_embeddings.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        surroundings: Surroundings::default(),
        decoder: stack,
        head: HeadSpec::plain(head_weight(config, "lm_head.weight", true)?),
    })
}

impl Shape {
    fn read(config: &ConfigFile) -> Result<Self, Error> {
        let hidden = config.size("hidden_size")?;
        let heads = config.size("num_attention_heads")?;
        let is_new = config.flag_or("new_decoder_architecture", false)?;
        let stored = match (is_new, config.flag_or("multi_query", true)?) {
            (true, _) => Stored::InGroups,
            (false, true) => Stored::QueriesFirst,
            (false, false) => Stored::HeadByHead,
        };
        let kv_heads = match stored {
            Stored::InGroups => config.optional_size("num_kv_heads")?.unwrap_or(heads),
            Stored::QueriesFirst => 1,
            Stored::HeadByHead => heads,
        };
        if !heads.is_multiple_of(kv_heads) {
            return Err(config.refused(format!(
                "{heads} attention heads cannot share {kv_heads} key-value heads"
            )));
        }
        let default_norms = if is_new { 2 } else { 1 };
        let num_norms = config.optional_size("num_ln_in_parallel_attn")?;
        let is_parallel = config.flag_or("parallel_attn", true)?;
        if is_new && !is_parallel {
            // transformers runs these in parallel, if it can run them at all.
            return Err(config.refused(
                "`parallel_attn` is false together with `new_decoder_architecture`, which is not supported"
                    .to_owned(),
            ));
        }
        let has_two_norms = num_norms.unwrap_or(default_norms) == 2;
        let norm_names = match (is_parallel, has_two_norms) {
            (false, _) => ["input_layernorm", "post_attention_layernorm"],
            (true, true) => ["ln_attn", "ln_mlp"],
            (true, false) => ["input_layernorm"; 2],
        };
        let epsilon = config.optional_number("layer_norm_epsilon")?;
        Ok(Self {
            hidden,
            heads,
            kv_heads,
            dim: head_dim(config, hidden, heads)?,
            epsilon: epsilon.unwrap_or(DEFAULT_EPSILON),
            has_slopes: config.flag_or("alibi", false)?,
            stored,
            wiring: Wiring {
                is_parallel,
                norm_names,
            },
        })
    }

    fn layer(&self, config: &ConfigFile, index: usize) -> Result<Layer, Error> {
        let bias = config.flag_or("bias", false)?;
        let prefix = format!("transformer.h.{index}");
        let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), bias);
        let norm = |name: &str| NormSpec::layer(format!("{prefix}.{name}"), self.epsilon);
        let attention = AttentionSpec {
            rotation: (!self.has_slopes).then_some(0),
            score_bias: self.has_slopes.then_some(0),
            ..AttentionSpec::causal(
                (self.heads, self.kv_heads, self.dim),
                self.projections(linear("self_attention.query_key_value")),
                linear("self_attention.dense"),
            )
        };
        let inner = config.optional_size("ffn_hidden_size")?;
        let network = FeedForwardSpec {
            inner: inner.unwrap_or(4 * self.hidden),
            activation: activation(config, "activation", "gelu")?,
            gate: Gate::Plain {
                up: linear("mlp.dense_h_to_4h"),
            },
            down: linear("mlp.dense_4h_to_h"),
        };
        let [of_attention, of_network] = self.wiring.norm_names;
        Ok(Layer {
            is_parallel: self.wiring.is_parallel,
            ..Layer::pre_norm((norm(of_attention), attention), (norm(of_network), network))
        })
    }

    /// Splits the stored map into query, key and value projections.
    fn projections(&self, stored: LinearSpec) -> [LinearSpec; 3] {
        let dim = self.dim;
        match self.stored {
            Stored::HeadByHead => stored.split_in_groups(self.heads, [dim; 3]),
            Stored::QueriesFirst => stored.split([self.hidden, dim, dim]),
            Stored::InGroups => {
                let queries = self.heads / self.kv_heads * dim;
                stored.split_in_groups(self.kv_heads, [queries, dim, dim])
            }
        }
    }
}
