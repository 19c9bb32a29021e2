//! Specification of feed-forward networks and mixtures of them.

use super::linear::LinearSpec;
use crate::kernels::activation_function::Activation;

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

/// A mixture of experts: each row uses the few networks with the highest probabilities and mixes
/// them by those probabilities, rescaled to sum to 1.
///
/// Source: Shazeer et al. 2017, <https://arxiv.org/abs/1701.06538>.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertsSpec {
    /// Linear map from a row to one score per expert.
    pub router: LinearSpec,
    /// The experts.
    pub experts: Vec<FeedForwardSpec>,
    /// How many experts a row uses.
    pub num_chosen: usize,
}
