//! A stack of sublayers: a forward pass that keeps everything, and a backward pass for many
//! explained tokens at once.

use crate::error::Result;

use super::dropout::Masks;
use super::kept::Kept;
use super::layers::cross_attention::MemoryCotangents;
use super::layers::row_context::RowContext;
use super::layers::{Cotangents, EncoderOutput, Linear, Norm, Sublayer, SublayerTrace};
use super::layers::{added_positions, score_bias};
use super::row_counts::{RowCounters, RowCounts};
use super::sequences::{CachedPrefix, Sequences};
use super::spec::{CoreSpec, ModelSpec, NormSpec, RotarySpec, StackSpec};
use super::weights::Checkpoint;
use crate::Error;
use crate::kernels::attention::AttentionTrace;
use crate::kernels::norm::Normalized;
use crate::kernels::rotary::{Rotation, RowPosition};
use crate::kernels::score_bias::ScoreBias;
use crate::kernels::{RowIndex, Tensor, rows};
use crate::stop::Stop;

/// An encoder or a decoder, with its weights.
#[derive(Debug)]
pub(super) struct Stack {
    input_projection: Option<Linear>,
    input_scale: f64,
    /// `[positions, hidden]`
    added_positions: Option<Tensor>,
    embedding_norm: Option<Norm>,
    rotations: Vec<Rotation>,
    score_biases: Vec<ScoreBias>,
    pub(super) sublayers: Vec<Sublayer>,
    pub(super) final_norm: Option<Norm>,
    counters: RowCounters,
}

/// The trace of one forward pass of a stack.
#[derive(Debug, Clone)]
pub struct StackTrace {
    /// Where each sequence's rows are in this pass.
    pub(super) sequences: Sequences,
    /// Position of each row in its sequence, counting on from an earlier pass.
    pub(super) positions: Vec<RowPosition>,
    embedding_norm: Option<Normalized>,
    /// Dropout factors at the entry of the stack; `None` without dropout. `[rows, hidden]`
    entry_mask: Option<Tensor>,
    /// Index of the first sublayer that the pass ran.
    first: usize,
    /// One entry per sublayer from `first` on; none if the pass kept nothing.
    pub(super) sublayers: Vec<SublayerTrace>,
    final_norm: Option<Normalized>,
    /// Dropout factors at the output of the stack; `None` without dropout. `[rows, hidden]`
    output_mask: Option<Tensor>,
    /// Cancels backward passes through this trace.
    pub(super) stop: Stop,
}

/// What a pass needs besides its rows.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// Where each sequence's rows are.
    pub(super) sequences: &'a Sequences,
    /// The encoder's output, for a decoder that reads it.
    pub(super) memory: Option<&'a EncoderOutput>,
    /// An earlier pass, whose sequences the rows continue.
    pub(super) past: Option<&'a StackTrace>,
    /// What the trace of the pass holds.
    pub(super) kept: Kept,
    /// Cancels the pass.
    pub(super) stop: &'a Stop,
}

impl StackTrace {
    /// Returns the attentions of the pass, bottom up. In a decoder that reads an encoder, self-
    /// and cross-attentions alternate.
    pub(super) fn attentions(&self) -> impl Iterator<Item = &AttentionTrace> {
        self.sublayers.iter().filter_map(SublayerTrace::attended)
    }

    /// Returns the prefixes `cut` of sequences, as the past of a later pass that continues them.
    pub(super) fn cached_prefixes(&self, cut: &[CachedPrefix]) -> Self {
        let sublayers = self.sublayers.iter();
        Self {
            sublayers: sublayers
                .map(|sublayer| sublayer.cached_prefixes(cut))
                .collect(),
            ..self.clone()
        }
    }

    /// Drops all sequences but `kept`, to serve as the past of a later pass over those alone.
    pub(super) fn keep(&mut self, kept: &[usize]) {
        for sublayer in &mut self.sublayers {
            sublayer.keep(kept);
        }
    }
}

/// Cotangents at the inputs of a stack.
pub(super) struct StackCotangents {
    /// At the embeddings or the sublayer that was asked for; `None` if neither was.
    pub(super) stream: Option<Cotangents>,
    /// At the encoder's output: for each explained token, the rows of its whole source.
    /// `[cotangent source rows, hidden]`
    pub(super) memory: Option<Tensor>,
}

