//! One step of the residual stream: a core, with norms before and after it.
//!
//! Models differ in where the norms are, in what the core reads, and in what it is added to. All
//! of that is data (`SublayerSpec`), so every architecture runs through the same two functions.

use crate::error::Result;

use super::cross_attention::MemoryCotangents;
use super::row_context::RowContext;
use super::sublayer_core::{CoreTrace, SublayerCore};
use super::{Cotangents, EncoderOutput, Norm};
use crate::Error;
use crate::kernels::attention::{AttentionTrace, KeyHeads};
use crate::kernels::norm::Normalized;
use crate::kernels::{Tensor, rows};
use crate::model::dropout::Masks;
use crate::model::sequences::CachedPrefix;
use crate::model::spec::{Activation, Carried, NormSpec, SublayerInput, SublayerSpec};
use crate::model::weights::Checkpoint;

/// One step of the residual stream, with its weights.
#[derive(Debug)]
pub(in crate::model) struct Sublayer {
    input: SublayerInput,
    carried: Carried,
    norm_before: Option<Norm>,
    core: SublayerCore,
    norm_after: Option<Norm>,
    scale: f64,
    norm_sum: Option<Norm>,
}

/// What the backward pass, or a later pass that continues this one, needs from the forward pass.
#[derive(Debug, Clone)]
pub(in crate::model) struct SublayerTrace {
    norm_before: Option<Normalized>,
    core: CoreTrace,
    /// Dropout factors of the core's output; `None` without dropout. `[rows, hidden]`
    mask: Option<Tensor>,
    norm_after: Option<Normalized>,
    norm_sum: Option<Normalized>,
}

/// Cotangents at the streams that a sublayer reads.
pub(in crate::model) struct SublayerCotangents {
    /// At the stream that the sublayer adds to.
    pub(in crate::model) stream: Cotangents,
    /// At the stream before the preceding sublayer, if this one runs in parallel with it and reads
    /// that stream.
    pub(in crate::model) before: Option<Cotangents>,
}

impl SublayerTrace {
    /// Returns the trace of the attention, if the sublayer is one.
    pub(in crate::model) fn attended(&self) -> Option<&AttentionTrace> {
        self.core.attended()
    }

    /// Returns the prefixes `cut` of the sequences, as the past of a later pass that continues
    /// them.
    pub(in crate::model) fn cached_prefixes(&self, cut: &[CachedPrefix]) -> Self {
        let mut cut_trace = self.clone();
        if let Some(attended) = cut_trace.core.attended_mut() {
            let cut_sequence = |prefix: &CachedPrefix| {
                let mut sequence = attended.sequences[prefix.sequence].clone();
                // A cross-attention always sees the whole source, so only causal keys are cut.
                if attended.heads.causal {
                    sequence.keys.end = sequence.keys.start + prefix.len;
                }
                sequence
            };
            attended.sequences = cut.iter().map(cut_sequence).collect();
        }
        cut_trace
    }

    /// Drops everything except the keys and values of an attention.
    pub(in crate::model) fn keys_and_values(self) -> Self {
        Self {
            norm_before: None,
            core: self.core.keys_and_values(),
            mask: None,
            norm_after: None,
            norm_sum: None,
        }
    }

