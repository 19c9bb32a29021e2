//! Specification of attentions.

use super::{LinearSpec, NormKind, NormSpec};

/// A multi-head attention.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionSpec {
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads. Each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Factor of the scores, before the softmax.
    pub scale: f64,
    /// Whether a query sees only keys up to its own position.
    pub causal: bool,
    /// How many keys a query sees, its own included; `None` if there is no limit.
    pub window: Option<usize>,
    /// Soft cap of the scores, `c` in `c · tanh(score / c)`.
    pub softcap: Option<f64>,
    /// Index of the stack's rotation for queries and keys; `None` if they are not rotated.
    pub rotation: Option<usize>,
    /// Index of the stack's score bias; `None` if there is none.
    pub score_bias: Option<usize>,
    /// Limit for the magnitude of projected queries, keys and values. Larger ones are clipped,
    /// before norms and rotation.
    pub clip: Option<f64>,
    /// Norms of queries and keys.
    pub head_norms: Option<HeadNormSpec>,
    /// Latent vectors that queries, keys and values come from; `None` if they are projected from the
    /// rows themselves.
    pub latent: Option<LatentSpec>,
    /// Query projection.
    pub query: LinearSpec,
    /// Key projection.
    pub key: LinearSpec,
    /// Value projection.
    pub value: LinearSpec,
    /// Output projection.
    pub output: LinearSpec,
}

impl AttentionSpec {
    /// Returns a causal attention with scores scaled by `1 / √head_dim`. `projections` are those
    /// of queries, keys and values.
    pub fn causal(
        (heads, kv_heads, head_dim): (usize, usize, usize),
        [query, key, value]: [LinearSpec; 3],
        output: LinearSpec,
    ) -> Self {
        Self {
            heads,
            kv_heads,
            head_dim,
            scale: (head_dim as f64).powf(-0.5),
            causal: true,
            window: None,
            softcap: None,
            rotation: None,
            score_bias: None,
            clip: None,
            head_norms: None,
            latent: None,
            query,
            key,
            value,
            output,
        }
    }
}

/// Latent vectors of a self-attention.
///
/// The attention's `query` then leads from the latent vector of queries, if there is one, to all
/// heads, the rotated part of each last. `key` leads from the latent vector of keys and values to the
/// parts of the keys that are not rotated, and `value` to the values.
///
/// Source: DeepSeek-AI 2024, <https://arxiv.org/abs/2405.04434>, section 2.1.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentSpec {
    /// The latent vector of queries; `None` if they are projected from the rows themselves.
    pub queries: Option<LatentVectorSpec>,
    /// The latent vector of keys and values.
    pub keys_and_values: LatentVectorSpec,
    /// Map from a row to the part of the keys that is rotated. All heads share it.
    pub shared_key: LinearSpec,
    /// Width of that part, and of the rotated part of each query head.
    pub rotated: usize,
    /// Width of a value head; at most that of a query head.
    pub value_dim: usize,
}

/// A normalized vector between a row and what is projected from it.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentVectorSpec {
    /// Map from a row to the vector.
    pub down: LinearSpec,
    /// Width of the vector.
    pub width: usize,
    /// Its norm.
    pub norm: NormSpec,
}

/// Norms on the heads of queries and of keys.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadNormSpec {
    /// The kind of norm.
    pub kind: NormKind,
    /// Added to the mean square or the variance, so that the norm never divides by zero.
    pub epsilon: f64,
    /// Whether all heads are normalized together instead of each one alone.
    pub is_joint: bool,
    /// Whether they come before or after the rotation.
    pub order: HeadNormOrder,
    /// Where the weights for queries are.
    pub queries: HeadNormWeights,
    /// Where the weights for keys are.
    pub keys: HeadNormWeights,
}

/// Which of head norms and rotation comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadNormOrder {
    /// The norms, as in most families.
    BeforeRotation,
    /// The rotation.
    AfterRotation,
}

/// Where the weights of head norms are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadNormWeights {
    /// One set for all heads, `[head_dim]`, or `[heads · head_dim]` if heads are normalized
    /// together. Checkpoint name without `.weight` or `.bias`.
    Shared(String),
    /// One tensor with the weights of all heads, `[heads, head_dim]`.
    Stacked(String),
    /// One tensor per head, `[head_dim]`, named by this prefix and the head's index.
    Numbered(String),
}
