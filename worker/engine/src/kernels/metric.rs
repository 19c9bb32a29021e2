//! The ways to compare two rows.

/// Norms below this are taken for it in a cosine. `PyTorch`'s own limit.
pub(in crate::kernels) const SMALLEST_NORM: f64 = 1e-8;

/// How two rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distance {
    /// One less the cosine of their angle.
    Cosine,
    /// The length of their difference.
    Euclidean,
}
