//! Specification of linear maps, and of where a checkpoint keeps them.

/// A linear map with or without a bias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearSpec {
    /// Checkpoint name without `.weight` or `.bias`.
    pub name: String,
    /// Whether it has a bias.
    pub bias: bool,
    /// Whether the weight is stored `[in, out]`, as in GPT-2, instead of `[out, in]`.
    pub is_transposed: bool,
    /// Which outputs of the stored map belong to this one; `None` if all do.
    pub slice: Option<Slice>,
    /// The stack that the stored map is in; `None` if it has tensors of its own.
    pub stack: Option<Stack>,
}

/// The place of a map in tensors that hold the maps of several experts, one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stack {
    /// Index of the map.
    pub index: usize,
    /// Number of maps.
    pub count: usize,
    /// How the tensors are named and shaped.
    pub layout: StackLayout,
}

/// How the tensors of a [`Stack`] are named and shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackLayout {
    /// `{name}.weight`, with the maps along a first dimension of their own.
    Module,
    /// `{name}` and `{name}_bias`, with the maps along a first dimension of their own.
    Parameter,
    /// `{name}`, with the first dimensions of all maps joined.
    Joined,
}

/// A linear map between the residual stream and embeddings of another width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// The map.
    pub linear: LinearSpec,
    /// Width of the end that is not the stream.
    pub width: usize,
}

/// The outputs that belong to one projection in a map that stores several. They come in runs of
/// `length` outputs; the first run begins at `start`, and each next one `stride` outputs later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Number of outputs of the stored map.
    pub stored: usize,
    /// Index of the first output.
    pub start: usize,
    /// Number of outputs per run.
    pub length: usize,
    /// Distance between the starts of two runs.
    pub stride: usize,
}

impl LinearSpec {
    /// Returns a map that is stored by itself, as `[out, in]`.
    pub fn new(name: impl Into<String>, bias: bool) -> Self {
        Self {
            name: name.into(),
            bias,
            is_transposed: false,
            slice: None,
            stack: None,
        }
    }

    /// Returns the checkpoint name of the weight.
    pub fn weight_name(&self) -> String {
        match self.stack.map(|stack| stack.layout) {
            None | Some(StackLayout::Module) => format!("{}.weight", self.name),
            Some(StackLayout::Parameter | StackLayout::Joined) => self.name.clone(),
        }
    }

    /// Returns the checkpoint name of the bias.
    pub fn bias_name(&self) -> String {
        match self.stack.map(|stack| stack.layout) {
            None | Some(StackLayout::Module) => format!("{}.bias", self.name),
            Some(StackLayout::Parameter | StackLayout::Joined) => format!("{}_bias", self.name),
        }
    }

    /// Returns the same map, stored as `[in, out]`.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            is_transposed: true,
            ..self
        }
    }

    /// Returns the map that consists of the outputs in `slice` of the stored one.
    #[must_use]
    pub fn sliced(self, slice: Slice) -> Self {
        Self {
            slice: Some(slice),
            ..self
        }
    }

    /// Returns the map in place `index` of a stack of `count` maps.
    #[must_use]
    pub fn stacked(self, layout: StackLayout, index: usize, count: usize) -> Self {
        let stack = Stack {
            index,
            count,
            layout,
        };
        Self {
            stack: Some(stack),
            ..self
        }
    }

    /// Splits the stored map into maps of consecutive outputs, with the given widths.
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

    /// Splits the stored map into maps with the given widths, in a pattern that repeats `groups`
    /// times, such as queries, keys and values head by head.
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

impl Stack {
    /// Returns the shape of the tensor that stacks tensors of the shape `one`.
    pub fn shape(self, one: &[usize]) -> Vec<usize> {
        match self.layout {
            StackLayout::Module | StackLayout::Parameter => [&[self.count], one].concat(),
            StackLayout::Joined => [&[self.count * one[0]], &one[1..]].concat(),
        }
    }
}

impl Slice {
    /// Returns the ranges of stored outputs that belong to the slice.
    pub fn runs(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        (self.start..self.stored)
            .step_by(self.stride)
            .map(move |start| start..start + self.length)
    }
}
