//! A loaded model: embeddings, one or two stacks, a head.
//!
//! It is immutable after loading. What a method needs to see is in the [`Trace`] of a forward
//! pass. Gradients are with respect to the scaled token embeddings, as in Inseq.

use std::sync::Arc;

use candle_core::DType;

use crate::error::Result;

use super::dropout::Masks;
use super::embedding::Embedding;
use super::head::Head;
use super::kept::Kept;
use super::layers::{Cotangents, EncoderOutput};
use super::pass::{Embedded, ExplainedToken, Gradients, Inputs, Trace, Wanted};
use super::row_counts::RowCounts;
use super::sequences::Sequences;
use super::spec::{ModelSpec, StackEmbedding};
use super::stack::{Around, Depth, Stack, StackCotangents, StackTrace};
use super::weights::Checkpoint;
use crate::Error;
use crate::kernels::attention::ExplainedQueries;
use crate::kernels::{RowIndex, Tensor, rows};
use crate::sides::{Side, Sides};
use crate::stop::Stop;

/// A loaded model.
///
/// Cheap to clone: clones share the weights.
#[derive(Debug, Clone)]
pub struct Transformer {
    spec: Arc<ModelSpec>,
    dtype: DType,
    /// Token embeddings of each side; both sides hold the same one if the stacks share it.
    embeddings: Sides<Arc<Embedding>>,
    pub(super) encoder: Option<Arc<Stack>>,
    pub(super) decoder: Arc<Stack>,
    pub(super) head: Arc<Head>,
    /// Cancels the passes of this clone.
    pub(super) stop: Stop,
}

impl Transformer {
    /// Loads the model that `spec` describes, for computing in the checkpoint's `dtype`.
    pub fn load(spec: ModelSpec, checkpoint: &Checkpoint) -> Result<Self, Error> {
        let shape = [spec.vocabulary, spec.embedding_width()];
        let table = checkpoint.weight(&spec.embedding, &shape)?;
        for stack in spec.encoder.iter().chain([&spec.decoder]) {
            if let StackEmbedding::Repeated(name) = &stack.embedding {
                checkpoint.require_same(name, &table)?;
            }
        }
        let table = checkpoint.place().put(&table.into())?;
        let head = Head::load(&spec, &table, checkpoint)?;
        let embedding = |table| -> Result<_, Error> {
            let embedding = Embedding::new(table, spec.embedding_scale, checkpoint.dtype())?;
            Ok(Arc::new(embedding))
        };
        let target = embedding(table)?;
        let source = match spec.embedding_of(Side::Source) {
            (name, _) if name == spec.embedding => target.clone(),
            (name, vocabulary) => {
                let shape = [vocabulary, spec.embedding_width()];
                let table = checkpoint.weight(name, &shape)?.into();
                embedding(checkpoint.place().put(&table)?)?
            }
        };
        let encoder = spec
            .encoder
            .as_ref()
            .map(|stack| Stack::load(stack, &spec, checkpoint));
        Ok(Self {
            dtype: checkpoint.dtype(),
            embeddings: Sides { source, target },
            encoder: encoder.transpose()?.map(Arc::new),
            decoder: Arc::new(Stack::load(&spec.decoder, &spec, checkpoint)?),
            head: Arc::new(head),
            spec: Arc::new(spec),
            stop: Stop::default(),
        })
    }

    /// Returns the same model, with passes that fail as soon as `stop` is requested.
    #[must_use]
    pub fn stopped_by(&self, stop: Stop) -> Self {
        Self {
            stop,
            ..self.clone()
        }
    }

    /// Returns the signal that cancels the passes of this model.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Returns the model's specification.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Returns how many rows went through the model since it was loaded.
    pub(crate) fn row_counts(&self) -> RowCounts {
        let stacks = self.encoder.iter().chain([&self.decoder]);
        stacks.map(|stack| stack.row_counts()).sum()
    }

    /// Returns whether the model has an encoder.
    pub fn has_encoder(&self) -> bool {
        self.encoder.is_some()
    }

    /// Returns the scaled embeddings of the whole vocabulary of `side`.
    /// `[vocabulary, embedding width]`
    pub(crate) fn embedding(&self, side: Side) -> Result<Tensor> {
        self.embeddings.of(side).whole()
    }

