//! One step of the residual stream: a norm and a core, wired before or after each other.

use candle_core::Tensor;

use crate::error::Result;

use super::attention::{CrossAttention, MemoryCotangents, Rows, SelfAttention};
use super::feed_forward::{FeedForward, Slopes};
use super::{Cotangents, Memory, Norm};
use crate::Error;
use crate::kernels::attention::Attended;
use crate::kernels::norm::Normalized;
use crate::kernels::rows;
use crate::model::hooks::Beginning;
use crate::model::spec::{Activation, CoreSpec, SublayerSpec, Wiring};
use crate::model::weights::Checkpoint;

/// One step of the residual stream.
#[derive(Debug)]
pub(in crate::model) struct Sublayer {
    wiring: Wiring,
    norm: Norm,
    core: Core,
}

#[derive(Debug)]
enum Core {
    SelfAttention(SelfAttention),
    CrossAttention(CrossAttention),
    FeedForward(FeedForward),
}

/// What the backward pass, and a later forward pass, need of a sublayer's forward pass.
#[derive(Debug, Clone)]
pub(in crate::model) struct SublayerTrace {
    norm: Normalized,
    core: CoreTrace,
}

#[derive(Debug, Clone)]
enum CoreTrace {
    Attention(Attended),
    FeedForward(Slopes),
}

impl SublayerTrace {
    /// Returns the attention of the forward pass, if the sublayer has any.
    pub(in crate::model) fn attended(&self) -> Option<&Attended> {
        match &self.core {
            CoreTrace::Attention(attended) => Some(attended),
            CoreTrace::FeedForward(_) => None,
        }
    }

    /// Returns the beginnings `cut` of sequences, as the past of a later pass that continues those.
    pub(in crate::model) fn beginnings(&self, cut: &[Beginning]) -> Self {
        let mut cut_trace = self.clone();
        if let CoreTrace::Attention(attended) = &mut cut_trace.core {
            let cut_sequence = |beginning: &Beginning| {
                let mut sequence = attended.sequences[beginning.sequence].clone();
                // The source of a cross-attention is seen whole.
                if attended.heads.causal {
                    sequence.keys.end = sequence.keys.start + beginning.len;
                }
                sequence
            };
            attended.sequences = cut.iter().map(cut_sequence).collect();
        }
        cut_trace
    }

    /// Forgets every sequence but `kept`, as the past of a later pass over those alone.
    pub(in crate::model) fn keep(&mut self, kept: &[usize]) {
        if let CoreTrace::Attention(attended) = &mut self.core {
            attended.sequences = kept
                .iter()
                .map(|&index| attended.sequences[index].clone())
                .collect();
        }
    }
}

impl Sublayer {
    /// Reads the sublayer's weights.
    pub(in crate::model) fn load(
        spec: &SublayerSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let core = match &spec.core {
            CoreSpec::SelfAttention(spec) => {
                Core::SelfAttention(SelfAttention::load(spec, hidden, checkpoint)?)
            }
            CoreSpec::CrossAttention(spec) => {
                Core::CrossAttention(CrossAttention::load(spec, hidden, checkpoint)?)
            }
            CoreSpec::FeedForward(spec) => {
                Core::FeedForward(FeedForward::load(spec, hidden, checkpoint)?)
            }
        };
        Ok(Self {
            wiring: spec.wiring,
            norm: Norm::load(&spec.norm, hidden, checkpoint)?,
            core,
        })
    }

    /// Returns whether the sublayer reads the encoder's output.
    pub(in crate::model) fn reads_memory(&self) -> bool {
        matches!(self.core, Core::CrossAttention(_))
    }

