//! A layer without the value of one key: what stands behind it instead.
//!
//! The layer reads its clean stream, so layers do not depend on each other. In the attention the
//! row's output changes by a sum over heads (see `kernels::attention::removal`); the rest of the
//! layer, row by row, is computed again for the changed rows alone.

use candle_core::Tensor;

use super::Transformer;
use super::hooks::Recorded;
use super::layers::Memory;
use super::sequences::Sequences;
use super::spec::CoreSpec;
use super::stack::{Stack, StackTrace};
use crate::error::Result;
use crate::kernels::attention::{self, Attended, KeyHeads, Pair};
use crate::kernels::rows;
use crate::model::dropout::Masks;
use crate::sides::Side;

/// One attention of one layer, ready to go without values.
pub(crate) struct Zeroable<'a> {
    stack: &'a Stack,
    trace: &'a StackTrace,
    streams: &'a [Tensor],
    memory: Option<&'a Memory>,
    attended: &'a Attended,
    /// Number of the attention among the stack's sublayers.
    sublayer: usize,
    /// Number of the first sublayer of the next layer.
    end: usize,
    /// What the attention adds to the stream. `[rows, hidden]`
    added: Tensor,
    /// What the values of each query head add to a row's output. `[key rows, hidden]` each.
    outputs: Vec<Option<Tensor>>,
}

/// Streams behind a layer, one row a pair. `[pairs, hidden]` each.
pub(crate) struct Streams {
    /// As they are.
    pub(crate) clean: Tensor,
    /// Without the value of the pair's key.
    pub(crate) zeroed: Tensor,
}

impl Transformer {
    /// Returns the decoder's attentions over `read`, its own rows or the source, bottom up: the
    /// layer of each and its number among the sublayers.
    pub(crate) fn attention_sublayers(&self, read: Side) -> Vec<(usize, usize)> {
        let sublayers = self.spec().decoder.sublayers.iter().enumerate();
        let attentions = sublayers.filter(|(_, sublayer)| match &sublayer.core {
            CoreSpec::SelfAttention(_) => read == Side::Target,
            CoreSpec::CrossAttention(_) => read == Side::Source,
            CoreSpec::FeedForward(_) | CoreSpec::Experts(_) => false,
        });
        attentions
            .map(|(index, sublayer)| (sublayer.layer, index))
            .collect()
    }

    /// Prepares decoder sublayer `sublayer` of `recorded`, an attention, to go without values of
    /// `key_heads`.
    pub(crate) fn zeroable<'a>(
        &'a self,
        recorded: &'a Recorded,
        sublayer: usize,
        key_heads: KeyHeads<'_>,
    ) -> Result<Zeroable<'a>> {
        let (stack, trace) = (&self.decoder, &recorded.trace.decoder);
        let memory = recorded.trace.encoder.as_ref().map(|(_, memory)| memory);
        let streams = recorded.target.as_slice();
        let Some(attended) = trace.sublayers[sublayer].attended() else {
            return Err(candle_core::Error::Msg("no attention to zero".to_owned()).bt());
        };
        let input = &streams[stack.sublayers[sublayer].place_read(sublayer)];
        let rows = stack.rows(&trace.sequences, &trace.positions);
        let (added, outputs) =
            stack.sublayers[sublayer].taken_apart(input, &rows, memory, key_heads)?;
        let specs = &self.spec().decoder.sublayers;
        let layer = specs[sublayer].layer;
        let above = specs[sublayer..]
            .iter()
            .position(|spec| spec.layer != layer);
        Ok(Zeroable {
            stack,
            trace,
            streams,
            memory,
            attended,
            sublayer,
            end: above.map_or(specs.len(), |above| sublayer + above),
            added,
            outputs,
        })
    }
}

impl Zeroable<'_> {
    /// Returns the streams of `pairs`, which stand in the order of their sequences.
    pub(crate) fn streams(&self, pairs: &[Pair]) -> Result<Streams> {
        let row = |pair: &Pair| self.trace.sequences.rows(pair.sequence).start + pair.query;
        let saved: Vec<_> = pairs.iter().map(row).collect();
        let gathered = |place: usize| rows::gather(&self.streams[place], &saved);
        let added = rows::gather(&self.added, &saved)?;
        let added = attention::remove_values(&added, self.attended, &self.outputs, pairs)?;
        let mut before = gathered(self.sublayer)?;
        let mut x = self.stack.sublayers[self.sublayer].add(&before, &added)?;

        let counted = |sequence| pairs.iter().filter(|p| p.sequence == sequence).count();
        let sequences = Sequences::of_lengths((0..self.trace.sequences.len()).map(counted));
        let positions: Vec<_> = saved.iter().map(|&row| self.trace.positions[row]).collect();
        let around = self.stack.rows(&sequences, &positions);
        for index in self.sublayer + 1..self.end {
            let sublayer = &self.stack.sublayers[index];
            let input = if sublayer.place_read(index) == index {
                x.clone()
            } else {
                before
            };
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

    /// Returns what is seen of the stream behind the layer: behind the topmost, what the head reads.
    fn leave(&self, stream: Tensor) -> Result<Tensor> {
        match &self.stack.final_norm {
            Some(norm) if self.end == self.stack.sublayers.len() => Ok(norm.forward(&stream)?.0),
            _ => Ok(stream),
        }
    }
}