    /// Drops all sequences but `kept`, to serve as the past of a later pass that continues those.
    pub(in crate::model) fn keep(&mut self, kept: &[usize]) {
        if let Some(attended) = self.core.attended_mut() {
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
        let norm = |spec: &Option<NormSpec>| {
            let norm = spec.as_ref().map(|s| Norm::load(s, hidden, checkpoint));
            norm.transpose()
        };
        Ok(Self {
            input: spec.input,
            carried: spec.carried,
            norm_before: norm(&spec.norm_before)?,
            core: SublayerCore::load(&spec.core, hidden, checkpoint)?,
            norm_after: norm(&spec.norm_after)?,
            scale: spec.scale,
            norm_sum: norm(&spec.norm_sum)?,
        })
    }

    /// Returns whether the sublayer reads the encoder's output.
    pub(in crate::model) fn reads_memory(&self) -> bool {
        matches!(self.core, SublayerCore::CrossAttention(_))
    }

    /// Returns the index of the stream that sublayer `index` reads. Stream `i` is the one before
    /// sublayer `i`.
    pub(in crate::model) fn place_read(&self, index: usize) -> usize {
        match self.input {
            SublayerInput::Stream => index,
            SublayerInput::AsSublayerBefore => index.saturating_sub(1),
        }
    }

    /// Returns the stream after the sublayer. `x` is the stream before it, `input` is the stream
    /// that the core reads. `[rows, hidden]`
    pub(in crate::model) fn forward(
        &self,
        (x, input): (&Tensor, &Tensor),
        rows: &RowContext<'_>,
        (memory, past): (Option<&EncoderOutput>, Option<&SublayerTrace>),
        masks: &mut Masks<'_>,
    ) -> Result<(Tensor, SublayerTrace)> {
        let beside = (memory, past.and_then(SublayerTrace::attended));
        let (normalized, norm_before) = normalize(self.norm_before.as_ref(), input)?;
        let (mut added, core) = self.core.forward(&normalized, rows, beside, masks)?;
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

    /// Adds the core's output, `added`, to the stream `x`. Also returns the traces of the norm on
    /// the core's output and of the norm on the sum. `[rows, hidden]` each
    fn finish(&self, x: &Tensor, added: &Tensor) -> Result<(Tensor, [Option<Normalized>; 2])> {
        let (added, norm_after) = normalize(self.norm_after.as_ref(), added)?;
        let x = match self.carried {
            Carried::Stream => x.clone(),
            Carried::Normalized => normalize(self.norm_before.as_ref(), x)?.0,
        };
        let sum = if self.scale == 1.0 {
            rows::add(&x, &added)?
        } else {
            rows::add_scaled(Some(&x), &added, self.scale)?
        };
        let (y, norm_sum) = normalize(self.norm_sum.as_ref(), &sum)?;
        Ok((y, [norm_after, norm_sum]))
    }

    /// Returns the core's output for `input`. For an attention, also returns what the values of
    /// each query head contribute to it; see
    /// [`Mixing::value_outputs`](super::mixing::Mixing::value_outputs).
    pub(in crate::model) fn decompose(
        &self,
        input: &Tensor,
        rows: &RowContext<'_>,
        memory: Option<&EncoderOutput>,
        key_heads: KeyHeads<'_>,
    ) -> Result<(Tensor, Vec<Option<Tensor>>)> {
        let (normalized, _) = normalize(self.norm_before.as_ref(), input)?;
        let beside = (memory, None);
        let none = &mut Masks::none();
        let (added, trace) = self.core.forward(&normalized, rows, beside, none)?;
        let outputs = self.core.value_outputs(&trace, key_heads)?;
        Ok((added, outputs))
    }

    /// Returns the stream after the sublayer if its core's output is `added`. `[rows, hidden]`
    pub(in crate::model) fn add(&self, x: &Tensor, added: &Tensor) -> Result<Tensor> {
        Ok(self.finish(x, added)?.0)
    }

    /// Applies the rescale rule to `trace`: the slope of every nonlinearity that `reach` includes
    /// becomes that of the line from its value for `reference` to its value for `input`.
    /// `[rows, hidden]` each
    pub(in crate::model) fn rescale(
        &self,
        trace: &mut SublayerTrace,
        input: &Tensor,
        reference: &Tensor,
        reach: &dyn Fn(Activation) -> bool,
    ) -> Result<()> {
        if !self.core.has_activation(reach) {
            return Ok(());
        }
        let norm = self.norm_before.as_ref();
        let [(x, _), (reference, _)] = [normalize(norm, input)?, normalize(norm, reference)?];
        self.core.rescale(&mut trace.core, &x, &reference, reach)
    }

    /// Pulls cotangents of the stream after the sublayer back to the streams that it reads.
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

/// Applies a norm, if there is one. `[rows, hidden]`
fn normalize(norm: Option<&Norm>, x: &Tensor) -> Result<(Tensor, Option<Normalized>)> {
    let Some(norm) = norm else {
        return Ok((x.clone(), None));
    };
    let (y, saved) = norm.forward(x)?;
    Ok((y, Some(saved)))
}

/// Pulls cotangents back through a norm, if there is one.
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
