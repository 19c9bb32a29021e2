//! ERNIE 4.5: Llama with rotary positions on pairs of neighboring entries, with or without a mixture
//! of experts.
//!
//! Source: Baidu 2025, "ERNIE 4.5 Technical Report".

use super::experts::{self, Counts};
use super::fields::{index_or, rotate_neighbors};
use super::layer::Layer;
use super::llama::{self, DEFAULTS, Defaults};
use super::rope::RopeDefaults;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{CorrectionSpec, ExpertsSpec, ModelSpec, RoutingSpec};

const ERNIE: Defaults = Defaults {
    rms_epsilon: 1e-5,
    is_tied: true,
    rope: RopeDefaults {
        theta: 500_000.0,
        ..DEFAULTS.rope
    },
    ..DEFAULTS
};

/// What transformers assumes if the file does not give a value.
const DEFAULT_SHARED: usize = 2;
const DEFAULT_FIRST_SPARSE: usize = 1;

/// Reads the specification of a dense ERNIE 4.5 model.
pub(super) fn ernie4_5(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let layers = layers(config)?;
    model(config, layers)
}

/// Reads the specification of an ERNIE 4.5 model with experts.
pub(super) fn ernie4_5_moe(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut layers = layers(config)?;
    let first = index_or(config, "moe_layer_start_index", DEFAULT_FIRST_SPARSE)?;
    let interval = config.optional_size("moe_layer_interval")?.unwrap_or(1);
    let last = match config.optional_number("moe_layer_end_index")? {
        None | Some(-1.0) => layers.len() - 1,
        Some(_) => index_or(config, "moe_layer_end_index", 0)?,
    };
    for (index, layer) in layers.iter_mut().enumerate() {
        if (first..=last).contains(&index) && (index + 1).is_multiple_of(interval) {
            let prefix = format!("{}.mlp", llama::prefix(index));
            layer.network = mixture(config, &prefix)?.into();
        }
    }
    model(config, layers)
}

/// Reads Llama's layers with or without biases in all maps.
fn layers(config: &ConfigFile) -> Result<Vec<Layer>, Error> {
    let bias = config.flag_or("use_bias", false)?;
    let mut layers = llama::layers(config, ERNIE)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.set_biases(bias, bias);
        if let Some(network) = layer.plain_network() {
            let prefix = format!("{}.mlp", llama::prefix(index));
            let with_biases = llama::gated(&prefix, network.inner, bias);
            (network.gate, network.down) = (with_biases.gate, with_biases.down);
        }
    }
    Ok(layers)
}

/// Returns the mixture in the module `prefix`. The correction of the choice is a row of its own.
fn mixture(config: &ConfigFile, prefix: &str) -> Result<ExpertsSpec, Error> {
    if config.flag_or("use_bias", false)? {
        return Err(config.refused(
            "`use_bias` is true, which is not supported together with experts".to_owned(),
        ));
    }
    let counts = Counts::read(
        config,
        &["moe_num_experts", "num_experts"],
        &["moe_k", "num_experts_per_tok"],
    )?;
    let inner = config.size("moe_intermediate_size")?;
    let num_shared = index_or(config, "moe_num_shared_experts", DEFAULT_SHARED)?;
    let mut mixture =
        experts::numbered(config, prefix, (counts, inner), RoutingSpec::softmax(true))?;
    mixture.correction = Some(CorrectionSpec {
        name: format!("{prefix}.moe_statics.e_score_correction_bias"),
        shape: vec![1, counts.experts],
    });
    if num_shared > 0 {
        let prefix = format!("{prefix}.shared_experts");
        mixture.shared = Some(experts::shared(config, &prefix, inner * num_shared)?);
    }
    Ok(mixture)
}

fn model(config: &ConfigFile, layers: Vec<Layer>) -> Result<ModelSpec, Error> {
    let mut model = llama::model(config, ERNIE, layers)?;
    rotate_neighbors(&mut model);
    Ok(model)
}
