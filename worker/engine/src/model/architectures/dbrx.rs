//! DBRX: Llama with layer norms without bias, clipped queries, keys and values in one map, and a
//! mixture of experts whose maps are joined in three tensors.
//!
//! Source: Databricks 2024,
//! <https://www.databricks.com/blog/introducing-dbrx-new-state-art-open-llm>.

use super::experts::Counts;
use super::fields::{activation, head_dim, head_weight};
use super::layer::{Layer, sublayers};
use super::rope::{RopeDefaults, rope};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AttentionSpec, ExpertsSpec, FeedForwardSpec, Gate, HeadSpec, LinearSpec, ModelSpec, NormKind,
    NormSpec, RoutingSpec, StackLayout, StackSpec, Surroundings,
};

/// The default of torch, which transformers keeps; configuration files do not have this value.
const EPSILON: f64 = 1e-5;

const ROPE: RopeDefaults = RopeDefaults {
    theta: 10_000.0,
    partial: None,
    has_alpha: false,
};

/// Reads the specification of a DBRX model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let hidden = config.size("d_model")?;
    let dim = head_dim(config, hidden, config.size("n_heads")?)?;
    let layers = (0..config.size("n_layers")?).map(|index| layer(config, index, (hidden, dim)));
    let layers = layers.collect::<Result<_, _>>()?;
    let max_positions = config.size("max_seq_len")?;
    Ok(ModelSpec {
        hidden,
        vocabulary: config.size("vocab_size")?,
        max_positions,
        embedding: "transformer.wte.weight".to_owned(),
        embedding_scale: 1.0,
        encoder: None,
        surroundings: Surroundings::default(),
        decoder: StackSpec {
            rotations: vec![rope(&with_theta(config)?, dim, ROPE)?.rotary],
            final_norm: Some(norm("transformer.norm_f")),
            ..StackSpec::new(sublayers(layers))
        },
        head: HeadSpec::plain(head_weight(config, "lm_head.weight", false)?),
    })
}

/// Returns the attention's part of the configuration, or an empty one.
fn of_attention(config: &ConfigFile) -> Result<ConfigFile, Error> {
    let part = config.object("attn_config")?;
    Ok(part.unwrap_or_else(|| config.empty()))
}

/// Returns the configuration that describes the rotation. transformers 5 reads `rope_parameters`, and
/// earlier releases read `rope_theta` in the attention's part. Fails if the two differ.
fn with_theta(config: &ConfigFile) -> Result<ConfigFile, Error> {
    let part = of_attention(config)?;
    let Some(fields) = config.object("rope_parameters")? else {
        return Ok(part);
    };
    let (theta, of_part) = (
        fields.optional_number("rope_theta")?,
        part.optional_number("rope_theta")?,
    );
    if let (Some(theta), Some(of_part)) = (theta, of_part)
        && theta != of_part
    {
        return Err(config.refused(format!(
            "`rope_theta` is {theta} in `rope_parameters` and {of_part} in `attn_config`"
        )));
    }
    Ok(config.clone())
}

fn norm(name: &str) -> NormSpec {
    NormSpec::new(name, NormKind::LayerWithoutBias, EPSILON)
}

fn layer(config: &ConfigFile, index: usize, (hidden, dim): (usize, usize)) -> Result<Layer, Error> {
    let part = of_attention(config)?;
    let heads = config.size("n_heads")?;
    let kv_heads = part.optional_size("kv_n_heads")?.unwrap_or(1);
    if !heads.is_multiple_of(kv_heads) {
        return Err(config.refused(format!(
            "{heads} attention heads cannot share {kv_heads} key-value heads"
        )));
    }
    let prefix = format!("transformer.blocks.{index}");
    let of_block = format!("{prefix}.norm_attn_norm");
    let stored = LinearSpec::new(format!("{of_block}.attn.Wqkv"), false);
    let attention = AttentionSpec {
        clip: part.optional_number("clip_qkv")?,
        rotation: Some(0),
        ..AttentionSpec::causal(
            (heads, kv_heads, dim),
            stored.split([hidden, kv_heads * dim, kv_heads * dim]),
            LinearSpec::new(format!("{of_block}.attn.out_proj"), false),
        )
    };
    Ok(Layer::pre_norm(
        (norm(&format!("{of_block}.norm_1")), attention),
        (
            norm(&format!("{of_block}.norm_2")),
            mixture(config, &format!("{prefix}.ffn"))?,
        ),
    ))
}

/// Returns the mixture in the module `prefix`.
fn mixture(config: &ConfigFile, prefix: &str) -> Result<ExpertsSpec, Error> {
    let Some(part) = config.object("ffn_config")? else {
        return Err(config.refused("`ffn_config` is missing".to_owned()));
    };
    let counts = Counts::read(&part, &["moe_num_experts"], &["moe_top_k"])?;
    let inner = part.size("ffn_hidden_size")?;
    let normalize = "moe_normalize_expert_weights";
    // The weights are divided by their norm of this order; they are positive, so that of order 1 is
    // their sum. `null` means that they are not divided.
    let sums_to_one = !part.has(normalize) || part.optional_number(normalize)?.is_some();
    if let Some(order) = part
        .optional_number(normalize)?
        .filter(|&order| order != 1.0)
    {
        return Err(config.refused(format!("`{normalize}` is {order}, which is not supported")));
    }
    let function = part.object("ffn_act_fn")?.unwrap_or_else(|| config.empty());
    let activation = activation(&function, "name", "silu")?;
    let expert = |index: usize| {
        let linear = |name: &str| {
            LinearSpec::new(format!("{prefix}.experts.mlp.{name}"), false).stacked(
                StackLayout::Joined,
                index,
                counts.experts,
            )
        };
        FeedForwardSpec {
            inner,
            activation,
            gate: Gate::Gated {
                gate: linear("w1"),
                up: linear("v1"),
            },
            down: linear("w2").transposed(),
        }
    };
    let routing = RoutingSpec::softmax(sums_to_one);
    Ok(counts.mixture(&format!("{prefix}.router.layer"), routing, expert))
}
