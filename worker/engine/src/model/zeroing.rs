//! What a layer computes if the value of one key is zero.
//!
//! The layer reads its unmodified input stream, so layers do not depend on each other. In the
//! attention, the row's output changes by a sum over heads (see `kernels::attention::removal`).
//! The rest of the layer works row by row and is computed again for the changed rows only.

use super::Transformer;
use super::head::Head;
use super::hooks::Recorded;
use super::layers::EncoderOutput;
use super::sequences::Sequences;
use super::spec::{AttentionSpec, CoreSpec, SublayerSpec};
use super::stack::{Stack, StackTrace};
use crate::error::Result;
use crate::kernels::attention::{self, AttentionTrace, KeyHeads, Pair};
use crate::kernels::{RowIndex, Tensor, rows};
use crate::model::dropout::Masks;
use crate::sides::Side;

/// Which rows attend to which in an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttentionKind {
    /// Self-attention of a stack.
    Own(Side),
    /// Cross-attention, from the decoder to the source.
    Across,
}

impl AttentionKind {
    /// Returns the stack that the queries belong to.
    pub(crate) fn stack(self) -> Side {
        match self {
            Self::Own(side) => side,
            Self::Across => Side::Target,
        }
    }
}

/// One attention of one layer, prepared for zeroing values.
pub(crate) struct Zeroable<'a> {
    stack: &'a Stack,
    trace: &'a StackTrace,
    streams: &'a [Tensor],
    memory: Option<&'a EncoderOutput>,
    /// The head, which reads the stack's output; `None` for an encoder.
    head: Option<&'a Head>,
    attended: &'a AttentionTrace,
    /// Index of the attention among the stack's sublayers.
    sublayer: usize,
    /// Index of the first sublayer of the next layer.
    end: usize,
    /// The attention's unmodified output. `[rows, hidden]`
    added: Tensor,
    /// What the values of each query head contribute to a row's output. `[key rows, hidden]` each.
    outputs: Vec<Option<Tensor>>,
}

/// Streams after a layer, one row per pair of query and key. `[pairs, hidden]` each.
pub(crate) struct Streams {
    /// The unmodified streams.
    pub(crate) clean: Tensor,
    /// The streams with the value of the pair's key set to zero.
    pub(crate) zeroed: Tensor,
}

impl Transformer {
    /// Returns the attentions of one kind, bottom up. For each: the index of its layer, its index
    /// among the sublayers of its stack, and its specification.
    pub(crate) fn attentions_of(&self, kind: AttentionKind) -> Vec<(usize, usize, &AttentionSpec)> {
        let stack = self.stack_spec(kind.stack());
        let sublayers = stack.iter().flat_map(|stack| &stack.sublayers).enumerate();
        let attentions = sublayers.filter_map(|(index, sublayer)| match (&sublayer.core, kind) {
            (CoreSpec::SelfAttention(spec), AttentionKind::Own(_))
            | (CoreSpec::CrossAttention(spec), AttentionKind::Across) => {
                Some((sublayer.layer, index, spec))
            }
            _ => None,
        });
        attentions.collect()
    }

