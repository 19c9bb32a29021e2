//! What an attention works on, and what its forward pass keeps for the backward pass.

use std::ops::Range;

use crate::kernels::score_bias::ScoreBias;
use crate::kernels::tensor::Tensor;
use crate::stop::Stop;

/// The heads of an attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Heads {
    /// Number of query heads.
    pub(crate) queries: usize,
    /// Number of key and value heads.
    pub(crate) keys: usize,
    /// Width of a head.
    pub(crate) dim: usize,
    /// Factor of the scores before the softmax.
    pub(crate) scale: f64,
    /// Whether a query sees only keys up to its own position.
    pub(crate) causal: bool,
    /// How many keys a query sees, its own included; all when absent.
    pub(crate) window: Option<usize>,
    /// Bounds scores smoothly: `c · tanh(score / c)`.
    pub(crate) softcap: Option<f64>,
}

impl Heads {
    pub(in crate::kernels) fn key_head(&self, query_head: usize) -> usize {
        query_head / (self.queries / self.keys)
    }

    /// Returns which of `keys` the query at `position` sees.
    pub(in crate::kernels) fn seen(&self, position: usize, keys: usize) -> Range<usize> {
        let end = if self.causal { position + 1 } else { keys };
        let first = self
            .window
            .map_or(0, |window| (position + 1).saturating_sub(window));
        first..end
    }
}

/// Heads inside a projection: the columns from `column` on of a `[rows, width]` tensor.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub(crate) rows: Tensor,
    pub(crate) column: usize,
}

/// What an attention works on. Rows of values belong to rows of keys.
#[derive(Debug, Clone)]
pub(crate) struct Projections {
    pub(crate) queries: Columns,
    pub(crate) keys: Columns,
    pub(crate) values: Columns,
}

/// An attention to compute.
pub(crate) struct Attention<'a> {
    pub(crate) heads: Heads,
    pub(crate) projections: Projections,
    /// One entry per sequence.
    pub(crate) sequences: Vec<Sequence>,
    /// What is added to the scores, if anything.
    pub(crate) bias: Option<&'a ScoreBias>,
    /// Cancels the forward pass and the backward pass. A head of a long text takes so long that both
    /// look at it before every head.
    pub(crate) stop: &'a Stop,
}

/// What the backward pass needs of an attention's forward pass.
#[derive(Debug, Clone)]
pub(crate) struct AttentionTrace {
    pub(crate) heads: Heads,
    pub(crate) queries: Columns,
    pub(crate) keys: Columns,
    pub(crate) values: Columns,
    /// Weights of sequence after sequence, each `[head, query, key]`.
    pub(crate) weights: Tensor,
    /// Dropout factors of the weights, if any, laid out as they are.
    pub(crate) mask: Option<Tensor>,
    /// One entry per sequence.
    pub(crate) sequences: Vec<Sequence>,
    /// Cancels the backward pass.
    pub(crate) stop: Stop,
}

/// Where one sequence lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// Rows of the queries.
    pub(crate) queries: Range<usize>,
    /// Rows of the keys and values.
    pub(crate) keys: Range<usize>,
    /// Index of its first weight.
    pub(crate) first_weight: usize,
}

impl Sequence {
    /// Returns how many weights the sequence has: `[head, query, key]`.
    pub(in crate::kernels) fn num_weights(&self, heads: Heads) -> usize {
        heads.queries * self.queries.len() * self.keys.len()
    }

    /// Returns how many keys come from an earlier pass that a causal pass continues.
    pub(in crate::kernels) fn num_earlier(&self, heads: Heads) -> usize {
        if heads.causal {
            self.keys.len() - self.queries.len()
        } else {
            0
        }
    }
}

/// Cotangent rows of one explained token: those of queries `positions` of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExplainedQueries {
    /// Index of the sequence.
    pub(crate) sequence: usize,
    /// Positions in the sequence.
    pub(crate) positions: Range<usize>,
}

/// The cotangents of queries, `[cotangent query rows, heads · dim]`, and of keys and values side by
/// side, `[cotangent key rows, 2 · key heads · dim]`. A token of a causal attention has key rows up to
/// its last query, those of an earlier pass left out; another one all of its sequence's.
pub(crate) struct AttentionCotangents {
    pub(crate) queries: Tensor,
    pub(crate) keys_and_values: Tensor,
}

/// A row of an attention's output, and the key whose value is taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Index of the sequence.
    pub(crate) sequence: usize,
    /// Position of the query.
    pub(crate) query: usize,
    /// Position of the key.
    pub(crate) key: usize,
}

/// A query, and the first tokens of its sequence as the keys it attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueryRow {
    /// Index of the sequence.
    pub(crate) sequence: usize,
    /// Position of the query.
    pub(crate) position: usize,
    /// How many tokens it attends to.
    pub(crate) tokens: usize,
}

impl AttentionTrace {
    /// Returns the elements of the weights that belong to each sequence.
    pub(crate) fn weights_of_sequences(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.sequences.iter().map(|sequence| {
            sequence.first_weight..sequence.first_weight + sequence.num_weights(self.heads)
        })
    }
}

/// Returns how many key rows each token's cotangents have.
pub(crate) fn num_key_rows(heads: Heads, sequence: &Sequence, token: &ExplainedQueries) -> usize {
    if heads.causal {
        token.positions.end
    } else {
        sequence.keys.len()
    }
}

/// Returns where sequences with the given query and key rows lie, and how many weights they have.
pub(crate) fn lay_out(
    heads: Heads,
    rows: impl Iterator<Item = (Range<usize>, Range<usize>)>,
) -> (Vec<Sequence>, usize) {
    let mut num_weights = 0;
    let sequences = rows
        .map(|(queries, keys)| {
            let sequence = Sequence {
                queries,
                keys,
                first_weight: num_weights,
            };
            num_weights += sequence.num_weights(heads);
            sequence
        })
        .collect();
    (sequences, num_weights)
}
