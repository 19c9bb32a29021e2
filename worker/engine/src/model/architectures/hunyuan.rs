//! Hunyuan: Llama with norms on queries and keys after their rotation, with or without a mixture of
//! experts.
//!
//! Source: Sun et al. 2024, <https://arxiv.org/abs/2411.02265>.

use super::experts::{self, Counts};
use super::fields::head_norms;
use super::layer::Layer;
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    ExpertsSpec, HeadNormOrder, HeadNormSpec, LinearSpec, ModelSpec, NormKind, RoutingSpec,
};

const HUNYUAN: Defaults = Defaults {
    rms_epsilon: 1e-5,
    rope: RopeDefaults {
        has_alpha: true,
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

/// Reads the specification of a dense Hunyuan model.
pub(super) fn dense(config: &ConfigFile) -> Result<ModelSpec, Error> {
    llama::model(config, HUNYUAN, layers(config)?)
}

/// Reads the specification of a Hunyuan model with experts.
pub(super) fn moe(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = layers(config)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.network = mixture(config, index)?.into();
    }
    llama::model(config, HUNYUAN, layers)
}

fn layers(config: &ConfigFile) -> Result<Vec<Layer>, Error> {
    let mut layers = llama::layers(config, HUNYUAN)?;
    let epsilon = llama::rms_epsilon(config, HUNYUAN)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = format!("{}.self_attn", llama::prefix(index));
        let names = ["query_layernorm", "key_layernorm"];
        layer.attention.head_norms = Some(HeadNormSpec {
            order: HeadNormOrder::AfterRotation,
            ..head_norms(&prefix, names, NormKind::Rms, epsilon)
        });
    }
    Ok(layers)
}

/// Returns the mixture of layer `index`.
fn mixture(config: &ConfigFile, index: usize) -> Result<ExpertsSpec, Error> {
    let prefix = format!("{}.mlp", llama::prefix(index));
    let inner = config.size("intermediate_size")?;
    let counts = Counts::checked(
        config,
        size_of_layer(config, "num_experts", index)?,
        size_of_layer(config, "moe_topk", index)?,
    )?;
    let routing = RoutingSpec::softmax(true);
    Ok(ExpertsSpec {
        router: LinearSpec::new(format!("{prefix}.gate.wg"), false),
        shared: Some(experts::shared(
            config,
            &format!("{prefix}.shared_mlp"),
            inner,
        )?),
        ..experts::numbered(config, &prefix, (counts, inner), routing)?
    })
}

/// Reads a size that is the same for all layers or given for each of them.
fn size_of_layer(config: &ConfigFile, field: &str, layer: usize) -> Result<usize, Error> {
    if config
        .fields()
        .get(field)
        .is_none_or(|value| !value.is_array())
    {
        return config.size(field);
    }
    let of_layer = config.numbers(field)?.get(layer).copied();
    match of_layer {
        Some(size) if size >= 1.0 && size.fract() == 0.0 => Ok(size as usize),
        _ => Err(config.refused(format!("`{field}` has no size for layer {layer}"))),
    }
}
