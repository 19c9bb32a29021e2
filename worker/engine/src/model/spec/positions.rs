//! Specification of how token positions enter a stack.

/// Position vectors that are added to the embeddings of a stack.
#[derive(Debug, Clone, PartialEq)]
pub enum AddedPositions {
    /// Row `offset + position` of a learned table, `[offset + max_positions, hidden]`.
    Learned {
        /// Checkpoint name of the table.
        name: String,
        /// Rows of the table that come before the row of position 0.
        offset: usize,
    },
    /// Sines in the first half of the columns, cosines in the second half.
    Sinusoidal(Waves),
}

/// The frequencies of sinusoidal positions.
///
/// Source: Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waves {
    /// Wave `j` has the frequency `10000^(−2j / hidden)`, computed in double precision.
    Vaswani,
    /// The waves of tensor2tensor, which fairseq adopted. Wave `j` has the frequency
    /// `10000^(−j / (hidden / 2 − 1))`, computed in single precision, and position 0 uses row
    /// `offset`.
    Tensor2tensor {
        /// The row of position 0.
        offset: usize,
        /// The row that holds zeros instead of waves; `None` if there is no such row.
        padding: Option<usize>,
    },
}

impl Waves {
    /// Returns whether `position` falls on the row of zeros.
    pub(in crate::model) fn is_padding(self, position: usize) -> bool {
        match self {
            Self::Vaswani => false,
            Self::Tensor2tensor { offset, padding } => padding == Some(offset + position),
        }
    }
}

/// Biases on attention scores that depend on the positions of query and key.
#[derive(Debug, Clone, PartialEq)]
pub enum ScoreBiasSpec {
    /// `ALiBi`: a slope per head times the key's position. The query's position would add the same
    /// to all keys of a row, which the softmax cancels.
    ///
    /// Source: Press et al. 2021, <https://arxiv.org/abs/2108.12409>.
    Alibi {
        /// One slope per head.
        slopes: Vec<f64>,
        /// Whether slope, position and product are rounded to bfloat16.
        is_bfloat16: bool,
        /// Factor that is applied after the rounding.
        factor: f64,
    },
    /// A learned value for each head and each bucket of distances.
    ///
    /// Source: Raffel et al. 2019, <https://arxiv.org/abs/1910.10683>, section 2.1.
    Relative {
        /// Checkpoint name of the table, `[buckets, heads]`.
        name: String,
        /// Number of heads.
        heads: usize,
        /// Number of buckets.
        buckets: usize,
        /// Distance from which all keys share the last bucket.
        max_distance: usize,
        /// Whether keys after the query have their own buckets.
        is_bidirectional: bool,
    },
}
