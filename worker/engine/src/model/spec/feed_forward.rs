//! Specification of feed-forward networks and mixtures of them.

use super::linear::LinearSpec;
use crate::kernels::activation_function::Activation;
use crate::kernels::routing::RoutingSpec;

/// A feed-forward network with one hidden layer.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedForwardSpec {
    /// Width of the hidden layer.
    pub inner: usize,
    /// Its nonlinearity.
    pub activation: Activation,
    /// The projections into the hidden layer, with or without a gate.
    pub gate: Gate,
    /// Projection from the hidden layer back to the stream.
    pub down: LinearSpec,
}

/// Whether a feed-forward network is gated, and its inner projections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// `down(act(up(x)))`.
    Plain {
        /// Projection into the hidden layer.
        up: LinearSpec,
    },
    /// `down(act(gate(x)) · up(x))`. Source: Shazeer 2020, <https://arxiv.org/abs/2002.05202>.
    Gated {
        /// The projection that the nonlinearity is applied to.
        gate: LinearSpec,
        /// The projection that is multiplied by the activated gate.
        up: LinearSpec,
    },
}

/// A mixture of experts: each row uses the few networks that the router ranks highest, and mixes
/// them by weights that come from the router's logits.
///
/// Source: Shazeer et al. 2017, <https://arxiv.org/abs/1701.06538>.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertsSpec {
    /// Linear map from a row to one logit per expert.
    pub router: LinearSpec,
    /// The experts.
    pub experts: Vec<FeedForwardSpec>,
    /// How many experts a row uses.
    pub num_chosen: usize,
    /// How logits become a choice and weights.
    pub routing: RoutingSpec,
    /// What is added to the scores for the choice; `None` if nothing is.
    pub correction: Option<CorrectionSpec>,
    /// An expert that every row uses in addition.
    pub shared: Option<SharedExpertSpec>,
}

/// A number per expert that is added to the scores for the choice alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionSpec {
    /// Checkpoint name of the whole tensor.
    pub name: String,
    /// Its shape, with as many entries as there are experts.
    pub shape: Vec<usize>,
}

/// An expert whose output is added to that of the mixture in every row.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedExpertSpec {
    /// The expert.
    pub network: FeedForwardSpec,
    /// Linear map from a row to one logit, whose sigmoid is the factor of the expert's output;
    /// `None` if the factor is always 1.
    pub gate: Option<LinearSpec>,
}

impl ExpertsSpec {
    /// Returns all networks: the experts, then the shared one.
    pub fn networks(&self) -> impl Iterator<Item = &FeedForwardSpec> {
        let shared = self.shared.iter().map(|shared| &shared.network);
        self.experts.iter().chain(shared)
    }
}
