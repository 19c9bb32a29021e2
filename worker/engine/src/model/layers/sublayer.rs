//! One step of the residual stream: a core between norms.

use candle_core::Tensor;

use crate::error::Result;

use super::attention::{RowContext, SelfAttention, SelfAttentionTrace};
use super::cross_attention::{CrossAttention, MemoryCotangents};
use super::experts::{Experts, Mixed};
use super::feed_forward::{FeedForward, Slopes};
use super::{Cotangents, EncoderOutput, Norm};
use crate::Error;
use crate::kernels::attention::{AttentionTrace, KeyHeads};
use crate::kernels::norm::Normalized;
use crate::kernels::rows;
use crate::model::dropout::Masks;
use crate::model::sequences::CachedPrefix;
use crate::model::spec::{Activation, Carried, CoreSpec, NormSpec, SublayerInput, SublayerSpec};
use crate::model::weights::Checkpoint;

/// One step of the residual stream.
#[derive(Debug)]
pub(in crate::model) struct Sublayer {
    input: SublayerInput,
    carried: Carried,
    norm_before: Option<Norm>,
    core: Core,
    norm_after: Option<Norm>,
    scale: f64,
    norm_sum: Option<Norm>,
}

#[derive(Debug)]
enum Core {
    SelfAttention(SelfAttention),
    CrossAttention(CrossAttention),
    FeedForward(FeedForward),
    Experts(Experts),
}

/// What the backward pass, and a later forward pass, need of a sublayer's forward pass.
#[derive(Debug, Clone)]
pub(in crate::model) struct SublayerTrace {
    norm_before: Option<Normalized>,
    core: CoreTrace,
    /// Factors of what the core made, where dropout changes that. `[rows, hidden]`
    mask: Option<Tensor>,
    norm_after: Option<Normalized>,
    norm_sum: Option<Normalized>,
}

#[derive(Debug, Clone)]
enum CoreTrace {
    SelfAttention(SelfAttentionTrace),
    CrossAttention(AttentionTrace),
    FeedForward(Slopes),
    Experts(Mixed),
}

/// Cotangents below a sublayer.
pub(in crate::model) struct SublayerCotangents {
    /// At the stream it adds to.
    pub(in crate::model) stream: Cotangents,
    /// At the stream below the sublayer before, where it reads that.
    pub(in crate::model) before: Option<Cotangents>,
}

impl SublayerTrace {
    /// Returns the attention of the forward pass, if the sublayer has any.
    pub(in crate::model) fn attended(&self) -> Option<&AttentionTrace> {
        match &self.core {
            CoreTrace::SelfAttention(saved) => Some(&saved.attended),
            CoreTrace::CrossAttention(attended) => Some(attended),
            CoreTrace::FeedForward(_) | CoreTrace::Experts(_) => None,
        }
    }

    /// Returns the prefixes `cut` of sequences, as the past of a later pass that continues those.
    pub(in crate::model) fn cached_prefixes(&self, cut: &[CachedPrefix]) -> Self {
        let mut cut_trace = self.clone();
        if let Some(attended) = cut_trace.attended_mut() {
            let cut_sequence = |prefix: &CachedPrefix| {
                let mut sequence = attended.sequences[prefix.sequence].clone();
                // The source of a cross-attention is seen whole.
                if attended.heads.causal {
                    sequence.keys.end = sequence.keys.start + prefix.len;
                }
                sequence
            };
            attended.sequences = cut.iter().map(cut_sequence).collect();
        }
        cut_trace
    }

    /// Forgets every sequence but `kept`, as the past of a later pass over those alone.
    pub(in crate::model) fn keep(&mut self, kept: &[usize]) {
        if let Some(attended) = self.attended_mut() {
            attended.sequences = kept
                .iter()
                .map(|&index| attended.sequences[index].clone())
                .collect();
        }
    }

