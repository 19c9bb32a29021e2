//! Inputs and outputs of a pass of the model.

use super::layers::EncoderOutput;
use super::sequences::{CachedPrefix, Sequences};
use super::stack::{Depth, StackTrace};
use super::stream::StreamPlace;
use crate::kernels::Tensor;
use crate::kernels::attention::AttentionTrace;
use crate::sides::Side;

/// Embeddings of several sequences, one after another.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// `[rows, embedding width]`, which is the width of the stream unless a projection follows.
    pub rows: Tensor,
    /// Where each sequence is in `rows`.
    pub sequences: Sequences,
}

/// The inputs of a forward pass. Source `i` belongs to target `i`.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Encoder input; `None` for decoder-only models.
    pub source: Option<Embedded>,
    /// Decoder input.
    pub target: Embedded,
}

/// One forward pass, with everything its backward pass needs.
#[derive(Debug, Clone)]
pub struct Trace {
    pub(super) encoder: Option<(StackTrace, EncoderOutput)>,
    pub(super) decoder: StackTrace,
    /// Input of the head. `[target rows, hidden]`
    pub(super) hidden: Tensor,
}

/// One explained token, given by the row whose logits predict it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedToken {
    /// Index of the sequence in the batch.
    pub sequence: usize,
    /// Position, in the sequence, of the row that predicts the token.
    pub position: usize,
}

/// The inputs that gradients are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Source embeddings only.
    Source,
    /// Target embeddings only.
    Target,
    /// Target embeddings, and source embeddings if there are any.
    All,
    /// The residual stream at a place between sublayers; the place names its stack.
    Stream(StreamPlace),
}

/// Gradients of several explained tokens, concatenated.
#[derive(Debug)]
pub struct Gradients {
    /// For each explained token, the rows of its whole source; `None` if not wanted.
    /// `[cotangent source rows, hidden]`
    pub source: Option<Tensor>,
    /// For each explained token, the rows up to and including its position; `None` if not wanted.
    /// `[cotangent target rows, hidden]`
    pub target: Option<Tensor>,
}

impl Wanted {
    /// Returns how far cotangents go down in the decoder.
    pub(super) fn depth_in_decoder(self) -> Depth {
        match self {
            Self::Target | Self::All => Depth::Embeddings,
            Self::Stream(place) if place.side == Side::Target => Depth::Sublayer(place.sublayer),
            // The encoder's cotangents come from the cross-attentions, so nothing below the lowest
            // one is needed.
            Self::Source | Self::Stream(_) => Depth::LowestCrossAttention,
        }
    }

    /// Returns how far cotangents go down in the encoder; `None` if they need not enter it.
    pub(super) fn depth_in_encoder(self) -> Option<Depth> {
        match self {
            Self::Source | Self::All => Some(Depth::Embeddings),
            Self::Stream(place) if place.side == Side::Source => {
                Some(Depth::Sublayer(place.sublayer))
            }
            Self::Target | Self::Stream(_) => None,
        }
    }
}

impl Trace {
    /// Drops all sequences but `kept`, to serve as the past of a later pass over those alone.
    pub fn keep(&mut self, kept: &[usize]) {
        self.decoder.keep(kept);
    }

    /// Drops everything except the head's inputs.
    pub(crate) fn head_only(mut self) -> Self {
        self.encoder = None;
        self.decoder.sublayers.clear();
        self
    }

    /// Returns the self-attentions of the encoder, bottom up; empty if there is no encoder.
    pub(crate) fn encoder_attentions(&self) -> impl Iterator<Item = &AttentionTrace> {
        let encoders = self.encoder.iter();
        encoders.flat_map(|(trace, _)| trace.attentions())
    }

    /// Returns the attentions of the decoder, bottom up. In an encoder-decoder model, each
    /// self-attention is followed by a cross-attention.
    pub(crate) fn decoder_attentions(&self) -> impl Iterator<Item = &AttentionTrace> {
        self.decoder.attentions()
    }

    /// Returns the prefixes `cut` of the decoder's sequences, as the past of a later pass. A
    /// sequence may be named several times. Nothing is recomputed.
    pub(crate) fn cached_prefixes(&self, cut: &[CachedPrefix]) -> Self {
        Self {
            decoder: self.decoder.cached_prefixes(cut),
            ..self.clone()
        }
    }
}
