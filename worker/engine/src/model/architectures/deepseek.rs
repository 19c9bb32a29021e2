//! Llama with queries, keys and values from latent vectors: DeepSeek-V2 and V3 and GLM 4.7 Flash with
//! mixtures of experts, Youtu and `MiniCPM` 3 without.
//!
//! Sources: DeepSeek-AI 2024, <https://arxiv.org/abs/2405.04434> and
//! <https://arxiv.org/abs/2412.19437>; Z.ai 2026, <https://huggingface.co/zai-org/GLM-4.7-Flash>;
//! Tencent 2025, <https://arxiv.org/abs/2512.24618>; Hu et al. 2024,
//! <https://arxiv.org/abs/2404.06395>.

use super::experts::{self, Counts, DeepSeekStyle};
use super::fields::{index_or, number_or, rotate_neighbors, size_or};
use super::layer::Layer;
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::{self, rope};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    AttentionSpec, ExpertsSpec, LatentSpec, LatentVectorSpec, LinearSpec, ModelSpec, NormSpec,
    RoutingSpec,
};

/// Epsilon of the norms of latent vectors, fixed in transformers' code.
const LATENT_EPSILON: f64 = 1e-6;

/// What transformers assumes if the file does not give a value.
const DEFAULT_QUERY_RANK: usize = 1536;
const DEFAULT_FIRST_SPARSE: usize = 3;

const V3: DeepSeekStyle = DeepSeekStyle {
    experts: "n_routed_experts",
    shared: "n_shared_experts",
    correction: "gate.e_score_correction_bias",
    norm_topk_prob: true,
    routed_scaling_factor: 2.5,
    groups: (8, 4),
};

const GLM: DeepSeekStyle = DeepSeekStyle {
    routed_scaling_factor: 1.8,
    groups: (1, 1),
    ..V3
};

/// Defaults of GLM 4.7 Flash and `MiniCPM` 3.
const LARGER_EPSILON: Defaults = Defaults {
    rms_epsilon: 1e-5,
    ..DEFAULTS
};

/// What transformers assumes for `MiniCPM` 3 if the file does not give a value.
const MINICPM_SCALE: f64 = 12.0;
const MINICPM_DEPTH_SCALE: f64 = 1.4;
const MINICPM_BASE_WIDTH: f64 = 256.0;
const SMALLER_QUERY_RANK: usize = 768;

/// Reads the specification of a DeepSeek-V2 model.
pub(super) fn v2(config: &ConfigFile) -> Result<ModelSpec, Error> {
    require_text(config, "scoring_func", "softmax")?;
    let mut layers = layers(config, DEFAULTS, DEFAULT_QUERY_RANK)?;
    let first = index_or(config, "first_k_dense_replace", 0)?;
    for (index, layer) in layers.iter_mut().enumerate().skip(first) {
        let prefix = format!("{}.mlp", llama::prefix(index));
        layer.network = v2_mixture(config, &prefix)?.into();
    }
    let mut model = model(config, DEFAULTS, layers)?;
    rotate_neighbors(&mut model);
    Ok(model)
}

/// Reads the specification of a DeepSeek-V3 model.
pub(super) fn v3(config: &ConfigFile) -> Result<ModelSpec, Error> {
    require_text(config, "scoring_func", "sigmoid")?;
    require_text(config, "topk_method", "noaux_tc")?;
    let mut layers = layers(config, DEFAULTS, DEFAULT_QUERY_RANK)?;
    let first = index_or(config, "first_k_dense_replace", DEFAULT_FIRST_SPARSE)?;
    for (index, layer) in layers.iter_mut().enumerate().skip(first) {
        let prefix = format!("{}.mlp", llama::prefix(index));
        layer.network = V3.mixture(config, &prefix)?.into();
    }
    let mut model = interleaved_model(config, DEFAULTS, layers)?;
    experts::skip_prediction_layers(config, &mut model)?;
    Ok(model)
}

/// Reads the specification of a GLM 4.7 Flash model.
pub(super) fn glm4_moe_lite(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = layers(config, LARGER_EPSILON, SMALLER_QUERY_RANK)?;
    let sparse = experts::sparse_layers(config, layers.len(), 1)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        if sparse[index] {
            let prefix = format!("{}.mlp", llama::prefix(index));
            layer.network = GLM.mixture(config, &prefix)?.into();
        }
    }
    let mut model = interleaved_model(config, LARGER_EPSILON, layers)?;
    experts::skip_prediction_layers(config, &mut model)?;
    Ok(model)
}

/// Reads the specification of a Youtu model.
pub(super) fn youtu(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let tied = Defaults {
        is_tied: true,
        ..DEFAULTS
    };
    let layers = layers(config, tied, DEFAULT_QUERY_RANK)?;
    interleaved_model(config, tied, layers)
}

/// Reads the specification of a `MiniCPM` 3 model, which scales embeddings, what layers add to the
/// stream, and hidden states before the head.
pub(super) fn minicpm3(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let tied = Defaults {
        is_tied: true,
        ..LARGER_EPSILON
    };
    let mut layers = layers(config, tied, SMALLER_QUERY_RANK)?;
    if let Some(scale) = number_or(config, "scale_depth", MINICPM_DEPTH_SCALE)? {
        let scale = scale / (layers.len() as f64).sqrt();
        for layer in &mut layers {
            layer.scale = scale;
        }
    }
    let mut model = model(config, tied, layers)?;
    let scale = config.optional_number("scale_emb")?;
    model.embedding_scale = scale.unwrap_or(MINICPM_SCALE);
    if let Some(width) = number_or(config, "dim_model_base", MINICPM_BASE_WIDTH)? {
        model.head.scale = width / model.hidden as f64;
    }
    Ok(model)
}

