//! What an architecture is made of, as data.
//!
//! A transformer is one or two stacks; a stack is a list of sublayers around a residual stream; a
//! sublayer is a core between norms. Architectures differ in the values below and in the names of
//! their weights, not in code: the files of `architectures` read `config.json` into a
//! [`ModelSpec`], and nothing below this file knows an architecture's name.

mod attention;
mod feed_forward;
mod linear;
mod norm;
mod positions;

pub use attention::{AttentionSpec, HeadNormSpec, HeadNormWeights};
pub use feed_forward::{ExpertsSpec, FeedForwardSpec, Gate};
pub use linear::{LinearSpec, Projection, Slice};
pub use norm::{NormKind, NormSpec};
pub use positions::{AddedPositions, ScoreBiasSpec, Waves};

pub use crate::kernels::activation_function::Activation;
pub use crate::kernels::rotary::{LongRotary, Pairing, RotarySpec};
use crate::sides::Side;

/// `max_positions` of a model that computes positions of any length: more tokens than a text has.
pub const UNBOUNDED: usize = u32::MAX as usize;

/// A whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of tokens, of the target where the source has a vocabulary of its own.
    pub vocabulary: usize,
    /// Longest sequence either stack has positions for; [`UNBOUNDED`] where nothing limits it.
    pub max_positions: usize,
    /// Checkpoint name of the token embedding of all stacks without one of their own.
    pub embedding: String,
    /// Factor between the embedding table and the vectors attribution speaks of.
    pub embedding_scale: f64,
    /// Reads the source; `None` for decoder-only models.
    pub encoder: Option<StackSpec>,
    /// Reads the target.
    pub decoder: StackSpec,
    /// From hidden states to logits.
    pub head: HeadSpec,
}

impl ModelSpec {
    /// Returns the width of token embeddings, which is that of the stream unless a map leads there.
    pub fn embedding_width(&self) -> usize {
        let projection = self.decoder.input_projection.as_ref();
        projection.map_or(self.hidden, |projection| projection.width)
    }

    /// Returns the stack of `side`, if the model has it.
    pub fn stack(&self, side: Side) -> Option<&StackSpec> {
        match side {
            Side::Source => self.encoder.as_ref(),
            Side::Target => Some(&self.decoder),
        }
    }

    /// Returns the checkpoint name of the token embedding of `side`, and how many tokens it has.
    pub fn embedding_of(&self, side: Side) -> (&str, usize) {
        match self.stack(side).map(|stack| &stack.embedding) {
            Some(StackEmbedding::Own { name, vocabulary }) => (name, *vocabulary),
            _ => (&self.embedding, self.vocabulary),
        }
    }

    /// Returns how many tokens a target has at most whose tokens are turned as usual; `None` where
    /// all targets are.
    pub fn long_rope_threshold(&self) -> Option<usize> {
        let rotations = self.decoder.rotations.iter();
        let beyond = rotations.filter_map(|rotation| Some(rotation.long.as_ref()?.beyond));
        beyond.min()
    }
}

/// Where the token embedding of a stack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackEmbedding {
    /// It is the model's.
    Shared,
    /// It is the model's, which a checkpoint may repeat under this name.
    Repeated(String),
    /// It is the stack's own: an encoder's, of a vocabulary of its own.
    Own {
        /// Checkpoint name.
        name: String,
        /// Number of tokens.
        vocabulary: usize,
    },
}

/// A stack of sublayers.
#[derive(Debug, Clone, PartialEq)]
pub struct StackSpec {
    /// Where its token embedding is.
    pub embedding: StackEmbedding,
    /// From embeddings to the stream, where those are narrower.
    pub input_projection: Option<Projection>,
    /// Factor of the embeddings inside the stack.
    pub input_scale: f64,
    /// What transformers multiplies embeddings by that a caller gives it in place of token ids,
    /// though they are scaled already. Attributing what the model does leaves it out; Inseq's
    /// numbers have it in.
    pub given_scale: f64,
    /// What is added to the embeddings for their positions.
    pub added_positions: Option<AddedPositions>,
    /// Norm of the embeddings, after positions were added.
    pub embedding_norm: Option<NormSpec>,
    /// Rotations that attentions name by index.
    pub rotations: Vec<RotarySpec>,
    /// Biases of attention scores that attentions name by index.
    pub score_biases: Vec<ScoreBiasSpec>,
    /// The sublayers in order; several make up what papers call a layer.
    pub sublayers: Vec<SublayerSpec>,
    /// Norm after the last sublayer.
    pub final_norm: Option<NormSpec>,
}