    /// Takes the stream one step on. `[rows, hidden]`
    pub(in crate::model) fn forward(
        &self,
        x: &Tensor,
        rows: &Rows<'_>,
        memory: Option<&Memory>,
        past: Option<&SublayerTrace>,
    ) -> Result<(Tensor, SublayerTrace)> {
        match self.wiring {
            Wiring::PreNorm => {
                let (normalized, norm) = self.norm.forward(x)?;
                let (y, core) = self.core.forward(&normalized, rows, memory, past)?;
                Ok((rows::add(x, &y)?, SublayerTrace { norm, core }))
            }
            Wiring::PostNorm => {
                let (y, core) = self.core.forward(x, rows, memory, past)?;
                let (y, norm) = self.norm.forward(&rows::add(x, &y)?)?;
                Ok((y, SublayerTrace { norm, core }))
            }
        }
    }

    /// Replaces the slopes of a nonlinearity that `reach` includes by those of the line from what
    /// it met on the stream `reference` to what it met on `x`. `[rows, hidden]` each.
    pub(in crate::model) fn rescale(
        &self,
        trace: &mut SublayerTrace,
        x: &Tensor,
        reference: &Tensor,
        reach: &dyn Fn(Activation) -> bool,
    ) -> Result<()> {
        let Core::FeedForward(network) = &self.core else {
            return Ok(());
        };
        if reach(network.activation()) {
            let (x, reference) = (self.core_input(x)?, self.core_input(reference)?);
            trace.core = CoreTrace::FeedForward(network.secants(&x, &reference)?);
        }
        Ok(())
    }

    /// Returns what the core reads of the stream `x`. `[rows, hidden]`
    fn core_input(&self, x: &Tensor) -> Result<Tensor> {
        match self.wiring {
            Wiring::PreNorm => Ok(self.norm.forward(x)?.0),
            Wiring::PostNorm => Ok(x.clone()),
        }
    }

    /// Takes cotangents one step back.
    pub(in crate::model) fn vjp(
        &self,
        trace: &SublayerTrace,
        dy: &Cotangents,
        rows: &Rows<'_>,
        memory: &mut MemoryCotangents,
    ) -> Result<Cotangents> {
        match self.wiring {
            Wiring::PreNorm => {
                let through_core = self.core.vjp(&trace.core, dy, rows, memory)?;
                self.norm.vjp(&trace.norm, &through_core)?.add(dy)
            }
            Wiring::PostNorm => {
                let summed = self.norm.vjp(&trace.norm, dy)?;
                self.core
                    .vjp(&trace.core, &summed, rows, memory)?
                    .add(&summed)
            }
        }
    }
}

impl Core {
    fn forward(
        &self,
        x: &Tensor,
        rows: &Rows<'_>,
        memory: Option<&Memory>,
        past: Option<&SublayerTrace>,
    ) -> Result<(Tensor, CoreTrace)> {
        let past = past.and_then(SublayerTrace::attended);
        match (self, memory) {
            (Self::SelfAttention(attention), _) => {
                let (y, attended) = attention.forward(x, rows, past)?;
                Ok((y, CoreTrace::Attention(attended)))
            }
            (Self::CrossAttention(attention), Some(memory)) => {
                let (y, attended) = attention.forward(x, rows, memory, past)?;
                Ok((y, CoreTrace::Attention(attended)))
            }
            (Self::CrossAttention(_), None) => {
                Err(candle_core::Error::Msg("cross-attention without a source".to_owned()).bt())
            }
            (Self::FeedForward(network), _) => {
                let (y, slopes) = network.forward(x)?;
                Ok((y, CoreTrace::FeedForward(slopes)))
            }
        }
    }

    fn vjp(
        &self,
        trace: &CoreTrace,
        dy: &Cotangents,
        rows: &Rows<'_>,
        memory: &mut MemoryCotangents,
    ) -> Result<Cotangents> {
        match (self, trace) {
            (Self::SelfAttention(attention), CoreTrace::Attention(saved)) => {
                attention.vjp(saved, dy, rows)
            }
            (Self::CrossAttention(attention), CoreTrace::Attention(saved)) => {
                attention.vjp(saved, dy, memory)
            }
            (Self::FeedForward(network), CoreTrace::FeedForward(saved)) => network.vjp(saved, dy),
            _ => Err(candle_core::Error::Msg("a trace of another sublayer".to_owned()).bt()),
        }
    }
}
