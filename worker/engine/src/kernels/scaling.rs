//! A norm's weights, and what its forward pass keeps for its backward pass.

use super::tensor::Tensor;

/// A norm with its weights. A row has one mean per group.
#[derive(Debug)]
pub(crate) struct Scaling {
    /// `[width]`
    pub(crate) weight: Tensor,
    /// `[width]`
    pub(crate) bias: Option<Tensor>,
    /// Entries that are normalized together; divides the width.
    pub(crate) group: usize,
    /// Whether the mean is subtracted.
    pub(crate) is_centered: bool,
    /// Added to the mean square or variance.
    pub(crate) epsilon: f64,
}

/// What the backward pass needs of a norm's forward pass.
#[derive(Debug, Clone)]
pub(crate) struct Normalized {
    /// Rows without weight and bias. `[rows, width]`
    pub(crate) unit: Tensor,
    /// 1/σ of each group. `[rows · groups]`
    pub(crate) inverse_deviation: Tensor,
}
