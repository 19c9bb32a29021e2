//! What several methods share: the path from the baselines to the inputs and its quadrature, the
//! model on changed inputs, neighbours of tokens, ridge regression, names of layers, tokens that look
//! at those of their own stack.

pub(super) mod layer;
pub(super) mod neighbours;
pub(super) mod path;
pub(super) mod quadrature;
pub(super) mod ridge;
pub(super) mod self_scores;
pub(super) mod variants;
