//! A stack of sublayers: forward with everything kept, backward for many seeds at once.

use candle_core::{DType, Tensor};

use crate::error::Result;

use super::hooks::Beginning;
use super::layers::attention::{MemoryCotangents, Rows};
use super::layers::{Cotangents, Memory, Norm, PositionTable, Sublayer, SublayerTrace};
use super::sequences::Sequences;
use super::spec::{ModelSpec, StackSpec};
use super::weights::Checkpoint;
use crate::Error;
use crate::kernels::attention::Attended;
use crate::kernels::norm::Normalized;

/// An encoder or a decoder.
#[derive(Debug)]
pub(super) struct Stack {
    positions: PositionTable,
    pub(super) sublayers: Vec<Sublayer>,
    final_norm: Option<Norm>,
}

/// One forward pass of a stack.
#[derive(Debug, Clone)]
pub struct StackTrace {
    /// Where each sequence's rows of this pass lie.
    pub(super) sequences: Sequences,
    /// Position of each row in its sequence.
    positions: Vec<usize>,
    /// Sublayer the pass began in front of.
    first: usize,
    /// One entry a sublayer from `first` on.
    pub(super) sublayers: Vec<SublayerTrace>,
    final_norm: Option<Normalized>,
}

/// What the rows of a pass meet besides each other.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// Where each sequence's rows lie.
    pub(super) sequences: &'a Sequences,
    /// What the encoder gave a decoder.
    pub(super) memory: Option<&'a Memory>,
    /// An earlier pass whose sequences the rows continue.
    pub(super) past: Option<&'a StackTrace>,
}

impl StackTrace {
    /// Returns the attentions of the pass, bottom up: those of the stack's own rows and, in a
    /// decoder that reads an encoder, those of the source between them.
    pub(super) fn attentions(&self) -> impl Iterator<Item = &Attended> {
        self.sublayers.iter().filter_map(SublayerTrace::attended)
    }

    /// Returns the beginnings `cut` of sequences, as the past of a later pass that continues those.
    pub(super) fn beginnings(&self, cut: &[Beginning]) -> Self {
        let sublayers = self.sublayers.iter();
        Self {
            sublayers: sublayers.map(|sublayer| sublayer.beginnings(cut)).collect(),
            ..self.clone()
        }
    }

    /// Forgets every sequence but `kept`, as the past of a later pass over those alone.
    pub(super) fn keep(&mut self, kept: &[usize]) {
        for sublayer in &mut self.sublayers {
            sublayer.keep(kept);
        }
    }
}

/// What cotangents at a stack's output become at its inputs.
pub(super) struct StackCotangents {
    /// At the embeddings or at the sublayer asked for; `None` where they were not wanted.
    pub(super) stream: Option<Cotangents>,
    /// At the encoder's output, for each seed its whole source. `[seed source rows, hidden]`
    pub(super) memory: Option<Tensor>,
}

/// How far cotangents are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// To the embeddings.
    Embeddings,
    /// To the stream in front of a sublayer.
    Sublayer(usize),
    /// To the lowest sublayer that reads the encoder's output.
    LowestCrossAttention,
}

impl Stack {
    /// Reads the stack's weights.
    pub(super) fn load(
        stack: &StackSpec,
        model: &ModelSpec,
        checkpoint: &Checkpoint,
        dtype: DType,
    ) -> Result<Self, Error> {
        let sublayers = stack
            .sublayers
            .iter()
            .map(|spec| Sublayer::load(spec, model.hidden, checkpoint));
        let final_norm = stack
            .final_norm
            .as_ref()
            .map(|spec| Norm::load(spec, model.hidden, checkpoint));
        Ok(Self {
            positions: PositionTable::new(
                &stack.positions,
                model.max_positions,
                model.hidden,
                dtype,
            )?,
            sublayers: sublayers.collect::<Result<_, _>>()?,
            final_norm: final_norm.transpose()?,
        })
    }

