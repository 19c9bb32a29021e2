//! How token positions enter a stack.

/// What is added to the embeddings of a stack.
#[derive(Debug, Clone, PartialEq)]
pub enum AddedPositions {
    /// Row `offset + position` of a table. `[offset + max_positions, hidden]`
    Learned {
        /// Checkpoint name of the table.
        name: String,
        /// Rows of the table before that of position 0.
        offset: usize,
    },
    /// Sines in the first half of the columns, cosines in the second.
    Sinusoidal(Waves),
}

/// Which waves a sinusoidal position has.
///
/// Source: Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waves {
    /// Wave `j` has the frequency `10000^(−2j / hidden)`, in double precision.
    Vaswani,
    /// Wave `j` has the frequency `10000^(−j / (hidden / 2 − 1))`, in single precision, and
    /// position 0 stands at `offset`: the waves of tensor2tensor, which fairseq took over.
    Tensor2tensor {
        /// Where position 0 stands.
        offset: usize,
        /// Where there are zeros instead of waves, if anywhere.
        padding: Option<usize>,
    },
}

impl Waves {
    /// Returns whether there are zeros at `position` instead of waves.
    pub(in crate::model) fn is_padding(self, position: usize) -> bool {
        match self {
            Self::Vaswani => false,
            Self::Tensor2tensor { offset, padding } => padding == Some(offset + position),
        }
    }
}

/// What is added to attention scores for the positions of query and key.
#[derive(Debug, Clone, PartialEq)]
pub enum ScoreBiasSpec {
    /// One slope per head times the key's position.
    ///
    /// Source: Press et al. 2021, <https://arxiv.org/abs/2108.12409>.
    Alibi {
        /// One a head.
        slopes: Vec<f64>,
        /// Whether slope, position and product are rounded to bfloat16.
        is_bfloat16: bool,
        /// Factor after rounding.
        factor: f64,
    },
    /// A learned value for each head and bucket of distances.
    ///
    /// Source: Raffel et al. 2019, <https://arxiv.org/abs/1910.10683>, section 2.1.
    Relative {
        /// Checkpoint name of the table. `[buckets, heads]`
        name: String,
        /// Number of heads.
        heads: usize,
        /// Number of buckets.
        buckets: usize,
        /// Distance from which on all keys share the last bucket.
        max_distance: usize,
        /// Whether keys after the query have buckets of their own.
        is_bidirectional: bool,
    },
}
