//! Mixtures of experts of Granite, some with an expert that all rows share, and the models of Granite 4
//! that have no recurrent layers. The maps of all experts of a layer are stored in one tensor.
//!
//! Sources: IBM Research 2024, "Granite 3.0 Language Models"; Shen et al. 2024,
//! <https://arxiv.org/abs/2408.13359>.

use super::experts::Counts;
use super::fields::{activation, index_or};
use super::granite::{self, DefaultScale};
use super::llama::{self, DEFAULTS};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    ExpertsSpec, FeedForwardSpec, Gate, LinearSpec, ModelSpec, RoutingSpec, SharedExpertSpec,
    StackLayout,
};

/// What transformers assumes for Granite 4 if the file does not give a value.
const DEFAULT_HYBRID_WIDTH: usize = 1024;
const DEFAULT_HYBRID_EXPERTS: usize = 8;

/// Reads the specification of a Granite model with experts.
pub(super) fn granitemoe(config: &ConfigFile) -> Result<ModelSpec, Error> {
    spec(config, 0)
}

/// Reads the specification of a Granite model with a shared expert beside the others.
pub(super) fn granitemoeshared(config: &ConfigFile) -> Result<ModelSpec, Error> {
    spec(config, index_or(config, "shared_intermediate_size", 0)?)
}

/// Reads the specification of a Granite 4 model without recurrent layers. Its networks are named like
/// shared experts, and there may be no other experts.
pub(super) fn granitemoehybrid(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let count = config.size("num_hidden_layers")?;
    let types = config.optional_texts("layer_types")?;
    let types = types.unwrap_or_else(|| vec!["mamba"; count]);
    let is_attention = |kind: &&str| matches!(*kind, "attention" | "full_attention");
    if let Some(kind) = types.iter().find(|kind| !is_attention(kind)) {
        return Err(config.refused(format!(
            "`layer_types` names `{kind}`, a recurrent layer, which whence does not have"
        )));
    }
    let width = config.optional_size("shared_intermediate_size")?;
    let width = width.unwrap_or(DEFAULT_HYBRID_WIDTH);
    let has_experts = index_or(config, "num_local_experts", DEFAULT_HYBRID_EXPERTS)? > 0;
    let turns = config.optional_text("position_embedding_type")? == Some("rope");
    let mut layers = llama::layers(config, DEFAULTS)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let shared = shared_network(config, &prefix, width)?;
        layer.attention.rotation = turns.then_some(0);
        layer.network = if has_experts {
            let mut mixture = mixture(config, &format!("{prefix}.block_sparse_moe"))?;
            mixture.shared = Some(SharedExpertSpec {
                network: shared,
                gate: None,
            });
            mixture.into()
        } else {
            shared.into()
        };
    }
    granite::with_multipliers(config, layers, DefaultScale::One)
}

/// Reads a model whose shared expert has the width `shared`; it has none if that is 0.
fn spec(config: &ConfigFile, shared: usize) -> Result<ModelSpec, Error> {
    let mut layers = llama::layers(config, DEFAULTS)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let prefix = llama::prefix(index);
        let mut mixture = mixture(config, &format!("{prefix}.block_sparse_moe"))?;
        if shared > 0 {
            mixture.shared = Some(SharedExpertSpec {
                network: shared_network(config, &prefix, shared)?,
                gate: None,
            });
        }
        layer.network = mixture.into();
    }
    granite::with_multipliers(config, layers, DefaultScale::One)
}

/// Returns the mixture in the module `prefix`.
fn mixture(config: &ConfigFile, prefix: &str) -> Result<ExpertsSpec, Error> {
    let counts = Counts::read(config, &["num_local_experts"], &["num_experts_per_tok"])?;
    let inner = config.size("intermediate_size")?;
    let expert = |index: usize| {
        let maps = ["input_linear", "output_linear"].map(|name| {
            LinearSpec::new(format!("{prefix}.{name}"), false).stacked(
                StackLayout::Module,
                index,
                counts.experts,
            )
        });
        network(config, maps, inner)
    };
    let experts = (0..counts.experts)
        .map(expert)
        .collect::<Result<Vec<_>, _>>()?;
    let router = format!("{prefix}.router.layer");
    let mixture = counts.mixture(&router, RoutingSpec::softmax(true), |index| {
        experts[index].clone()
    });
    Ok(mixture)
}

/// Returns the network that all rows of the layer `prefix` use.
fn shared_network(
    config: &ConfigFile,
    prefix: &str,
    inner: usize,
) -> Result<FeedForwardSpec, Error> {
    let linear = |name: &str| LinearSpec::new(format!("{prefix}.shared_mlp.{name}"), false);
    let maps = [linear("input_linear"), linear("output_linear")];
    network(config, maps, inner)
}

/// Returns a network whose first map holds gate and up projection.
fn network(
    config: &ConfigFile,
    [input, down]: [LinearSpec; 2],
    inner: usize,
) -> Result<FeedForwardSpec, Error> {
    let [gate, up] = input.split([inner; 2]);
    Ok(FeedForwardSpec {
        inner,
        activation: activation(config, "hidden_act", "silu")?,
        gate: Gate::Gated { gate, up },
        down,
    })
}
