//! One rotation of rows, prepared: which rows of which table, and which way.

use std::sync::Arc;

use super::row_index::RowIndex;
use super::tensor::Tensor;

/// Which entries of a head make a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Entry `j` and entry `planes + j`.
    Halves,
    /// Entries `2j` and `2j + 1`.
    Neighbours,
}

/// Which way to turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) enum Direction {
    /// As the model does.
    Forward,
    /// Back, for cotangents.
    Backward,
}

/// Cosines and sines of positions from 0 on. `[positions, planes]` each.
#[derive(Debug)]
pub(in crate::kernels) struct Table {
    pub(in crate::kernels) positions: usize,
    pub(in crate::kernels) cosines: Tensor,
    pub(in crate::kernels) sines: Tensor,
}

/// A rotation of rows one way, with tables that are long enough.
#[derive(Debug)]
pub(in crate::kernels) struct Turn {
    pub(in crate::kernels) pairing: Pairing,
    pub(in crate::kernels) direction: Direction,
    /// How many heads at the start of a row are turned.
    pub(in crate::kernels) heads: usize,
    /// Width of a head, of which the first `2 · planes` entries are turned.
    pub(in crate::kernels) head_dim: usize,
    pub(in crate::kernels) planes: usize,
    pub(in crate::kernels) usual: Arc<Table>,
    /// The table of long texts, if those are turned otherwise.
    pub(in crate::kernels) long: Option<Arc<Table>>,
    /// For each row the row of its angles, in the usual table and, counted on from its end, in that
    /// of long texts.
    pub(in crate::kernels) angles: RowIndex,
}
