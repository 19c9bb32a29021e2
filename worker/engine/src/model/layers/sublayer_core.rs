//! The core of a sublayer: an attention, a feed-forward network, or a mixture of experts.

use crate::error::Result;
use crate::kernels::Tensor;

use super::attention::{SelfAttention, SelfAttentionTrace};
use super::cross_attention::{CrossAttention, MemoryCotangents};
use super::experts::{Experts, Mixed};
use super::feed_forward::{FeedForward, Slopes};
use super::row_context::RowContext;
use super::{Cotangents, EncoderOutput};
use crate::Error;
use crate::kernels::attention::{AttentionTrace, KeyHeads};
use crate::model::dropout::Masks;
use crate::model::spec::{Activation, CoreSpec};
use crate::model::weights::Checkpoint;

/// What a sublayer computes between its norms.
#[derive(Debug)]
pub(super) enum SublayerCore {
    SelfAttention(SelfAttention),
    CrossAttention(CrossAttention),
    FeedForward(FeedForward),
    Experts(Experts),
}

/// What the backward pass, or a later pass that continues this one, needs from the forward pass.
#[derive(Debug, Clone)]
pub(super) enum CoreTrace {
    SelfAttention(SelfAttentionTrace),
    CrossAttention(AttentionTrace),
    FeedForward(Slopes),
    Experts(Mixed),
    /// Nothing was kept.
    Dropped,
}

impl CoreTrace {
    /// Returns the trace of the attention, if the core is one.
    pub(super) fn attended(&self) -> Option<&AttentionTrace> {
        match self {
            Self::SelfAttention(saved) => Some(&saved.attended),
            Self::CrossAttention(attended) => Some(attended),
            Self::FeedForward(_) | Self::Experts(_) | Self::Dropped => None,
        }
    }

    /// As [`Self::attended`], mutably.
    pub(super) fn attended_mut(&mut self) -> Option<&mut AttentionTrace> {
        match self {
            Self::SelfAttention(saved) => Some(&mut saved.attended),
            Self::CrossAttention(attended) => Some(attended),
            Self::FeedForward(_) | Self::Experts(_) | Self::Dropped => None,
        }
    }

    /// Drops everything except the keys and values of an attention.
    pub(super) fn keys_and_values(self) -> Self {
        match self {
            // An attention's trace has nothing else if the pass did not keep everything.
            Self::SelfAttention(saved) => Self::SelfAttention(saved.keys_and_values()),
            Self::CrossAttention(_) => self,
            Self::FeedForward(_) | Self::Experts(_) | Self::Dropped => Self::Dropped,
        }
    }
}

impl SublayerCore {
    /// Reads the core's weights.
    pub(super) fn load(
        spec: &CoreSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        Ok(match spec {
            CoreSpec::SelfAttention(spec) => {
                Self::SelfAttention(SelfAttention::load(spec, hidden, checkpoint)?)
            }
            CoreSpec::CrossAttention(spec) => {
                Self::CrossAttention(CrossAttention::load(spec, hidden, checkpoint)?)
            }
            CoreSpec::FeedForward(spec) => {
                Self::FeedForward(FeedForward::load(spec, hidden, checkpoint)?)
            }
            CoreSpec::Experts(spec) => Self::Experts(Experts::load(spec, hidden, checkpoint)?),
        })
    }

    /// Computes the core's output from its input `x`. `past` is the trace of this core's attention
    /// in an earlier pass that this one continues. `[rows, hidden]`
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rows: &RowContext<'_>,
        (memory, past): (Option<&EncoderOutput>, Option<&AttentionTrace>),
        masks: &mut Masks<'_>,
    ) -> Result<(Tensor, CoreTrace)> {
        match (self, memory) {
            (Self::SelfAttention(attention), _) => {
                let (y, saved) = attention.forward(x, rows, past, masks)?;
                Ok((y, CoreTrace::SelfAttention(saved)))
            }
            (Self::CrossAttention(attention), Some(memory)) => {
                let (y, attended) = attention.forward(x, rows, (memory, past), masks)?;
                Ok((y, CoreTrace::CrossAttention(attended)))
            }
            (Self::CrossAttention(_), None) => {
                Err(candle_core::Error::Msg("cross-attention without a source".to_owned()).bt())
            }
            (Self::FeedForward(network), _) => {
                let (y, slopes) = network.forward_masked(x, rows, masks)?;
                Ok((y, CoreTrace::FeedForward(slopes)))
            }
            // Mixtures of experts are trained without dropout inside the experts.
            (Self::Experts(experts), _) => {
                let (y, mixed) = experts.forward(x)?;
                Ok((y, CoreTrace::Experts(mixed)))
            }
        }
    }

    /// Pulls cotangents of the core's output back to its input.
    pub(super) fn vjp(
        &self,
        trace: &CoreTrace,
        dy: &Cotangents,
        rows: &RowContext<'_>,
        memory: &mut MemoryCotangents,
    ) -> Result<Cotangents> {
        match (self, trace) {
            (Self::SelfAttention(attention), CoreTrace::SelfAttention(saved)) => {
                attention.vjp(saved, dy, rows)
            }
            (Self::CrossAttention(attention), CoreTrace::CrossAttention(saved)) => {
                attention.vjp(saved, dy, memory)
            }
            (Self::FeedForward(network), CoreTrace::FeedForward(saved)) => network.vjp(saved, dy),
            (Self::Experts(experts), CoreTrace::Experts(saved)) => experts.vjp(saved, dy),
            _ => Err(candle_core::Error::Msg("a trace of another sublayer".to_owned()).bt()),
        }
    }

    /// Returns what the values of each query head contribute to the output of an attention; empty
    /// for other cores. See [`Mixing::value_outputs`](super::mixing::Mixing::value_outputs).
    pub(super) fn value_outputs(
        &self,
        trace: &CoreTrace,
        key_heads: KeyHeads<'_>,
    ) -> Result<Vec<Option<Tensor>>> {
        match (self, trace) {
            (Self::SelfAttention(attention), CoreTrace::SelfAttention(saved)) => {
                let mixing = &attention.mixing;
                mixing.value_outputs(&saved.attended, key_heads)
            }
            (Self::CrossAttention(attention), CoreTrace::CrossAttention(saved)) => {
                attention.mixing.value_outputs(saved, key_heads)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Returns whether the core has a nonlinearity that `reach` includes.
    pub(super) fn has_activation(&self, reach: &dyn Fn(Activation) -> bool) -> bool {
        match self {
            Self::FeedForward(network) => reach(network.activation()),
            Self::Experts(experts) => experts.activations().any(reach),
            Self::SelfAttention(_) | Self::CrossAttention(_) => false,
        }
    }

    /// Applies the rescale rule: the slope of every nonlinearity that `reach` includes becomes
    /// that of the line from its value for `reference` to its value for `x`. `[rows, hidden]` each
    pub(super) fn rescale(
        &self,
        trace: &mut CoreTrace,
        x: &Tensor,
        reference: &Tensor,
        reach: &dyn Fn(Activation) -> bool,
    ) -> Result<()> {
        match (self, trace) {
            (Self::FeedForward(network), CoreTrace::FeedForward(slopes))
                if reach(network.activation()) =>
            {
                *slopes = network.secants(x, reference)?;
                Ok(())
            }
            (Self::Experts(experts), CoreTrace::Experts(mixed)) => {
                experts.rescale(mixed, x, reference, reach)
            }
            _ => Ok(()),
        }
    }
}