/// Fails if the text in `field` is not the only supported one.
fn require_text(config: &ConfigFile, field: &str, served: &str) -> Result<(), Error> {
    match config.optional_text(field)? {
        Some(other) if other != served => Err(config.refused(format!(
            "`{field}` is `{other}`, which is not supported, only `{served}`"
        ))),
        _ => Ok(()),
    }
}

/// Reads Llama's layers with attention from latent vectors. `query_rank` is the default width of the
/// latent vector of queries.
fn layers(config: &ConfigFile, defaults: Defaults, query_rank: usize) -> Result<Vec<Layer>, Error> {
    let frequency = config.optional_size("moe_layer_freq")?.unwrap_or(1);
    if frequency != 1 {
        return Err(config.refused(format!(
            "`moe_layer_freq` is {frequency}, which is not supported"
        )));
    }
    let mut layers = llama::layers(config, defaults)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = format!("{}.self_attn", llama::prefix(index));
        layer.attention = attention(config, &prefix, query_rank)?;
    }
    Ok(layers)
}

/// Returns the attention in the module `prefix`.
fn attention(config: &ConfigFile, prefix: &str, query_rank: usize) -> Result<AttentionSpec, Error> {
    let heads = config.size("num_attention_heads")?;
    let rotated = config.size("qk_rope_head_dim")?;
    let unrotated = config.size("qk_nope_head_dim")?;
    let value_dim = config.size("v_head_dim")?;
    let head_dim = unrotated + rotated;
    if value_dim > head_dim {
        return Err(config.refused(format!(
            "`v_head_dim` is {value_dim}, and the heads of queries have {head_dim} entries"
        )));
    }
    let bias = config.flag_or("attention_bias", false)?;
    let linear = |name: &str, bias| LinearSpec::new(format!("{prefix}.{name}"), bias);
    let norm = |name: &str| NormSpec::rms(format!("{prefix}.{name}"), LATENT_EPSILON);
    let rank = config.size("kv_lora_rank")?;
    let [latent, shared_key] = linear("kv_a_proj_with_mqa", bias).split([rank, rotated]);
    let [key, value] = linear("kv_b_proj", false).split_in_groups(heads, [unrotated, value_dim]);
    let query_rank = size_or(config, "q_lora_rank", query_rank)?;
    let query = if query_rank.is_some() {
        "q_b_proj"
    } else {
        "q_proj"
    };
    let latent = LatentSpec {
        queries: query_rank.map(|width| LatentVectorSpec {
            down: linear("q_a_proj", bias),
            width,
            norm: norm("q_a_layernorm"),
        }),
        keys_and_values: LatentVectorSpec {
            down: latent,
            width: rank,
            norm: norm("kv_a_layernorm"),
        },
        shared_key,
        rotated,
        value_dim,
    };
    let attention = AttentionSpec::causal(
        (heads, heads, head_dim),
        [linear(query, false), key, value],
        linear("o_proj", bias),
    );
    Ok(AttentionSpec {
        scale: attention.scale * rope::score_factor(config)?,
        rotation: Some(0),
        latent: Some(latent),
        ..attention
    })
}

/// Returns the mixture of DeepSeek-V2 in the module `prefix`.
fn v2_mixture(config: &ConfigFile, prefix: &str) -> Result<ExpertsSpec, Error> {
    if config.flag_or("norm_topk_prob", false)? {
        // transformers reads this field without applying it.
        return Err(config.refused(
            "`norm_topk_prob` is true, which is not supported in DeepSeek-V2".to_owned(),
        ));
    }
    let counts = Counts::read(config, &["n_routed_experts"], &["num_experts_per_tok"])?;
    let inner = config.size("moe_intermediate_size")?;
    let groups = match config.optional_text("topk_method")?.unwrap_or("greedy") {
        "greedy" => None,
        "group_limited_greedy" => experts::groups(config, counts, (1, 1), 1)?,
        method => {
            return Err(config.refused(format!(
                "`topk_method` is `{method}`, a choice of experts that whence does not have"
            )));
        }
    };
    let routing = RoutingSpec {
        scale: config
            .optional_number("routed_scaling_factor")?
            .unwrap_or(1.0),
        groups,
        ..RoutingSpec::softmax(false)
    };
    let num_shared = config.size("n_shared_experts")?;
    Ok(ExpertsSpec {
        shared: Some(experts::shared(
            config,
            &format!("{prefix}.shared_experts"),
            inner * num_shared,
        )?),
        ..experts::numbered(config, prefix, (counts, inner), routing)?
    })
}

/// Returns the model of `layers`, which rotates pairs of neighboring entries unless the file says
/// otherwise.
fn interleaved_model(
    config: &ConfigFile,
    defaults: Defaults,
    layers: Vec<Layer>,
) -> Result<ModelSpec, Error> {
    let mut model = model(config, defaults, layers)?;
    if config.flag_or("rope_interleave", true)? {
        rotate_neighbors(&mut model);
    }
    Ok(model)
}

/// Combines `layers` with Llama's embedding and head. Only a part of each head is rotated.
fn model(config: &ConfigFile, defaults: Defaults, layers: Vec<Layer>) -> Result<ModelSpec, Error> {
    let rope = rope(config, config.size("qk_rope_head_dim")?, defaults.rope)?;
    llama::rotated_model(config, defaults, layers, rope)
}
