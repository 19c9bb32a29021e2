//! The ways to compare two rows.

/// How two rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distance {
    /// One less the cosine of their angle.
    Cosine,
    /// The length of their difference.
    Euclidean,
}
