//! From the attributed function to gradients at the embeddings, for all steps of a batch.
//!
//! One forward pass serves every step: in a causal decoder, the states of a prefix are the first
//! states of the whole sequence. In the backward pass each step is one explained token. The steps
//! are split into chunks with a bounded number of rows, one chunk per thread, so that scratch
//! memory is bounded and fits the cache, and small matrix products are never split across threads.
//! The bits of a step's gradient do not depend on its chunk.

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
pub(crate) use predictions::{map_logits, map_steps, values};
pub(crate) use steps::{StepGradient, chunks};