    /// Runs the stack over `embeddings`, `[rows, hidden]`. Returns the output, `[rows, hidden]`.
    pub(super) fn forward(
        &self,
        embeddings: &Tensor,
        around: Around<'_>,
    ) -> Result<(Tensor, StackTrace)> {
        self.forward_observed(embeddings, around, &mut |_| ())
    }

    /// As [`Self::forward`], showing `observe` the stream in front of every sublayer and, last,
    /// behind the topmost one. `[rows, hidden]` each.
    pub(super) fn forward_observed(
        &self,
        embeddings: &Tensor,
        around: Around<'_>,
        observe: &mut dyn FnMut(&Tensor),
    ) -> Result<(Tensor, StackTrace)> {
        let positions = positions(around.sequences, around.past);
        let x = self.positions.add(embeddings, &positions)?;
        self.forward_from(0, x, around, observe)
    }

    /// Runs the stack from the stream `x` in front of sublayer `first` on. `[rows, hidden]`
    pub(super) fn forward_from(
        &self,
        first: usize,
        mut x: Tensor,
        around: Around<'_>,
        observe: &mut dyn FnMut(&Tensor),
    ) -> Result<(Tensor, StackTrace)> {
        let Around {
            sequences,
            memory,
            past,
        } = around;
        let positions = positions(sequences, past);
        let rows = Rows {
            sequences,
            positions: &positions,
            rotation: self.positions.rotation(),
        };
        let mut traces = Vec::with_capacity(self.sublayers.len() - first);
        for (index, sublayer) in self.sublayers.iter().enumerate().skip(first) {
            observe(&x);
            let past = past.map(|past| &past.sublayers[index]);
            let (y, trace) = sublayer.forward(&x, &rows, memory, past)?;
            x = y;
            traces.push(trace);
        }
        observe(&x);
        let mut final_norm = None;
        if let Some(norm) = &self.final_norm {
            let (y, saved) = norm.forward(&x)?;
            x = y;
            final_norm = Some(saved);
        }
        let trace = StackTrace {
            sequences: sequences.clone(),
            positions,
            first,
            sublayers: traces,
            final_norm,
        };
        Ok((x, trace))
    }

    /// Pulls cotangents at the output back to the inputs.
    pub(super) fn vjp(
        &self,
        trace: &StackTrace,
        output: Cotangents,
        depth: Depth,
    ) -> Result<StackCotangents> {
        let rows = Rows {
            sequences: &trace.sequences,
            positions: &trace.positions,
            rotation: self.positions.rotation(),
        };
        let lowest = match depth {
            Depth::Embeddings => 0,
            Depth::Sublayer(index) => index,
            Depth::LowestCrossAttention => self
                .sublayers
                .iter()
                .position(Sublayer::reads_memory)
                .unwrap_or(self.sublayers.len()),
        };
        let mut memory = MemoryCotangents::default();
        let mut cotangents = match (&self.final_norm, &trace.final_norm) {
            (Some(norm), Some(saved)) => norm.vjp(saved, &output)?,
            _ => output,
        };
        let lowest = lowest.max(trace.first);
        let sublayers = self.sublayers[lowest..].iter();
        for (sublayer, trace) in sublayers
            .zip(&trace.sublayers[lowest - trace.first..])
            .rev()
        {
            cotangents = sublayer.vjp(trace, &cotangents, &rows, &mut memory)?;
        }
        let stream = (depth != Depth::LowestCrossAttention).then_some(cotangents);
        Ok(StackCotangents {
            stream,
            memory: memory.rows,
        })
    }
}

/// Returns the position of every row, counting on from an earlier pass.
fn positions(sequences: &Sequences, past: Option<&StackTrace>) -> Vec<usize> {
    let mut first = vec![0; sequences.len()];
    if let Some(attended) = past.and_then(|past| past.attentions().next()) {
        first = attended
            .sequences
            .iter()
            .map(|sequence| sequence.keys.len())
            .collect();
    }
    let lengths = sequences.lengths().zip(first);
    lengths
        .flat_map(|(length, first)| first..first + length)
        .collect()
}
