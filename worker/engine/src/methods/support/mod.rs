//! What several methods share: the path from the baselines to the inputs, its quadrature, and the
//! value of the attributed function on changed inputs.

pub(super) mod path;
pub(super) mod quadrature;
pub(super) mod variants;
