//! What an architecture is made of, as data.
//!
//! A transformer is one or two stacks; a stack is a list of sublayers around a residual stream; a
//! sublayer is a core between norms. Architectures differ in the values below and in the names of
//! their weights, not in code. The files of `architectures` turn a `config.json` into a
//! [`ModelSpec`], and nothing that uses it knows the name of an architecture.

mod attention;
mod feed_forward;
mod linear;
mod norm;
mod positions;

pub use attention::{
    AttentionSpec, HeadNormOrder, HeadNormSpec, HeadNormWeights, LatentSpec, LatentVectorSpec,
};
pub use feed_forward::{CorrectionSpec, ExpertsSpec, FeedForwardSpec, Gate, SharedExpertSpec};
pub use linear::{LinearSpec, Projection, Slice, Stack, StackLayout};
pub use norm::{NormKind, NormSpec};
pub use positions::{AddedPositions, ScoreBiasSpec, Waves};

pub use crate::kernels::activation_function::Activation;
pub use crate::kernels::rotary::{LongRotary, Pairing, RotarySpec};
pub use crate::kernels::routing::{ExpertGroups, RoutingSpec, Scoring};
use crate::sides::Side;

/// `max_positions` of a model without a length limit: more tokens than any text has.
pub const UNBOUNDED: usize = u32::MAX as usize;

/// The specification of a whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Size of the vocabulary; that of the target if each side has its own.
    pub vocabulary: usize,
    /// Maximum length of a sequence in either stack; [`UNBOUNDED`] if there is no limit.
    pub max_positions: usize,
    /// Checkpoint name of the token embedding that stacks share unless they have their own.
    pub embedding: String,
    /// Factor of the embedding table. Attribution is with respect to the scaled vectors.
    pub embedding_scale: f64,
    /// The stack that reads the source; `None` for decoder-only models.
    pub encoder: Option<StackSpec>,
    /// The stack that reads the target.
    pub decoder: StackSpec,
    /// The head, which maps hidden states to logits.
    pub head: HeadSpec,
    /// What else is in its checkpoint.
    pub surroundings: Surroundings,
}

/// What a checkpoint has around the model that reads and writes text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Beginnings of the names of tensors of other parts, such as an encoder of images, which text
    /// does not go through.
    pub skipped: Vec<String>,
    /// Beginnings of tensor names, and what checkpoints may have in their place.
    pub renamed: Vec<(&'static str, &'static str)>,
}

impl ModelSpec {
    /// Returns the width of token embeddings: that of the residual stream, unless a projection
    /// leads there.
    pub fn embedding_width(&self) -> usize {
        let projection = self.decoder.input_projection.as_ref();
        projection.map_or(self.hidden, |projection| projection.width)
    }

    /// Returns the stack of `side`, or `None` if the model does not have it.
    pub fn stack(&self, side: Side) -> Option<&StackSpec> {
        match side {
            Side::Source => self.encoder.as_ref(),
            Side::Target => Some(&self.decoder),
        }
    }

    /// Returns the checkpoint name of the token embedding of `side`, and its number of tokens.
    pub fn embedding_of(&self, side: Side) -> (&str, usize) {
        match self.stack(side).map(|stack| &stack.embedding) {
            Some(StackEmbedding::Own { name, vocabulary }) => (name, *vocabulary),
            _ => (&self.embedding, self.vocabulary),
        }
    }

    /// Returns the maximum length, in tokens, of targets with the short-text rotation of a
    /// long-RoPE model; `None` if the rotation does not depend on the length.
    pub fn long_rope_threshold(&self) -> Option<usize> {
        let rotations = self.decoder.rotations.iter();
        let beyond = rotations.filter_map(|rotation| Some(rotation.long.as_ref()?.beyond));
        beyond.min()
    }
}

/// Where the token embedding of a stack comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackEmbedding {
    /// The model's shared embedding.
    Shared,
    /// The model's shared embedding, of which a checkpoint may contain a copy under this name.
    Repeated(String),
    /// An embedding of its own, for an encoder with its own vocabulary.
    Own {
        /// Checkpoint name.
        name: String,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
}

