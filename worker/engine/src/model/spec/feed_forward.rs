//! Feed-forward networks, alone and as experts.

use super::linear::LinearSpec;
use crate::kernels::activation_function::Activation;

/// A feed-forward network with one hidden layer.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedForwardSpec {
    /// Width of the hidden layer.
    pub inner: usize,
    /// Its nonlinearity.
    pub activation: Activation,
    /// Multiplies the activated values where the network is gated.
    pub gate: Gate,
    /// From the hidden layer back to the stream.
    pub down: LinearSpec,
}

/// Whether a feed-forward network is gated, and its inner projections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// `down(act(up(x)))`.
    Plain {
        /// Into the hidden layer.
        up: LinearSpec,
    },
    /// `down(act(gate(x)) · up(x))`. Source: Shazeer 2020, <https://arxiv.org/abs/2002.05202>.
    Gated {
        /// The activated projection.
        gate: LinearSpec,
        /// The other one.
        up: LinearSpec,
    },
}

/// Several feed-forward networks, of which each row takes the likeliest few and mixes them by
/// their probabilities, scaled to sum to 1.
///
/// Source: Shazeer et al. 2017, <https://arxiv.org/abs/1701.06538>.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertsSpec {
    /// From a row to the scores of the experts.
    pub router: LinearSpec,
    /// The networks.
    pub experts: Vec<FeedForwardSpec>,
    /// How many of them a row takes.
    pub num_chosen: usize,
}
