//! Mean Jacobians between two passes: how a sublayer maps a difference of its inputs to a
//! difference of its outputs.
//!
//! Consider the straight line from a sublayer's inputs in one pass to its inputs in another. The
//! mean of the sublayer's Jacobians along this line maps the difference of the inputs exactly to
//! the difference of the outputs. The product of such means over all sublayers therefore carries
//! differences through the whole model, whatever its layers are made of. For a single
//! nonlinearity, the mean slope is the slope of the chord, which is the rescale rule. The means
//! are computed by quadrature, so their accuracy depends on the number of points.
//!
//! The points are computed again for every chunk of explained tokens, so that only one point of
//! one sublayer is in memory at a time.

use super::hooks::Recorded;
use super::layers::cross_attention::MemoryCotangents;
use super::layers::{Cotangents, EncoderOutput};
use super::stack::{Depth, Stack, StackCotangents, StackTrace};
use super::{ExplainedToken, Gradients, Inputs, Trace, Transformer, Wanted};
use crate::error::Result;
use crate::kernels::{Tensor, rows};
use crate::model::dropout::Masks;
use crate::sides::Side;

/// A quadrature point on the line between two passes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChordPoint {
    /// Position on the line: 0 is the first pass, 1 the second.
    pub(crate) alpha: f64,
    /// Quadrature weight of the Jacobian at this point.
    pub(crate) weight: f64,
}

/// Two passes over sequences of the same lengths, and points between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chord<'a> {
    /// Inputs of the first and the second pass.
    pub(crate) inputs: [&'a Inputs; 2],
    /// The first (reference) and the second pass, with their streams.
    pub(crate) passes: [&'a Recorded; 2],
    /// The quadrature points. Their weights must sum to 1.
    pub(crate) points: &'a [ChordPoint],
}

impl Chord<'_> {
    /// Returns the second pass, with the head's inputs replaced by those at `alpha` on the line.
    pub(crate) fn head_inputs(&self, alpha: f64) -> Result<Trace> {
        let [reference, input] = self.passes.map(|pass| &pass.trace.hidden);
        Ok(Trace {
            hidden: between([reference, input], alpha)?,
            ..self.passes[1].trace.clone()
        })
    }

    /// Collects what one stack needs from both passes.
    fn side<'s>(&'s self, stack: &'s Stack, trace: &'s StackTrace, side: Side) -> StackChord<'s> {
        let memory = |pass: &'s Recorded| pass.trace.encoder.as_ref().map(|(_, memory)| memory);
        let (embeddings, streams, memory) = match side {
            Side::Source => (
                self.inputs.map(|inputs| inputs.source.as_ref()),
                self.passes.map(|pass| pass.source.as_slice()),
                [None; 2],
            ),
            Side::Target => (
                self.inputs.map(|inputs| Some(&inputs.target)),
                self.passes.map(|pass| pass.target.as_slice()),
                self.passes.map(memory),
            ),
        };
        StackChord {
            stack,
            trace,
            embeddings: embeddings.map(|embedded| embedded.map(|embedded| &embedded.rows)),
            streams,
            memory,
            points: self.points,
        }
    }
}

impl Transformer {
    /// As [`Transformer::vjp`], with the mean Jacobians of `chord` instead of the Jacobians of a
    /// pass.
    pub(crate) fn vjp_between(
        &self,
        chord: &Chord<'_>,
        explained: &[ExplainedToken],
        dhidden: Tensor,
        wanted: Wanted,
    ) -> Result<Gradients> {
        let trace = &chord.passes[1].trace;
        self.pull_back(trace, (explained, dhidden), wanted, |side, stack, trace| {
            let side = chord.side(stack, trace, side);
            move |output, depth| side.vjp(output, depth)
        })
    }
}