    /// Prepares the attention in sublayer `sublayer` of a stack for zeroing the values of
    /// `key_heads`, in the pass `recorded`.
    pub(crate) fn zeroable<'a>(
        &'a self,
        recorded: &'a Recorded,
        (stack, sublayer): (Side, usize),
        key_heads: KeyHeads<'_>,
    ) -> Result<Zeroable<'a>> {
        let Passed {
            stack,
            specs,
            trace,
            streams,
            memory,
            head,
        } = self.passed(recorded, stack)?;
        let Some(attended) = trace.sublayers[sublayer].attended() else {
            return Err(candle_core::Error::Msg("no attention to zero".to_owned()).bt());
        };
        let input = &streams[stack.sublayers[sublayer].place_read(sublayer)];
        let rows = stack.rows(&trace.sequences, &trace.positions, &trace.stop);
        let (added, outputs) =
            stack.sublayers[sublayer].decompose(input, &rows, memory, key_heads)?;
        let layer = specs[sublayer].layer;
        let above = specs[sublayer..]
            .iter()
            .position(|spec| spec.layer != layer);
        Ok(Zeroable {
            stack,
            trace,
            streams,
            memory,
            head,
            attended,
            sublayer,
            end: above.map_or(specs.len(), |above| sublayer + above),
            added,
            outputs,
        })
    }

    /// Returns a stack with the trace of a pass through it. Fails if the model has no such stack.
    fn passed<'a>(&'a self, recorded: &'a Recorded, side: Side) -> Result<Passed<'a>> {
        let encoder = recorded.trace.encoder.as_ref();
        if side == Side::Target {
            return Ok(Passed {
                stack: &self.decoder,
                specs: &self.spec().decoder.sublayers,
                trace: &recorded.trace.decoder,
                streams: &recorded.target,
                memory: encoder.map(|(_, memory)| memory),
                head: Some(&self.head),
            });
        }
        let (Some(stack), Some(spec), Some((trace, _))) =
            (&self.encoder, &self.spec().encoder, encoder)
        else {
            return Err(candle_core::Error::Msg("no encoder to zero".to_owned()).bt());
        };
        Ok(Passed {
            stack,
            specs: &spec.sublayers,
            trace,
            streams: &recorded.source,
            memory: None,
            head: None,
        })
    }
}

/// A stack, and the trace of a pass through it.
struct Passed<'a> {
    stack: &'a Stack,
    specs: &'a [SublayerSpec],
    trace: &'a StackTrace,
    streams: &'a [Tensor],
    memory: Option<&'a EncoderOutput>,
    head: Option<&'a Head>,
}

impl Zeroable<'_> {
    /// Returns the streams after the layer for `pairs`, which must be sorted by sequence.
    pub(crate) fn streams(&self, pairs: &[Pair]) -> Result<Streams> {
        self.trace.stop.check()?;
        let row = |pair: &Pair| self.trace.sequences.rows(pair.sequence).start + pair.query;
        let saved: RowIndex = pairs.iter().map(row).collect();
        let gathered = |place: usize| rows::gather(&self.streams[place], &saved);
        let added = rows::gather(&self.added, &saved)?;
        let added = attention::remove_values(&added, self.attended, &self.outputs, pairs)?;
        let mut before = gathered(self.sublayer)?;
        let mut x = self.stack.sublayers[self.sublayer].add(&before, &added)?;

        let counted = |sequence| pairs.iter().filter(|p| p.sequence == sequence).count();
        let sequences = Sequences::from_lengths((0..self.trace.sequences.len()).map(counted));
        let positions: Vec<_> = saved.iter().map(|&row| self.trace.positions[row]).collect();
        let around = self.stack.rows(&sequences, &positions, &self.trace.stop);
        for index in self.sublayer + 1..self.end {
            self.trace.stop.check()?;
            let sublayer = &self.stack.sublayers[index];
            let input = if sublayer.place_read(index) == index {
                x.clone()
            } else {
                before
            };
            // A cross-attention in this layer takes the source's keys and values from the recorded
            // pass.
            let past = Some(&self.trace.sublayers[index]);
            let beside = (self.memory, past);
            let none = &mut Masks::none();
            let (y, _) = sublayer.forward((&x, &input), &around, beside, none)?;
            before = std::mem::replace(&mut x, y);
        }
        Ok(Streams {
            clean: self.leave(gathered(self.end)?)?,
            zeroed: self.leave(x)?,
        })
    }

    /// Maps the stream after the layer to what the next reader gets. After the topmost layer, that
    /// is the normalized stream, projected if the head is narrower than the stream.
    fn leave(&self, stream: Tensor) -> Result<Tensor> {
        if self.end < self.stack.sublayers.len() {
            return Ok(stream);
        }
        let normalized = match &self.stack.final_norm {
            Some(norm) => norm.forward(&stream)?.0,
            None => stream,
        };
        match self.head {
            Some(head) => head.projected(&normalized),
            None => Ok(normalized),
        }
    }
}
