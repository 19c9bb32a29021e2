//! Mean Jacobians between two passes: what a sublayer does to a difference of its inputs.
//!
//! Along the straight line from what a sublayer meets in one pass to what it meets in another, the
//! mean of its Jacobians takes the difference of its inputs to the difference of its outputs, to
//! the digit; a product of such means takes differences through the model, whatever it is made of.
//! Of a single nonlinearity the mean slope is the slope of its chord, the rescale rule. Means are
//! quadratures: exact as far as the points are many enough.
//!
//! Points are computed again for every chunk of explained tokens, so that one point of one sublayer is all
//! that is in memory at once.

use candle_core::Tensor;

use super::hooks::Recorded;
use super::layers::cross_attention::MemoryCotangents;
use super::layers::{Cotangents, EncoderOutput};
use super::stack::{Depth, Stack, StackCotangents, StackTrace};
use super::{ExplainedToken, Gradients, Inputs, Trace, Transformer, Wanted};
use crate::error::Result;
use crate::kernels::rows;
use crate::model::dropout::Masks;
use crate::sides::Side;

/// A point of the line between two passes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChordPoint {
    /// How far from the first pass to the second, in `[0, 1]`.
    pub(crate) alpha: f64,
    /// Weight of the Jacobian there.
    pub(crate) weight: f64,
}

/// Two passes over sequences of the same lengths, and points between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chord<'a> {
    /// Inputs of the first pass and the second.
    pub(crate) inputs: [&'a Inputs; 2],
    /// The two passes.
    pub(crate) passes: [&'a Recorded; 2],
    /// Points whose weights sum to 1.
    pub(crate) points: &'a [ChordPoint],
}

impl Chord<'_> {
    /// Returns the second pass with the head's inputs at `alpha` of the way.
    pub(crate) fn head_inputs(&self, alpha: f64) -> Result<Trace> {
        let [reference, input] = self.passes.map(|pass| &pass.trace.hidden);
        Ok(Trace {
            hidden: between([reference, input], alpha)?,
            ..self.passes[1].trace.clone()
        })
    }

    /// Returns what one stack meets.
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
    /// As [`Transformer::vjp`], with the mean Jacobians of `chord` in the place of Jacobians.
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

/// What one stack meets in both passes.
struct StackChord<'a> {
    stack: &'a Stack,
    trace: &'a StackTrace,
    embeddings: [Option<&'a Tensor>; 2],
    /// In front of every sublayer, and behind the last.
    streams: [&'a [Tensor]; 2],
    memory: [Option<&'a EncoderOutput>; 2],
    points: &'a [ChordPoint],
}

impl StackChord<'_> {
    fn vjp(&self, output: Cotangents, depth: Depth) -> Result<StackCotangents> {
        let rows = self
            .stack
            .rows(&self.trace.sequences, &self.trace.positions);
        let sublayers = &self.stack.sublayers;
        let mut memory = MemoryCotangents::default();
        let mut cotangents = match &self.stack.final_norm {
            None => output,
            Some(norm) => self.mean(&output, |alpha, dy| {
                let (_, saved) = norm.forward(&self.stream(sublayers.len(), alpha)?)?;
                norm.vjp(&saved, &dy)
            })?,
        };
        // What a sublayer read that runs beside the one below it.
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

    /// Takes cotangents at the bottom of the residual stream to the embeddings.
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

    /// Sums `vjp` of the cotangents over the points, each by its weight.
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

    /// Returns the stream in front of sublayer `index`. `[rows, hidden]`
    fn stream(&self, index: usize, alpha: f64) -> Result<Tensor> {
        between(self.streams.map(|streams| &streams[index]), alpha)
    }

    /// Returns what the encoder gives.
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

/// Returns what lies at `alpha` of the way from the first to the second.
fn between([first, second]: [&Tensor; 2], alpha: f64) -> Result<Tensor> {
    let first = rows::add_scaled(None, first, 1.0 - alpha)?;
    rows::add_scaled(Some(&first), second, alpha)
}

/// Adds cotangents of the same rows.
fn sum(total: Option<Cotangents>, added: Cotangents) -> Result<Cotangents> {
    match total {
        None => Ok(added),
        Some(total) => total.add(&added),
    }
}