/// How far down cotangents are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// To the embeddings.
    Embeddings,
    /// To the stream before this sublayer.
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
    ) -> Result<Self, Error> {
        let sublayers = stack
            .sublayers
            .iter()
            .map(|spec| Sublayer::load(spec, model.hidden, checkpoint));
        let norm = |spec: &Option<NormSpec>| {
            let norm = spec
                .as_ref()
                .map(|s| Norm::load(s, model.hidden, checkpoint));
            norm.transpose()
        };
        let added = |spec| added_positions(spec, model.max_positions, model.hidden, checkpoint);
        let biases = stack
            .score_biases
            .iter()
            .map(|spec| score_bias(spec, checkpoint));
        let projection = stack.input_projection.as_ref();
        let projection =
            projection.map(|p| Linear::load(&[(&p.linear, model.hidden)], p.width, checkpoint));
        Ok(Self {
            input_projection: projection.transpose()?,
            input_scale: stack.input_scale,
            added_positions: stack.added_positions.as_ref().map(added).transpose()?,
            embedding_norm: norm(&stack.embedding_norm)?,
            rotations: rotations(stack, checkpoint)?,
            score_biases: biases.collect::<Result<_, _>>()?,
            sublayers: sublayers.collect::<Result<_, _>>()?,
            final_norm: norm(&stack.final_norm)?,
            counters: RowCounters::default(),
        })
    }

    /// Returns how many rows went through the stack since it was loaded.
    pub(super) fn row_counts(&self) -> RowCounts {
        self.counters.read(self.sublayers.len())
    }

    /// Runs the stack over `embeddings`, `[rows, hidden]`. Returns the output, `[rows, hidden]`.
    pub(super) fn forward(
        &self,
        embeddings: &Tensor,
        around: Around<'_>,
    ) -> Result<(Tensor, StackTrace)> {
        self.forward_observed(embeddings, around, &mut Masks::none(), &mut |_| ())
    }

    /// As [`Self::forward`], with dropout. Calls `observe` with the stream before every sublayer
    /// and, last, with the stream after the topmost one. `[rows, hidden]` each.
    pub(super) fn forward_observed(
        &self,
        embeddings: &Tensor,
        around: Around<'_>,
        masks: &mut Masks<'_>,
        observe: &mut dyn FnMut(&Tensor),
    ) -> Result<(Tensor, StackTrace)> {
        let positions = positions(around.sequences, around.past);
        let (mut x, embedding_norm) = self.enter(embeddings, &positions)?;
        let entry_mask = masks.draw_for_rows(&x, around.sequences, masks.rates.embedding)?;
        if let Some(mask) = &entry_mask {
            x = rows::multiply(&x, mask)?;
        }
        let (y, trace) = self.forward_from((0, x), around, masks, observe)?;
        let trace = StackTrace {
            embedding_norm,
            entry_mask,
            ..trace
        };
        Ok((y, trace))
    }

    /// Runs the stack with dropout, starting with the stream `x` before sublayer `first`.
    /// `[rows, hidden]`
    ///
    /// Fails if `first` runs in parallel with the sublayer before it: `x` alone does not determine
    /// what it reads.
    pub(super) fn forward_from(
        &self,
        (first, mut x): (usize, Tensor),
        around: Around<'_>,
        masks: &mut Masks<'_>,
        observe: &mut dyn FnMut(&Tensor),
    ) -> Result<(Tensor, StackTrace)> {
        let positions = positions(around.sequences, around.past);
        let rows = RowContext {
            kept: around.kept,
            ..self.rows(around.sequences, &positions, around.stop)
        };
        self.counters.add_forward(positions.len());
        // The stream before the preceding sublayer, which a parallel sublayer reads.
        let mut before = None;
        let mut traces = Vec::with_capacity(self.sublayers.len() - first);
        for (index, sublayer) in self.sublayers.iter().enumerate().skip(first) {
            around.stop.check()?;
            observe(&x);
            let past = around.past.map(|past| &past.sublayers[index]);
            let input = match (sublayer.place_read(index) == index, &before) {
                (true, _) => &x,
                (false, Some(before)) => before,
                (false, None) => {
                    let message = "a pass cannot begin between parallel sublayers";
                    return Err(candle_core::Error::Msg(message.to_owned()).bt());
                }
            };
            let beside = (around.memory, past);
            let (y, trace) = sublayer.forward((&x, input), &rows, beside, masks)?;
            before = Some(std::mem::replace(&mut x, y));
            match around.kept {
                Kept::Everything => traces.push(trace),
                Kept::KeysAndValues => traces.push(trace.keys_and_values()),
                Kept::Nothing => {}
            }
        }
        observe(&x);
        let mut final_norm = None;
        if let Some(norm) = &self.final_norm {
            let (y, saved) = norm.forward(&x)?;
            (x, final_norm) = (y, Some(saved));
        }
        let output_mask = masks.draw_for_rows(&x, around.sequences, masks.rates.output)?;
        if let Some(mask) = &output_mask {
            x = rows::multiply(&x, mask)?;
        }
        let trace = StackTrace {
            sequences: around.sequences.clone(),
            positions,
            embedding_norm: None,
            entry_mask: None,
            first,
            sublayers: traces,
            final_norm,
            output_mask,
            stop: around.stop.clone(),
        };
        Ok((x, trace))
    }

    /// Maps embeddings to the bottom of the residual stream. Also returns the trace of the norm
    /// there.
    /// `[rows, embedding width] → [rows, hidden]`
    pub(super) fn enter(
        &self,
        embeddings: &Tensor,
        positions: &[RowPosition],
    ) -> Result<(Tensor, Option<Normalized>)> {
        let mut x = match &self.input_projection {
            Some(projection) => projection.forward(embeddings)?,
            None => embeddings.clone(),
        };
        if self.input_scale != 1.0 {
            x = rows::add_scaled(None, &x, self.input_scale)?;
        }
        if let Some(table) = &self.added_positions {
            let positions: RowIndex = positions.iter().map(|row| row.position).collect();
            x = rows::add(&x, &rows::gather(table, &positions)?)?;
        }
        let Some(norm) = &self.embedding_norm else {
            return Ok((x, None));
        };
        let (x, saved) = norm.forward(&x)?;
        Ok((x, Some(saved)))
    }

    /// Pulls cotangents at the output back to the inputs.
    pub(super) fn vjp(
        &self,
        saved: &StackTrace,
        mut output: Cotangents,
        depth: Depth,
    ) -> Result<StackCotangents> {
        if let Some(mask) = &saved.output_mask {
            output = output.masked(mask)?;
        }
        let rows = self.rows(&saved.sequences, &saved.positions, &saved.stop);
        let mut memory = MemoryCotangents::default();
        let mut cotangents = match (&self.final_norm, &saved.final_norm) {
            (Some(norm), Some(normalized)) => norm.vjp(normalized, &output)?,
            _ => output,
        };
        // Cotangents of a stream that a parallel sublayer reads. They are added one sublayer
        // further down, where that stream is.
        let mut beside: Option<Cotangents> = None;
        let lowest = self.lowest(depth).max(saved.first);
        let sublayers = self.sublayers[lowest..].iter();
        for (sublayer, trace) in sublayers
            .zip(&saved.sublayers[lowest - saved.first..])
            .rev()
        {
            saved.stop.check()?;
            self.counters.add_backward(cotangents.saved_rows.len());
            let below = sublayer.vjp(trace, cotangents, &rows, &mut memory)?;
            cotangents = match beside.take() {
                Some(beside) => below.stream.add(&beside)?,
                None => below.stream,
            };
            beside = below.before;
        }
        let stream = match depth {
            Depth::Embeddings => {
                if let Some(mask) = &saved.entry_mask {
                    cotangents = cotangents.masked(mask)?;
                }
                Some(self.leave(saved.embedding_norm.as_ref(), cotangents)?)
            }
            Depth::Sublayer(_) => Some(cotangents),
            Depth::LowestCrossAttention => None,
        };
        Ok(StackCotangents {
            stream,
            memory: memory.rows,
        })
    }

    /// Returns the index of the lowest sublayer that cotangents are taken through.
    pub(super) fn lowest(&self, depth: Depth) -> usize {
        match depth {
            Depth::Embeddings => 0,
            Depth::Sublayer(index) => index,
            Depth::LowestCrossAttention => self
                .sublayers
                .iter()
                .position(Sublayer::reads_memory)
                .unwrap_or(self.sublayers.len()),
        }
    }

    /// Pulls cotangents at the bottom of the residual stream back to the embeddings. `saved` is
    /// the trace of the norm there.
    pub(super) fn leave(
        &self,
        saved: Option<&Normalized>,
        mut cotangents: Cotangents,
    ) -> Result<Cotangents> {
        if let (Some(norm), Some(saved)) = (&self.embedding_norm, saved) {
            cotangents = norm.vjp(saved, &cotangents)?;
        }
        if self.input_scale != 1.0 {
            let rows = rows::add_scaled(None, &cotangents.rows, self.input_scale)?;
            cotangents = cotangents.with_rows(rows);
        }
        match &self.input_projection {
            Some(projection) => Ok(cotangents.with_rows(projection.vjp(&cotangents.rows)?)),
            None => Ok(cotangents),
        }
    }

    /// Returns what sublayers need to know about the rows of a pass that keeps everything.
    pub(super) fn rows<'a>(
        &'a self,
        sequences: &'a Sequences,
        positions: &'a [RowPosition],
        stop: &'a Stop,
    ) -> RowContext<'a> {
        RowContext {
            sequences,
            positions,
            kept: Kept::Everything,
            stop,
            rotations: &self.rotations,
            score_biases: &self.score_biases,
        }
    }
}

/// Prepares the rotations of a stack, each for the head width of the attentions that use it.
fn rotations(stack: &StackSpec, checkpoint: &Checkpoint) -> Result<Vec<Rotation>> {
    let head_dim = |index: usize| {
        let of_core = |core: &CoreSpec| match core {
            CoreSpec::SelfAttention(spec) if spec.rotation == Some(index) => Some(spec.head_dim),
            _ => None,
        };
        stack.sublayers.iter().find_map(|s| of_core(&s.core))
    };
    let prepare = |(index, spec): (usize, &RotarySpec)| {
        let all_turned = 2 * spec.inverse_frequencies.len();
        let head_dim = head_dim(index).unwrap_or(all_turned);
        Rotation::new(spec, head_dim, checkpoint.dtype(), checkpoint.place())
    };
    stack.rotations.iter().enumerate().map(prepare).collect()
}

/// Returns the position of every row, counting on from the sequences of an earlier pass.
fn positions(sequences: &Sequences, past: Option<&StackTrace>) -> Vec<RowPosition> {
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
        .flat_map(|(length, first)| {
            let length = first + length;
            (first..length).map(move |position| RowPosition { position, length })
        })
        .collect()
}
