//! What an architecture is made of, as data.
//!
//! A transformer is one or two stacks; a stack is a list of sublayers around a residual stream; a
//! sublayer is a norm and a core. Architectures differ in the values below and in the names of
//! their weights, not in code: the files beside this one read `config.json` into a [`ModelSpec`].

/// A whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of tokens.
    pub vocabulary: usize,
    /// Longest sequence either stack has positions for.
    pub max_positions: usize,
    /// Checkpoint name of the token embedding, shared by all stacks.
    pub embedding: String,
    /// Factor between the embedding table and the vectors the stacks see.
    pub embedding_scale: f64,
    /// Reads the source; `None` for decoder-only models.
    pub encoder: Option<StackSpec>,
    /// Reads the target.
    pub decoder: StackSpec,
    /// From hidden states to logits.
    pub head: HeadSpec,
}

/// A stack of sublayers.
#[derive(Debug, Clone, PartialEq)]
pub struct StackSpec {
    /// How token positions enter.
    pub positions: Positions,
    /// The sublayers in order; several make up what papers call a layer.
    pub sublayers: Vec<SublayerSpec>,
    /// Norm after the last sublayer.
    pub final_norm: Option<NormSpec>,
}

/// How token positions enter a stack.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// Queries and keys are rotated by their position.
    Rotary(RotarySpec),
    /// Sine and cosine waves are added to the embeddings, all sines before all cosines.
    Sinusoidal,
}

/// Rotary positions over the whole head, halves rotated against each other.
///
/// Source: Su et al. 2021, <https://arxiv.org/abs/2104.09864>.
#[derive(Debug, Clone, PartialEq)]
pub struct RotarySpec {
    /// Angle per position of each of the `head_dim / 2` planes.
    pub inverse_frequencies: Vec<f32>,
}

/// One step of the residual stream.
#[derive(Debug, Clone, PartialEq)]
pub struct SublayerSpec {
    /// Layer this sublayer belongs to, from 0.
    pub layer: usize,
    /// Where the norm sits.
    pub wiring: Wiring,
    /// The norm.
    pub norm: NormSpec,
    /// What is added to the stream.
    pub core: CoreSpec,
}

/// Where a sublayer's norm sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// `x + core(norm(x))`.
    PreNorm,
    /// `norm(x + core(x))`.
    PostNorm,
}

/// A normalisation of each row.
#[derive(Debug, Clone, PartialEq)]
pub struct NormSpec {
    /// Checkpoint name up to `.weight` and `.bias`.
    pub name: String,
    /// Which one.
    pub kind: NormKind,
    /// Added to the mean square or variance.
    pub epsilon: f64,
}

/// Which normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// `x / rms(x) · weight`. Source: Zhang & Sennrich 2019, <https://arxiv.org/abs/1910.07467>.
    Rms,
    /// `(x − mean) / std · weight + bias`. Source: Ba et al. 2016, <https://arxiv.org/abs/1607.06450>.
    Layer,
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
}

/// Multi-head attention.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionSpec {
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Factor of the scores before the softmax.
    pub scale: f64,
    /// Whether a query sees only keys up to its own position.
    pub causal: bool,
    /// Query projection.
    pub query: LinearSpec,
    /// Key projection.
    pub key: LinearSpec,
    /// Value projection.
    pub value: LinearSpec,
    /// Output projection.
    pub output: LinearSpec,
}

/// A feed-forward network with one hidden layer.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedForwardSpec {
    /// Width of the hidden layer.
    pub inner: usize,
    /// Its nonlinearity.
    pub activation: Activation,
    /// Multiplies the activated values where the network is gated.
    pub gate: Gate,
    /// From the hidden layer back to the stream.
    pub down: LinearSpec,
}

/// Whether a feed-forward network is gated, and its inner projections.
#[derive(Debug, Clone, PartialEq)]
pub enum Gate {
    /// `down(act(up(x)))`.
    Plain {
        /// Into the hidden layer.
        up: LinearSpec,
    },
    /// `down(act(gate(x)) · up(x))`. Source: Shazeer 2020, <https://arxiv.org/abs/2002.05202>.
    Gated {
        /// The activated projection.
        gate: LinearSpec,
        /// The other one.
        up: LinearSpec,
    },
}

/// A nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`, also called swish.
    Silu,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// Returns the activation transformers calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "silu" | "swish" => Some(Self::Silu),
            "relu" => Some(Self::Relu),
            _ => None,
        }
    }
}

/// A linear map stored `[out, in]`, with or without a bias.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearSpec {
    /// Checkpoint name up to `.weight` and `.bias`.
    pub name: String,
    /// Whether it has a bias.
    pub bias: bool,
}

/// From hidden states to logits.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadSpec {
    /// Checkpoint name of the `[vocabulary, hidden]` weight; the embedding itself where tied.
    pub weight: String,
    /// Checkpoint name of a bias over the vocabulary.
    pub bias: Option<String>,
}
