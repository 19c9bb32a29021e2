//! What several methods share: the path from the baselines to the inputs, its quadrature, seeded
//! randomness, and the value of the attributed function on changed inputs.

pub(super) mod path;
pub(super) mod quadrature;
pub(super) mod random;
pub(super) mod variants;
