//! Specification of attentions.

use super::{LinearSpec, NormKind};

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
    /// Norms of queries and keys, before the rotation.
    pub head_norms: Option<HeadNormSpec>,
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
            query,
            key,
            value,
            output,
        }
    }
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
    /// Where the weights for queries are.
    pub queries: HeadNormWeights,
    /// Where the weights for keys are.
    pub keys: HeadNormWeights,
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