/// A stack of sublayers: an encoder or a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct StackSpec {
    /// Where its token embedding is.
    pub embedding: StackEmbedding,
    /// Projection from embeddings to the residual stream, if embeddings are narrower.
    pub input_projection: Option<Projection>,
    /// Factor of the embeddings inside the stack.
    pub input_scale: f64,
    /// Factor that transformers applies to embeddings that a caller passes instead of token ids,
    /// although they are already scaled. Attribution of what the model really does leaves it out;
    /// Inseq's numbers include it.
    pub given_scale: f64,
    /// Position vectors that are added to the embeddings.
    pub added_positions: Option<AddedPositions>,
    /// Norm of the embeddings, after positions are added.
    pub embedding_norm: Option<NormSpec>,
    /// Rotations; attentions refer to them by index.
    pub rotations: Vec<RotarySpec>,
    /// Biases on attention scores; attentions refer to them by index.
    pub score_biases: Vec<ScoreBiasSpec>,
    /// The sublayers, in order. What papers call a layer consists of several of these.
    pub sublayers: Vec<SublayerSpec>,
    /// Norm after the last sublayer.
    pub final_norm: Option<NormSpec>,
}

impl StackSpec {
    /// Returns a stack that consists of `sublayers` only.
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
/// `y = norm_sum(x + scale · norm_after(core(norm_before(input))))`.
/// Absent norms do nothing. `x` is the stream or, if `carried` says so, the normalized stream.
#[derive(Debug, Clone, PartialEq)]
pub struct SublayerSpec {
    /// Index of the layer that this sublayer belongs to, from 0.
    pub layer: usize,
    /// Which stream the core reads.
    pub input: SublayerInput,
    /// What the core's output is added to.
    pub carried: Carried,
    /// Norm of the core's input.
    pub norm_before: Option<NormSpec>,
    /// The function whose output is added to the stream.
    pub core: CoreSpec,
    /// Norm of the core's output.
    pub norm_after: Option<NormSpec>,
    /// Factor of the core's output, after its norm.
    pub scale: f64,
    /// Norm of the sum.
    pub norm_sum: Option<NormSpec>,
}

impl SublayerSpec {
    /// Returns a sublayer that normalizes the core's input.
    pub fn pre_norm(layer: usize, norm: NormSpec, core: CoreSpec) -> Self {
        Self {
            norm_before: Some(norm),
            ..Self::bare(layer, core)
        }
    }

    /// Returns a sublayer that normalizes the sum.
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

/// Which stream a sublayer's core reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SublayerInput {
    /// The stream that the preceding sublayer produces.
    Stream,
    /// The stream before the preceding sublayer, so that the two run in parallel.
    AsSublayerBefore,
}

/// What the output of a sublayer's core is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// The residual stream.
    Stream,
    /// The stream as normalized by the norm before the core.
    Normalized,
}

/// The function of a sublayer, between its norms.
#[derive(Debug, Clone, PartialEq)]
pub enum CoreSpec {
    /// Attention over the stack's own rows.
    SelfAttention(AttentionSpec),
    /// Attention over the encoder's output.
    CrossAttention(AttentionSpec),
    /// A function of each row alone.
    FeedForward(FeedForwardSpec),
    /// A mixture of feed-forward networks, chosen separately for each row.
    Experts(ExpertsSpec),
}

impl CoreSpec {
    /// Returns the feed-forward networks of the core, those of a mixture included.
    pub fn networks(&self) -> Vec<&FeedForwardSpec> {
        match self {
            Self::FeedForward(network) => vec![network],
            Self::Experts(experts) => experts.networks().collect(),
            Self::SelfAttention(_) | Self::CrossAttention(_) => Vec::new(),
        }
    }
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

/// The head, from hidden states to logits: `softcap(W (scale · P h) + bias)`. Most models have no
/// `P`.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadSpec {
    /// `P`, from the residual stream to the width of the weight, if the two differ.
    pub projection: Option<Projection>,
    /// Where the weight `W`, `[vocabulary, hidden]`, is.
    pub weight: HeadWeight,
    /// Checkpoint name and layout of a bias over the vocabulary; `None` if there is none.
    pub bias: Option<HeadBias>,
    /// Factor of the hidden states.
    pub scale: f64,
    /// Soft cap of the logits, `c` in `c · tanh(logit / c)`.
    pub softcap: Option<f64>,
}

impl HeadSpec {
    /// Returns a head that only multiplies by its weight.
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
    /// A separate tensor, which must exist.
    Own(String),
    /// A separate tensor if the checkpoint has it, otherwise the token embedding.
    OwnOrTied(String),
}

/// A bias of the logits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadBias {
    /// `[vocabulary]`; must exist.
    Linear(String),
    /// `[1, vocabulary]`; zero if the checkpoint does not have it.
    FinalLogits(String),
}
