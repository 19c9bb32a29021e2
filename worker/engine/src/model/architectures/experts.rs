//! Mixtures of experts, as the files of most families describe and name them.

use super::fields::{activation, index_or, size_of};
use super::llama;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{
    CorrectionSpec, ExpertGroups, ExpertsSpec, FeedForwardSpec, LinearSpec, ModelSpec, RoutingSpec,
    SharedExpertSpec,
};

/// How many experts a mixture has, and how many of them a row uses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) experts: usize,
    pub(super) chosen: usize,
}

impl Counts {
    /// Reads the numbers from the first fields of `experts` and `chosen` that the file has.
    pub(super) fn read(
        config: &ConfigFile,
        experts: &[&str],
        chosen: &[&str],
    ) -> Result<Self, Error> {
        Self::checked(config, size_of(config, experts)?, size_of(config, chosen)?)
    }

    /// Fails if a row cannot use that many experts.
    pub(super) fn checked(
        config: &ConfigFile,
        experts: usize,
        chosen: usize,
    ) -> Result<Self, Error> {
        if chosen > experts {
            return Err(
                config.refused(format!("a row cannot choose {chosen} of {experts} experts"))
            );
        }
        Ok(Self { experts, chosen })
    }

    /// Returns a mixture of experts without a shared one. `expert` makes the expert of an index.
    pub(super) fn mixture(
        self,
        router: &str,
        routing: RoutingSpec,
        expert: impl Fn(usize) -> FeedForwardSpec,
    ) -> ExpertsSpec {
        ExpertsSpec {
            router: LinearSpec::new(router, false),
            experts: (0..self.experts).map(expert).collect(),
            num_chosen: self.chosen,
            routing,
            correction: None,
            shared: None,
        }
    }
}

/// Returns the mixture in the module `prefix` with the router `gate` and Llama's networks as
/// `experts.0`, `experts.1`, …
pub(super) fn numbered(
    config: &ConfigFile,
    prefix: &str,
    (counts, inner): (Counts, usize),
    routing: RoutingSpec,
) -> Result<ExpertsSpec, Error> {
    let activation = activation(config, "hidden_act", "silu")?;
    let expert = |index: usize| FeedForwardSpec {
        activation,
        ..llama::gated(&format!("{prefix}.experts.{index}"), inner, false)
    };
    Ok(counts.mixture(&format!("{prefix}.gate"), routing, expert))
}

/// Returns an expert that all rows share: Llama's network `prefix`.
pub(super) fn shared(
    config: &ConfigFile,
    prefix: &str,
    inner: usize,
) -> Result<SharedExpertSpec, Error> {
    Ok(SharedExpertSpec {
        network: FeedForwardSpec {
            activation: activation(config, "hidden_act", "silu")?,
            ..llama::gated(prefix, inner, false)
        },
        gate: None,
    })
}

/// Returns a correction of one number per expert.
pub(super) fn correction(name: String, counts: Counts) -> CorrectionSpec {
    CorrectionSpec {
        name,
        shape: vec![counts.experts],
    }
}

/// Where the parts of a mixture in the style of DeepSeek-V3 are in the file, and what transformers
/// assumes for absent fields.
pub(super) struct DeepSeekStyle {
    /// Field of the number of experts.
    pub(super) experts: &'static str,
    /// Field of the number of shared experts, whose networks are stored as one wide one.
    pub(super) shared: &'static str,
    /// Name of the correction in the module of the mixture.
    pub(super) correction: &'static str,
    pub(super) norm_topk_prob: bool,
    pub(super) routed_scaling_factor: f64,
    /// Defaults of `n_group` and `topk_group`.
    pub(super) groups: (usize, usize),
}

impl DeepSeekStyle {
    /// Returns the mixture in the module `prefix`: sigmoid scores, a correction of the choice,
    /// groups of experts, and a shared expert.
    pub(super) fn mixture(&self, config: &ConfigFile, prefix: &str) -> Result<ExpertsSpec, Error> {
        let counts = Counts::read(config, &[self.experts], &["num_experts_per_tok"])?;
        let inner = config.size("moe_intermediate_size")?;
        let sums_to_one = config.flag_or("norm_topk_prob", self.norm_topk_prob)?;
        let scale = config.optional_number("routed_scaling_factor")?;
        let routing = RoutingSpec {
            groups: groups(config, counts, self.groups, 2)?,
            ..RoutingSpec::sigmoid(sums_to_one, scale.unwrap_or(self.routed_scaling_factor))
        };
        let mixture = numbered(config, prefix, (counts, inner), routing)?;
        let num_shared = config.size(self.shared)?;
        Ok(ExpertsSpec {
            correction: Some(correction(format!("{prefix}.{}", self.correction), counts)),
            shared: Some(shared(
                config,
                &format!("{prefix}.shared_experts"),
                inner * num_shared,
            )?),
            ..mixture
        })
    }
}

/// Reads the groups of experts from `n_group` and `topk_group`. Returns `None` if a row may use all
/// groups.
pub(super) fn groups(
    config: &ConfigFile,
    counts: Counts,
    (count, chosen): (usize, usize),
    ranked_by: usize,
) -> Result<Option<ExpertGroups>, Error> {
    let count = config.optional_size("n_group")?.unwrap_or(count);
    let chosen = config.optional_size("topk_group")?.unwrap_or(chosen);
    if !counts.experts.is_multiple_of(count)
        || chosen > count
        || chosen * (counts.experts / count) < counts.chosen
    {
        return Err(config.refused(format!(
            "a row cannot choose {} experts in {chosen} of {count} groups of {} experts",
            counts.chosen, counts.experts
        )));
    }
    Ok((chosen < count).then_some(ExpertGroups {
        count,
        chosen,
        ranked_by,
    }))
}

/// Reads which of `layers` layers are mixtures from `mlp_layer_types`, or takes all from `first` on
/// if the file has no such list.
pub(super) fn sparse_layers(
    config: &ConfigFile,
    layers: usize,
    first: usize,
) -> Result<Vec<bool>, Error> {
    let Some(types) = config.optional_texts("mlp_layer_types")? else {
        return Ok((0..layers).map(|layer| layer >= first).collect());
    };
    if types.len() != layers {
        return Err(config.refused(format!(
            "`mlp_layer_types` has {} entries for {layers} layers",
            types.len()
        )));
    }
    let is_sparse = |kind: &str| match kind {
        "sparse" => Ok(true),
        "dense" => Ok(false),
        _ => Err(config.refused(format!(
            "`mlp_layer_types` names `{kind}`, a network whence does not have"
        ))),
    };
    types.into_iter().map(is_sparse).collect()
}

/// Passes over the layers behind the last one, which predict several tokens at once during training.
pub(super) fn skip_prediction_layers(
    config: &ConfigFile,
    model: &mut ModelSpec,
) -> Result<(), Error> {
    let layers = config.size("num_hidden_layers")?;
    for field in ["num_nextn_predict_layers", "num_mtp_layers"] {
        let count = index_or(config, field, 0)?;
        let behind = layers..layers + count;
        let names = behind.map(|layer| format!("{}.", llama::prefix(layer)));
        model.surroundings.skipped.extend(names);
    }
    Ok(())
}