    fn attended_mut(&mut self) -> Option<&mut AttentionTrace> {
        match &mut self.core {
            CoreTrace::SelfAttention(saved) => Some(&mut saved.attended),
            CoreTrace::CrossAttention(attended) => Some(attended),
            CoreTrace::FeedForward(_) | CoreTrace::Experts(_) => None,
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
            CoreSpec::Experts(spec) => Core::Experts(Experts::load(spec, hidden, checkpoint)?),
        };
        let norm = |spec: &Option<NormSpec>| {
            let norm = spec.as_ref().map(|s| Norm::load(s, hidden, checkpoint));
            norm.transpose()
        };
        Ok(Self {
            input: spec.input,
            carried: spec.carried,
            norm_before: norm(&spec.norm_before)?,
            core,
            norm_after: norm(&spec.norm_after)?,
            scale: spec.scale,
            norm_sum: norm(&spec.norm_sum)?,
        })
    }

    /// Returns whether the sublayer reads the encoder's output.
    pub(in crate::model) fn reads_memory(&self) -> bool {
        matches!(self.core, Core::CrossAttention(_))
    }

    /// Returns in front of which sublayer the stream is that this one, number `index`, reads.
    pub(in crate::model) fn place_read(&self, index: usize) -> usize {
        match self.input {
            SublayerInput::Stream => index,
            SublayerInput::AsSublayerBefore => index.saturating_sub(1),
        }
    }

    /// Takes the stream `x` one step on; the core reads `input`. `[rows, hidden]`
    pub(in crate::model) fn forward(
        &self,
        (x, input): (&Tensor, &Tensor),
        rows: &RowContext<'_>,
        beside: (Option<&EncoderOutput>, Option<&SublayerTrace>),
        masks: &mut Masks<'_>,
    ) -> Result<(Tensor, SublayerTrace)> {
        let (normalised, norm_before) = normalise(self.norm_before.as_ref(), input)?;
        let (mut added, core) = self.core.forward(&normalised, rows, beside, masks)?;
        let mask = masks.draw_for_rows(&added, rows.sequences, masks.rates.residual)?;
        if let Some(mask) = &mask {
            added = rows::multiply(&added, mask)?;
        }
        let (y, [norm_after, norm_sum]) = self.finish(x, &added)?;
        let trace = SublayerTrace {
            norm_before,
            core,
            mask,
            norm_after,
            norm_sum,
        };
        Ok((y, trace))
    }

    /// Adds what the core made, `added`, to the stream `x`. `[rows, hidden]` each. Returns what the
    /// norms behind the core and behind the sum keep, too.
    fn finish(&self, x: &Tensor, added: &Tensor) -> Result<(Tensor, [Option<Normalized>; 2])> {
        let (added, norm_after) = normalise(self.norm_after.as_ref(), added)?;
        let x = match self.carried {
            Carried::Stream => x.clone(),
            Carried::Normalized => normalise(self.norm_before.as_ref(), x)?.0,
        };
        let sum = if self.scale == 1.0 {
            rows::add(&x, &added)?
        } else {
            rows::add_scaled(Some(&x), &added, self.scale)?
        };
        let (y, norm_sum) = normalise(self.norm_sum.as_ref(), &sum)?;
        Ok((y, [norm_after, norm_sum]))
    }

    /// Returns what the core makes of `input`, and, if it is an attention, what the values of each
    /// query head add to it; see [`Mixing::value_outputs`](super::mixing::Mixing::value_outputs).
    pub(in crate::model) fn decompose(
        &self,
        input: &Tensor,
        rows: &RowContext<'_>,
        memory: Option<&EncoderOutput>,
        key_heads: KeyHeads<'_>,
    ) -> Result<(Tensor, Vec<Option<Tensor>>)> {
        let (normalised, _) = normalise(self.norm_before.as_ref(), input)?;
        let beside = (memory, None);
        let none = &mut Masks::none();
        let (added, trace) = self.core.forward(&normalised, rows, beside, none)?;
        let outputs = match (&self.core, &trace) {
            (Core::SelfAttention(attention), CoreTrace::SelfAttention(saved)) => {
                let mixing = &attention.mixing;
                mixing.value_outputs(&saved.attended, key_heads)?
            }
            (Core::CrossAttention(attention), CoreTrace::CrossAttention(saved)) => {
                attention.mixing.value_outputs(saved, key_heads)?
            }
            _ => Vec::new(),
        };
        Ok((added, outputs))
    }

