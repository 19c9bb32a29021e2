//! Linear maps, and where a checkpoint keeps them.

/// A linear map with or without a bias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearSpec {
    /// Checkpoint name up to `.weight` and `.bias`.
    pub name: String,
    /// Whether it has a bias.
    pub bias: bool,
    /// Whether the weight is stored `[in, out]`, as GPT-2's layers do, not `[out, in]`.
    pub is_transposed: bool,
    /// Which outputs of the stored map are this one's; `None` where all are.
    pub slice: Option<Slice>,
}

/// A map between the stream and embeddings of another width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// The map.
    pub linear: LinearSpec,
    /// Width of its end that is not the stream.
    pub width: usize,
}

/// Some outputs of a map that several projections are stored in: from `start` on `length` of every
/// `stride`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Outputs of the stored map.
    pub stored: usize,
    /// First output.
    pub start: usize,
    /// Outputs of one run.
    pub length: usize,
    /// Outputs between the starts of two runs.
    pub stride: usize,
}

impl LinearSpec {
    /// Returns a map stored by itself, `[out, in]`.
    pub fn new(name: impl Into<String>, bias: bool) -> Self {
        Self {
            name: name.into(),
            bias,
            is_transposed: false,
            slice: None,
        }
    }

    /// Returns the map, stored `[in, out]`.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            is_transposed: true,
            ..self
        }
    }

    /// Returns the map of some outputs of what is stored.
    #[must_use]
    pub fn sliced(self, slice: Slice) -> Self {
        Self {
            slice: Some(slice),
            ..self
        }
    }

    /// Returns the maps of consecutive runs of outputs, as long as `widths` says.
    #[must_use]
    pub fn split<const N: usize>(self, widths: [usize; N]) -> [Self; N] {
        let stored = widths.iter().sum();
        let mut start = 0;
        widths.map(|length| {
            start += length;
            self.clone().sliced(Slice {
                stored,
                start: start - length,
                length,
                stride: stored,
            })
        })
    }

    /// Returns the maps of runs of outputs as long as `widths` says, which repeat `groups` times:
    /// queries, keys and values head by head.
    #[must_use]
    pub fn split_in_groups<const N: usize>(self, groups: usize, widths: [usize; N]) -> [Self; N] {
        let stride: usize = widths.iter().sum();
        let mut start = 0;
        widths.map(|length| {
            start += length;
            self.clone().sliced(Slice {
                stored: groups * stride,
                start: start - length,
                length,
                stride,
            })
        })
    }
}

impl Slice {
    /// Returns the runs of stored outputs.
    pub fn runs(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        (self.start..self.stored)
            .step_by(self.stride)
            .map(move |start| start..start + self.length)
    }
}
