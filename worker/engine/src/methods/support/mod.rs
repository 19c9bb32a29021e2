//! Code that several methods share: the path from the baselines to the inputs and its quadrature,
//! the model on changed inputs, neighbors of tokens, ridge regression, names of layers, rows of
//! tokens, and the scores of a stack's tokens for each other.

pub(super) mod layer;
pub(super) mod neighbours;
pub(super) mod path;
pub(super) mod quadrature;
pub(super) mod ridge;
pub(super) mod self_scores;
pub(super) mod tokens;
pub(super) mod variants;