impl StackSpec {
    /// Returns a stack of `sublayers` without anything around them.
    pub fn new(sublayers: Vec<SublayerSpec>) -> Self {
        Self {
            embedding: StackEmbedding::Shared,
            input_projection: None,
            input_scale: 1.0,
            given_scale: 1.0,
            added_positions: None,
            embedding_norm: None,
            rotations: Vec::new(),
            score_biases: Vec::new(),
            sublayers,
            final_norm: None,
        }
    }
}

/// One step of the residual stream:
/// `y = norm_sum(x + scale · norm_after(core(norm_before(input))))`, where absent norms do nothing
/// and x is the stream or, where `carried` says so, what the core reads.
#[derive(Debug, Clone, PartialEq)]
pub struct SublayerSpec {
    /// Layer this sublayer belongs to, from 0.
    pub layer: usize,
    /// What the core reads.
    pub input: SublayerInput,
    /// What the core's output is added to.
    pub carried: Carried,
    /// Norm of what the core reads.
    pub norm_before: Option<NormSpec>,
    /// What is added to the stream.
    pub core: CoreSpec,
    /// Norm of what the core returns.
    pub norm_after: Option<NormSpec>,
    /// Factor of what is added.
    pub scale: f64,
    /// Norm of the sum.
    pub norm_sum: Option<NormSpec>,
}

impl SublayerSpec {
    /// Returns a sublayer that normalises what its core reads.
    pub fn pre_norm(layer: usize, norm: NormSpec, core: CoreSpec) -> Self {
        Self {
            norm_before: Some(norm),
            ..Self::bare(layer, core)
        }
    }

    /// Returns a sublayer that normalises the sum.
    pub fn post_norm(layer: usize, norm: NormSpec, core: CoreSpec) -> Self {
        Self {
            norm_sum: Some(norm),
            ..Self::bare(layer, core)
        }
    }

    /// Returns a sublayer without norms.
    pub fn bare(layer: usize, core: CoreSpec) -> Self {
        Self {
            layer,
            input: SublayerInput::Stream,
            carried: Carried::Stream,
            norm_before: None,
            core,
            norm_after: None,
            scale: 1.0,
            norm_sum: None,
        }
    }
}

/// What a sublayer's core reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SublayerInput {
    /// The stream as the sublayer before left it.
    Stream,
    /// The stream as the sublayer before found it: the two run in parallel.
    AsSublayerBefore,
}

/// What a sublayer's core adds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// The stream.
    Stream,
    /// The stream as the norm in front of the core leaves it.
    Normalized,
}

/// What a sublayer adds to the residual stream.
#[derive(Debug, Clone, PartialEq)]
pub enum CoreSpec {
    /// Attention over the stack's own rows.
    SelfAttention(AttentionSpec),
    /// Attention over the encoder's output.
    CrossAttention(AttentionSpec),
    /// A function of each row alone.
    FeedForward(FeedForwardSpec),
    /// One of several functions of each row, chosen by the row.
    Experts(ExpertsSpec),
}

impl From<FeedForwardSpec> for CoreSpec {
    fn from(spec: FeedForwardSpec) -> Self {
        Self::FeedForward(spec)
    }
}

impl From<ExpertsSpec> for CoreSpec {
    fn from(spec: ExpertsSpec) -> Self {
        Self::Experts(spec)
    }
}

/// From hidden states to logits: `softcap(W (scale · P h) + bias)`, P absent in most models.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadSpec {
    /// From the stream to the width of the weight, where that is another.
    pub projection: Option<Projection>,
    /// Checkpoint name of the `[vocabulary, hidden]` weight.
    pub weight: HeadWeight,
    /// Checkpoint name of a bias over the vocabulary, and whether it may be absent.
    pub bias: Option<HeadBias>,
    /// Factor of the hidden states.
    pub scale: f64,
    /// Bounds logits smoothly: `c · tanh(logit / c)`.
    pub softcap: Option<f64>,
}

impl HeadSpec {
    /// Returns a head that only multiplies.
    pub fn plain(weight: HeadWeight) -> Self {
        Self {
            projection: None,
            weight,
            bias: None,
            scale: 1.0,
            softcap: None,
        }
    }
}

/// Where the head's weight comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadWeight {
    /// A tensor of its own.
    Own(String),
    /// A tensor of its own where the checkpoint has it, the token embedding elsewhere.
    OwnOrTied(String),
}

/// A bias of the logits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadBias {
    /// `[vocabulary]`.
    Linear(String),
    /// `[1, vocabulary]`, and zero where the checkpoint does not have it.
    FinalLogits(String),
}
