//! Mixtures of experts of Ai2: `OLMoE`, which normalizes queries and keys, and `FlexOlmo`, which is
//! `OLMo` 2 with experts.
//!
//! Sources: Muennighoff et al. 2024, <https://arxiv.org/abs/2409.02060>; Shi et al. 2025,
//! <https://arxiv.org/abs/2507.07024>.

use super::experts::{self, Counts};
use super::llama::{self, DEFAULTS, Defaults};
use super::olmo;
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{ExpertsSpec, ModelSpec, RoutingSpec};

const OLMOE: Defaults = Defaults {
    rms_epsilon: 1e-5,
    ..DEFAULTS
};

const FLEX_OLMO: Defaults = Defaults {
    rope: RopeDefaults {
        theta: 500_000.0,
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

/// Reads the specification of an `OLMoE` model.
pub(super) fn olmoe(config: &ConfigFile) -> Result<ModelSpec, Error> {
    if let Some(clip) = config.optional_number("clip_qkv")? {
        // Here, unlike in OLMo, values would be clipped after the norms.
        return Err(config.refused(format!(
            "`clip_qkv` is {clip}, which is not supported in OLMoE"
        )));
    }
    let mut layers = llama::layers(config, OLMOE)?;
    let epsilon = llama::rms_epsilon(config, OLMOE)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.attention.head_norms = Some(olmo::joint_norms(index, epsilon));
        layer.network = mixture(config, index)?.into();
    }
    llama::model(config, OLMOE, layers)
}

/// Reads the specification of a `FlexOlmo` model.
pub(super) fn flex_olmo(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = olmo::normed_layers(config, FLEX_OLMO)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.network = mixture(config, index)?.into();
    }
    llama::model(config, FLEX_OLMO, layers)
}

fn mixture(config: &ConfigFile, index: usize) -> Result<ExpertsSpec, Error> {
    let counts = Counts::read(
        config,
        &["num_experts", "num_local_experts"],
        &["num_experts_per_tok"],
    )?;
    let inner = config.size("intermediate_size")?;
    let routing = RoutingSpec::softmax(config.flag_or("norm_topk_prob", false)?);
    let prefix = format!("{}.mlp", llama::prefix(index));
    experts::numbered(config, &prefix, (counts, inner), routing)
}
