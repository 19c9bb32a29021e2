//! What goes into a pass of the model, and what comes out of it.

use candle_core::Tensor;

use super::layers::EncoderOutput;
use super::sequences::{CachedPrefix, Sequences};
use super::stack::{Depth, StackTrace};
use super::stream::StreamPlace;
use crate::kernels::attention::AttentionTrace;
use crate::sides::Side;

/// Embedded sequences, one after another.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// `[rows, embedding width]`, the width of the stream where nothing projects embeddings.
    pub rows: Tensor,
    /// Where each sequence lies.
    pub sequences: Sequences,
}

/// What goes into a forward pass. Source `i` belongs to target `i`.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Encoder input; `None` for decoder-only models.
    pub source: Option<Embedded>,
    /// Decoder input.
    pub target: Embedded,
}

/// One forward pass, with what the backward pass needs.
#[derive(Debug, Clone)]
pub struct Trace {
    pub(super) encoder: Option<(StackTrace, EncoderOutput)>,
    pub(super) decoder: StackTrace,
    /// Input of the head. `[target rows, hidden]`
    pub(super) hidden: Tensor,
}

/// One explained token: the row whose logits predict it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedToken {
    /// Index of the sequence.
    pub sequence: usize,
    /// Position of the row that predicts the token.
    pub position: usize,
}

/// Which inputs gradients are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Source embeddings only.
    Source,
    /// Target embeddings only.
    Target,
    /// Target embeddings, and source embeddings where there are any.
    All,
    /// The stream at a place between the layers, in whose stack it is.
    Stream(StreamPlace),
}

/// Gradients of several explained tokens, one after another.
#[derive(Debug)]
pub struct Gradients {
    /// For each explained token the rows of its whole source. `[cotangent source rows, hidden]`
    pub source: Option<Tensor>,
    /// For each explained token the rows up to and including its position. `[cotangent target rows, hidden]`
    pub target: Option<Tensor>,
}

impl Wanted {
    pub(super) fn depth_in_decoder(self) -> Depth {
        match self {
            Self::Target | Self::All => Depth::Embeddings,
            Self::Stream(place) if place.side == Side::Target => Depth::Sublayer(place.sublayer),
            Self::Source | Self::Stream(_) => Depth::LowestCrossAttention,
        }
    }

    /// Returns how far the encoder's cotangents are taken, if at all.
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
    /// Forgets every sequence but `kept`, as the past of a later pass over those alone.
    pub fn keep(&mut self, kept: &[usize]) {
        self.decoder.keep(kept);
    }

    /// Forgets everything but the head's inputs.
    pub(crate) fn head_only(mut self) -> Self {
        self.encoder = None;
        self.decoder.sublayers.clear();
        self
    }

    /// Returns the self-attentions of the encoder, bottom up; none where there is no encoder.
    pub(crate) fn encoder_attentions(&self) -> impl Iterator<Item = &AttentionTrace> {
        let encoders = self.encoder.iter();
        encoders.flat_map(|(trace, _)| trace.attentions())
    }

    /// Returns the attentions of the decoder, bottom up; in a model with an encoder each
    /// self-attention is followed by a cross-attention.
    pub(crate) fn decoder_attentions(&self) -> impl Iterator<Item = &AttentionTrace> {
        self.decoder.attentions()
    }

    /// Returns the prefixes `cut` of the decoder's sequences, each as often as it is named, as
    /// the past of a later pass. Nothing is computed again.
    pub(crate) fn cached_prefixes(&self, cut: &[CachedPrefix]) -> Self {
        Self {
            decoder: self.decoder.cached_prefixes(cut),
            ..self.clone()
        }
    }
}
