//! The layers that stacks are made of. Each has a forward pass, a trace of what its backward pass
//! needs, and a vector–Jacobian product for many explained tokens at once.

mod cotangents;
mod encoder_output;

pub(super) mod attention;
pub(super) mod cross_attention;
mod experts;
mod feed_forward;
mod latent;
mod linear;
mod mixing;
mod norm;
mod positions;
pub(super) mod row_context;
mod shared_expert;
mod sublayer;
mod sublayer_core;

pub(super) use cotangents::Cotangents;
pub(super) use encoder_output::EncoderOutput;
pub(super) use linear::Linear;
pub(super) use norm::Norm;
pub(super) use positions::{added_positions, score_bias, sinusoids};
pub(super) use sublayer::{Sublayer, SublayerTrace};
