//! From the attributed function to gradients at the embeddings, for all steps of a batch.
//!
//! One forward pass serves every step: causality makes the states of a prefix the first states of
//! the whole. Each step is one explained token of the backward pass; they are cut into chunks of bounded rows,
//! one chunk per thread, so that scratch memory is bounded and stays in the cache, and small matrices
//! are never split among threads. A token's bits do not depend on its chunk.

mod pass;
mod predictions;

mod head;
mod steps;

mod backward;
mod chord;

pub(crate) use backward::{at_embeddings, for_each_step};
pub(crate) use chord::for_each_step_between;
pub(crate) use head::at_hidden;
pub(crate) use pass::Pass;
pub(crate) use predictions::{map_logits, values};
pub(crate) use steps::{StepGradient, chunks};