/// What one stack reads and computes in both passes.
struct StackChord<'a> {
    stack: &'a Stack,
    trace: &'a StackTrace,
    embeddings: [Option<&'a Tensor>; 2],
    /// Streams of the two passes: before every sublayer, and after the last one.
    streams: [&'a [Tensor]; 2],
    memory: [Option<&'a EncoderOutput>; 2],
    points: &'a [ChordPoint],
}

impl StackChord<'_> {
    fn vjp(&self, output: Cotangents, depth: Depth) -> Result<StackCotangents> {
        let rows = self.stack.rows(
            &self.trace.sequences,
            &self.trace.positions,
            &self.trace.stop,
        );
        let sublayers = &self.stack.sublayers;
        let mut memory = MemoryCotangents::default();
        let mut cotangents = match &self.stack.final_norm {
            None => output,
            Some(norm) => self.mean(&output, |alpha, dy| {
                let (_, saved) = norm.forward(&self.stream(sublayers.len(), alpha)?)?;
                norm.vjp(&saved, &dy)
            })?,
        };
        // Cotangents of a stream that a parallel sublayer reads. They are added one sublayer
        // further down, where that stream is.
        let mut beside: Option<Cotangents> = None;
        for index in (self.stack.lowest(depth)..sublayers.len()).rev() {
            let sublayer = &sublayers[index];
            let mut before = None;
            let mut stream = self.mean(&cotangents, |alpha, dy| {
                self.trace.stop.check()?;
                let x = self.stream(index, alpha)?;
                let input = self.stream(sublayer.place_read(index), alpha)?;
                let read = self.memory(alpha)?;
                let beside = (read.as_ref(), None);
                let none = &mut Masks::none();
                let (_, saved) = sublayer.forward((&x, &input), &rows, beside, none)?;
                let below = sublayer.vjp(&saved, dy, &rows, &mut memory)?;
                if let Some(added) = below.before {
                    before = Some(sum(before.take(), added)?);
                }
                Ok(below.stream)
            })?;
            if let Some(beside) = beside.take() {
                stream = stream.add(&beside)?;
            }
            (cotangents, beside) = (stream, before);
        }
        let stream = match depth {
            Depth::Embeddings => Some(self.leave(&cotangents)?),
            Depth::Sublayer(_) => Some(cotangents),
            Depth::LowestCrossAttention => None,
        };
        Ok(StackCotangents {
            stream,
            memory: memory.rows,
        })
    }

    /// Pulls cotangents at the bottom of the residual stream back to the embeddings.
    fn leave(&self, cotangents: &Cotangents) -> Result<Cotangents> {
        self.mean(cotangents, |alpha, dy| {
            let saved = match self.embeddings {
                [Some(reference), Some(input)] => {
                    let embeddings = between([reference, input], alpha)?;
                    self.stack.enter(&embeddings, &self.trace.positions)?.1
                }
                _ => None,
            };
            self.stack.leave(saved.as_ref(), dy)
        })
    }

    /// Returns the weighted sum over the points of what `vjp` makes of the cotangents.
    fn mean(
        &self,
        cotangents: &Cotangents,
        mut vjp: impl FnMut(f64, Cotangents) -> Result<Cotangents>,
    ) -> Result<Cotangents> {
        let mut total = None;
        for ChordPoint { alpha, weight } in self.points {
            let weighted = rows::add_scaled(None, &cotangents.rows, *weight)?;
            let added = vjp(*alpha, cotangents.with_rows(weighted))?;
            total = Some(sum(total, added)?);
        }
        total.ok_or_else(|| candle_core::Error::Msg("a chord without points".to_owned()).bt())
    }

    /// Returns the stream before sublayer `index`, at `alpha` on the line. `[rows, hidden]`
    fn stream(&self, index: usize, alpha: f64) -> Result<Tensor> {
        between(self.streams.map(|streams| &streams[index]), alpha)
    }

    /// Returns the encoder's output at `alpha` on the line; `None` without an encoder.
    fn memory(&self, alpha: f64) -> Result<Option<EncoderOutput>> {
        let [Some(reference), Some(input)] = self.memory else {
            return Ok(None);
        };
        Ok(Some(EncoderOutput {
            rows: between([&reference.rows, &input.rows], alpha)?,
            sequences: input.sequences.clone(),
        }))
    }
}

/// Returns the point at `alpha` on the line from `first` to `second`.
fn between([first, second]: [&Tensor; 2], alpha: f64) -> Result<Tensor> {
    let first = rows::add_scaled(None, first, 1.0 - alpha)?;
    rows::add_scaled(Some(&first), second, alpha)
}

/// Adds cotangents to a running total over the same rows.
fn sum(total: Option<Cotangents>, added: Cotangents) -> Result<Cotangents> {
    match total {
        None => Ok(added),
        Some(total) => total.add(&added),
    }
}