    /// Returns the stream behind the sublayer where its core adds `added` to `x`. `[rows, hidden]`
    pub(in crate::model) fn add(&self, x: &Tensor, added: &Tensor) -> Result<Tensor> {
        Ok(self.finish(x, added)?.0)
    }

    /// Replaces the slopes of a nonlinearity that `reach` includes by those of the line from what
    /// it met where the core read `reference` to what it met on `input`. `[rows, hidden]` each.
    pub(in crate::model) fn rescale(
        &self,
        trace: &mut SublayerTrace,
        input: &Tensor,
        reference: &Tensor,
        reach: &dyn Fn(Activation) -> bool,
    ) -> Result<()> {
        let normalised =
            |x| Ok::<_, candle_core::Error>(normalise(self.norm_before.as_ref(), x)?.0);
        match (&self.core, &mut trace.core) {
            (Core::FeedForward(network), CoreTrace::FeedForward(slopes))
                if reach(network.activation()) =>
            {
                *slopes = network.secants(&normalised(input)?, &normalised(reference)?)?;
            }
            (Core::Experts(experts), CoreTrace::Experts(mixed)) => {
                experts.rescale(mixed, &normalised(input)?, &normalised(reference)?, reach)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes cotangents one step back.
    pub(in crate::model) fn vjp(
        &self,
        trace: &SublayerTrace,
        dy: Cotangents,
        rows: &RowContext<'_>,
        memory: &mut MemoryCotangents,
    ) -> Result<SublayerCotangents> {
        let stream = pull_back(self.norm_sum.as_ref(), trace.norm_sum.as_ref(), dy)?;
        let mut added = stream.clone();
        if self.scale != 1.0 {
            added = added.with_rows(rows::add_scaled(None, &added.rows, self.scale)?);
        }
        let mut added = pull_back(self.norm_after.as_ref(), trace.norm_after.as_ref(), added)?;
        if let Some(mask) = &trace.mask {
            added = added.masked(mask)?;
        }
        let input = self.core.vjp(&trace.core, &added, rows, memory)?;
        let below = |dy| pull_back(self.norm_before.as_ref(), trace.norm_before.as_ref(), dy);
        if self.carried == Carried::Normalized {
            return Ok(SublayerCotangents {
                stream: below(input.add(&stream)?)?,
                before: None,
            });
        }
        let input = below(input)?;
        Ok(match self.input {
            SublayerInput::Stream => SublayerCotangents {
                stream: input.add(&stream)?,
                before: None,
            },
            SublayerInput::AsSublayerBefore => SublayerCotangents {
                stream,
                before: Some(input),
            },
        })
    }
}

fn normalise(norm: Option<&Norm>, x: &Tensor) -> Result<(Tensor, Option<Normalized>)> {
    let Some(norm) = norm else {
        return Ok((x.clone(), None));
    };
    let (y, saved) = norm.forward(x)?;
    Ok((y, Some(saved)))
}

fn pull_back(
    norm: Option<&Norm>,
    saved: Option<&Normalized>,
    dy: Cotangents,
) -> Result<Cotangents> {
    match (norm, saved) {
        (Some(norm), Some(saved)) => norm.vjp(saved, &dy),
        _ => Ok(dy),
    }
}

impl Core {
    fn forward(
        &self,
        x: &Tensor,
        rows: &RowContext<'_>,
        (memory, past): (Option<&EncoderOutput>, Option<&SublayerTrace>),
        masks: &mut Masks<'_>,
    ) -> Result<(Tensor, CoreTrace)> {
        let past = past.and_then(SublayerTrace::attended);
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
            // Mixtures of experts are trained without dropout inside.
            (Self::Experts(experts), _) => {
                let (y, mixed) = experts.forward(x)?;
                Ok((y, CoreTrace::Experts(mixed)))
            }
        }
    }

    fn vjp(
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
}