    /// Looks up the scaled embeddings for sequences of token ids of `side`.
    pub fn embed<'a>(
        &self,
        side: Side,
        sequences: impl Iterator<Item = &'a [u32]>,
    ) -> Result<Embedded> {
        let mut ids = Vec::new();
        let mut lengths = Vec::new();
        for sequence in sequences {
            ids.extend(sequence.iter().map(|&id| id as usize));
            lengths.push(sequence.len());
        }
        Ok(Embedded {
            rows: self.embeddings.of(side).look_up(&ids.into())?,
            sequences: Sequences::from_lengths(lengths),
        })
    }

    /// Runs the model over whole sequences.
    pub fn forward(&self, inputs: &Inputs) -> Result<Trace> {
        self.forward_observed(inputs, &mut |_, _| ())
    }

    /// Runs the model over whole sequences and calls `observe` with every stream.
    pub(super) fn forward_observed(
        &self,
        inputs: &Inputs,
        observe: &mut dyn FnMut(Side, &Tensor),
    ) -> Result<Trace> {
        let start = |stack: &Stack, rows: &Tensor, around: Around<'_>, side| {
            let observe = &mut |stream: &Tensor| observe(side, stream);
            stack.forward_observed(rows, around, &mut Masks::none(), observe)
        };
        self.forward_with(inputs, start)
    }

    /// Runs the encoder, if there is one, and the decoder, each with `run`.
    pub(super) fn forward_with(
        &self,
        inputs: &Inputs,
        mut run: impl FnMut(&Stack, &Tensor, Around<'_>, Side) -> Result<(Tensor, StackTrace)>,
    ) -> Result<Trace> {
        let mut encoder = None;
        if let (Some(stack), Some(source)) = (&self.encoder, &inputs.source) {
            let around = Around {
                sequences: &source.sequences,
                memory: None,
                past: None,
                kept: Kept::Everything,
                stop: &self.stop,
            };
            let (rows, trace) = run(stack, &source.rows, around, Side::Source)?;
            let sequences = source.sequences.clone();
            encoder = Some((trace, EncoderOutput { rows, sequences }));
        }
        let around = Around {
            sequences: &inputs.target.sequences,
            memory: encoder.as_ref().map(|(_, memory)| memory),
            past: None,
            kept: Kept::Everything,
            stop: &self.stop,
        };
        let (hidden, decoder) = run(&self.decoder, &inputs.target.rows, around, Side::Target)?;
        Ok(Trace {
            encoder,
            decoder,
            hidden,
        })
    }

    /// Continues the sequences of `past` with the rows of `next`, which are only the new ones.
    pub fn forward_on(&self, next: &Embedded, past: Trace) -> Result<Trace> {
        self.continued(next, past, Kept::Everything)
    }

    /// As [`Self::forward_on`]; the trace holds what `kept` says.
    pub(super) fn continued(&self, next: &Embedded, past: Trace, kept: Kept) -> Result<Trace> {
        let around = Around {
            sequences: &next.sequences,
            memory: past.encoder.as_ref().map(|(_, memory)| memory),
            past: Some(&past.decoder),
            kept,
            stop: &self.stop,
        };
        let (hidden, decoder) = self.decoder.forward(&next.rows, around)?;
        Ok(Trace {
            encoder: past.encoder,
            decoder,
            hidden,
        })
    }

    /// Returns the head's inputs at the explained tokens. `[explained tokens, hidden]`
    pub fn hidden(&self, trace: &Trace, explained: &[ExplainedToken]) -> Result<Tensor> {
        let indices: RowIndex = explained
            .iter()
            .map(|token| trace.decoder.sequences.rows(token.sequence).start + token.position)
            .collect();
        rows::gather(&trace.hidden, &indices)
    }

    /// Returns the logits for inputs of the head. `[rows, vocabulary]`
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.stop.check()?;
        self.head.forward(hidden)
    }

    /// Pulls cotangents of `logits`, `[rows, vocabulary]`, back to the head's inputs.
    /// `[rows, hidden]`
    pub fn logits_vjp(&self, logits: &Tensor, dlogits: &Tensor) -> Result<Tensor> {
        self.stop.check()?;
        self.head.vjp(logits, dlogits)
    }

    /// Pulls `dhidden`, one cotangent of the head's input per token, back to the scaled
    /// embeddings. `[explained tokens, hidden]`
    pub fn vjp(
        &self,
        trace: &Trace,
        explained: &[ExplainedToken],
        dhidden: Tensor,
        wanted: Wanted,
    ) -> Result<Gradients> {
        self.pull_back(trace, (explained, dhidden), wanted, |_, stack, trace| {
            |output, depth| stack.vjp(trace, output, depth)
        })
    }

    /// Pulls `dhidden` back through both stacks. `through` returns, for a stack and its trace, the
    /// function that pulls cotangents back through that stack.
    pub(super) fn pull_back<'t, V>(
        &'t self,
        trace: &'t Trace,
        (explained, dhidden): (&[ExplainedToken], Tensor),
        wanted: Wanted,
        through: impl Fn(Side, &'t Stack, &'t StackTrace) -> V,
    ) -> Result<Gradients>
    where
        V: Fn(Cotangents, Depth) -> Result<StackCotangents>,
    {
        let at_output: Vec<_> = explained
            .iter()
            .map(|token| ExplainedQueries {
                sequence: token.sequence,
                positions: token.position..token.position + 1,
            })
            .collect();
        let depth = wanted.depth_in_decoder();
        let output = Cotangents::new(at_output, &trace.decoder.sequences, dhidden);
        let decoder = through(Side::Target, &self.decoder, &trace.decoder)(output, depth)?;
        let mut source = None;
        if let (Some(stack), Some((encoder, _)), Some(memory), Some(depth)) = (
            &self.encoder,
            &trace.encoder,
            decoder.memory,
            wanted.depth_in_encoder(),
        ) {
            let whole = |token: &ExplainedToken| {
                let positions = 0..encoder.sequences.rows(token.sequence).len();
                ExplainedQueries {
                    sequence: token.sequence,
                    positions,
                }
            };
            let output = Cotangents::new(
                explained.iter().map(whole).collect::<Vec<_>>(),
                &encoder.sequences,
                memory,
            );
            let cotangents = through(Side::Source, stack, encoder)(output, depth)?.stream;
            source = cotangents.map(|cotangents| cotangents.rows);
        }
        let target = match decoder.stream {
            Some(cotangents) => Some(cotangents.into_whole_rows()?),
            None => None,
        };
        Ok(Gradients { source, target })
    }

    /// Returns the precision the model computes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}
