//! GPT-2 and GPT-BigCode: decoder-only, pre-norm with layer norms, learned positions.
//!
//! Sources: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; Ben Allal
//! et al. 2023, <https://arxiv.org/abs/2301.03988>. Weight names as transformers saves them.
//! Queries, keys and values are stored in one linear map. GPT-2 stores its maps `[in, out]`;
//! GPT-BigCode stores them `[out, in]`, with one key and value head for all queries, or head by
//! head. GPT-Neo uses [`pre_norm`] and [`model`] from here.

use super::fields::{activation, head_dim, head_weight};
use super::layer::{Layer, sublayers};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AddedPositions, AttentionSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec,
    NormSpec, StackSpec, Surroundings,
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_EPSILON: f64 = 1e-5;

/// Sizes that all layers share.
struct Sizes {
    hidden: usize,
    heads: usize,
    dim: usize,
}

/// Reads the specification of a GPT-2 model.
pub(super) fn gpt2(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let scales_by_layer = config.flag_or("scale_attn_by_inverse_layer_idx", false)?;
    spec(config, "gelu_new", |sizes, layer, linear| {
        let mut attention = AttentionSpec::causal(
            (sizes.heads, sizes.heads, sizes.dim),
            linear("attn.c_attn").transposed().split([sizes.hidden; 3]),
            linear("attn.c_proj").transposed(),
        );
        if scales_by_layer {
            attention.scale /= (layer + 1) as f64;
        }
        let network = (
            linear("mlp.c_fc").transposed(),
            linear("mlp.c_proj").transposed(),
        );
        (attention, network)
    })
}

/// Reads the specification of a GPT-BigCode model.
pub(super) fn gpt_bigcode(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let shares_keys = config.flag_or("multi_query", true)?;
    spec(config, "gelu_pytorch_tanh", |sizes, _, linear| {
        let stored = linear("attn.c_attn");
        let (kv_heads, projections) = if shares_keys {
            (1, stored.split([sizes.hidden, sizes.dim, sizes.dim]))
        } else {
            let of_head = stored.split_in_groups(sizes.heads, [sizes.dim; 3]);
            (sizes.heads, of_head)
        };
        let attention = AttentionSpec::causal(
            (sizes.heads, kv_heads, sizes.dim),
            projections,
            linear("attn.c_proj"),
        );
        (attention, (linear("mlp.c_fc"), linear("mlp.c_proj")))
    })
}

/// Reads a model. `layer` builds a layer's attention and the two linear maps of its network from
/// the sizes, the layer's index and the name prefix.
fn spec(
    config: &ConfigFile,
    default_activation: &str,
    layer: impl Fn(
        &Sizes,
        usize,
        &dyn Fn(&str) -> LinearSpec,
    ) -> (AttentionSpec, (LinearSpec, LinearSpec)),
) -> Result<ModelSpec, Error> {
    let hidden = config.size("n_embd")?;
    let heads = config.size("n_head")?;
    let sizes = Sizes {
        hidden,
        heads,
        dim: head_dim(config, hidden, heads)?,
    };
    let epsilon = config.optional_number("layer_norm_epsilon")?;
    let epsilon = epsilon.unwrap_or(DEFAULT_EPSILON);
    let scales = config.flag_or("scale_attn_weights", true)?;
    let inner = config.optional_size("n_inner")?;
    let mut layers = Vec::new();
    for index in 0..config.size("n_layer")? {
        let prefix = prefix(index);
        let linear = |name: &str| LinearSpec::new(format!("{prefix}.{name}"), true);
        let (mut attention, (up, down)) = layer(&sizes, index, &linear);
        if !scales {
            attention.scale *= (sizes.dim as f64).sqrt();
        }
        let network = FeedForwardSpec {
            inner: inner.unwrap_or(4 * hidden),
            activation: activation(config, "activation_function", default_activation)?,
            gate: Gate::Plain { up },
            down,
        };
        layers.push(pre_norm(&prefix, epsilon, attention, network));
    }
    model(
        config,
        (hidden, config.size("n_positions")?),
        epsilon,
        layers,
    )
}

/// Returns the prefix of the tensor names of layer `index`.
pub(super) fn prefix(index: usize) -> String {
    format!("transformer.h.{index}")
}

/// Combines an attention and a network with the pre-norms that all models of the GPT-2 family
/// have.
pub(super) fn pre_norm(
    prefix: &str,
    epsilon: f64,
    attention: AttentionSpec,
    network: FeedForwardSpec,
) -> Layer {
    let norm = |name: &str| NormSpec::layer(format!("{prefix}.{name}"), epsilon);
    Layer::pre_norm((norm("ln_1"), attention), (norm("ln_2"), network))
}

/// Combines `layers` with GPT-2's embedding, positions, final norm and head.
pub(super) fn model(
    config: &ConfigFile,
    (hidden, max_positions): (usize, usize),
    epsilon: f64,
    layers: Vec<Layer>,
) -> Result<ModelSpec, Error> {
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions,
        embedding: "transformer.wte.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        surroundings: Surroundings::default(),
        decoder: StackSpec {
            added_positions: Some(AddedPositions::Learned {
                name: "transformer.wpe.weight".to_owned(),
                offset: 0,
            }),
            final_norm: Some(NormSpec::layer("transformer.ln_f", epsilon)),
            ..StackSpec::new(sublayers(layers))
        },
        head: HeadSpec::plain(head_weight(config, "lm_head.weight", true)?),
    })
}
