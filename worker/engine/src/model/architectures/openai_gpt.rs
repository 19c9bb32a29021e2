//! The first GPT: like GPT-2, with the norms after the sums and none at the end.
//!
//! Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training".

use super::fields::{head_dim, head_weight};
use super::layer::{Layer, Norms, sublayers};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    Activation, AddedPositions, AttentionSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec,
    ModelSpec, NormSpec, StackSpec, Surroundings,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;

/// Reads the specification of a GPT model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("n_embd")?;
    let activation = activation(config)?;
    let layer = |index| layer(config, index, hidden, activation);
    let layers = (0..config.size("n_layer")?).map(layer);
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions: config.size("n_positions")?,
        embedding: "transformer.tokens_embed.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        surroundings: Surroundings::default(),
        decoder: StackSpec {
            added_positions: Some(AddedPositions::Learned {
                name: "transformer.positions_embed.weight".to_owned(),
                offset: 0,
            }),
            ..StackSpec::new(sublayers(layers.collect::<Result<_, _>>()?))
        },
        head: HeadSpec::plain(head_weight(config, "lm_head.weight", true)?),
    })
}

/// Reads the activation. `gelu` names the form with the hyperbolic tangent here.
fn activation(config: &ConfigFile) -> Result<Activation, Error> {
    match config.optional_text("afn")?.unwrap_or("gelu") {
        "gelu" => Ok(Activation::TanhGelu),
        "relu" => Ok(Activation::Relu),
        "silu" | "swish" => Ok(Activation::Silu),
        name => Err(config.refused(format!(
            "`afn` is `{name}`, an activation that GPT does not have"
        ))),
    }
}

fn layer(
    config: &ConfigFile,
    index: usize,
    hidden: usize,
    activation: Activation,
) -> Result<Layer, Error> {
    let heads = config.size("n_head")?;
    let epsilon = config.optional_number("layer_norm_epsilon")?;
    let prefix = format!("transformer.h.{index}");
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), true).transposed();
    let norm = |name: &str| {
        NormSpec::layer(
            format!("{prefix}.{name}"),
            epsilon.unwrap_or(DEFAULT_EPSILON),
        )
    };
    let attention = AttentionSpec::causal(
        (heads, heads, head_dim(config, hidden, heads)?),
        linear("attn.c_attn").split([hidden; 3]),
        linear("attn.c_proj"),
    );
    let network = FeedForwardSpec {
        inner: 4 * hidden,
        activation,
        gate: Gate::Plain {
            up: linear("mlp.c_fc"),
        },
        down: linear("mlp.c_proj"),
    };
    Ok(Layer {
        attention_norms: Norms::Sum(norm("ln_1")),
        network_norms: Norms::Sum(norm("ln_2")),
        ..Layer::pre_norm((norm("ln_1"), attention), (norm("ln_2"), network))
    })
}
