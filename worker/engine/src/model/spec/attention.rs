//! Attentions.

use super::{LinearSpec, NormKind};

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
    /// How many keys a query sees, its own included; `None` where it sees all.
    pub window: Option<usize>,
    /// Bounds scores smoothly: `c · tanh(score / c)`.
    pub softcap: Option<f64>,
    /// Which rotation of its stack turns queries and keys.
    pub rotation: Option<usize>,
    /// Which bias of its stack is added to the scores.
    pub score_bias: Option<usize>,
    /// Largest magnitude of projected queries, keys and values; what is larger is cut off, before
    /// norms and rotation.
    pub clip: Option<f64>,
    /// Norms of queries and keys, before they are turned.
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
    /// Returns a causal attention whose scores are scaled by `1 / √head_dim`; `projections` are
    /// those of queries, keys and values.
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

/// Norms of queries and of keys.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadNormSpec {
    /// Which one.
    pub kind: NormKind,
    /// Added to the mean square or variance.
    pub epsilon: f64,
    /// Whether all heads are normalised together; each alone otherwise.
    pub is_joint: bool,
    /// Where the weights of queries are.
    pub queries: HeadNormWeights,
    /// Where the weights of keys are.
    pub keys: HeadNormWeights,
}

/// Where the weights of a norm of heads are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadNormWeights {
    /// One set for all heads, `[head_dim]`, or `[heads · head_dim]` where heads are normalised
    /// together. Checkpoint name up to `.weight` and `.bias`.
    Shared(String),
    /// One tensor for all heads, `[heads, head_dim]`.
    Stacked(String),
    /// One tensor per head, `[head_dim]`, at this name with the head's number behind it.
    Numbered(String),
}
