//! The mathematics of attribution: which input tokens made the model produce each output token.
//!
//! [`Engine::load`] reads a Hugging Face folder, [`Engine::prepare`] checks a specification against
//! the registries, [`Attributor::attribute`] computes. Below: `text` turns text into ids, `model`
//! is the hooked transformer with its vector–Jacobian product, `generate` continues a prompt,
//! `sampler` proposes other tokens for a text, `gradient` takes the attributed function back to the
//! embeddings, `methods`, `step_functions` and
//! `aggregate` are the three registries, `kernels` is where the time goes and the only place with
//! `unsafe`.
//!
//! No async, no network, no clock: the same input and seed give the same bits, in whatever batch
//! an example is computed.

pub mod attribution;
pub mod engine;
pub mod error;

mod collector;
mod contrast;
mod instance;
mod memory;
mod specification;
pub mod text;

pub mod generate;
mod gradient;
pub mod model;

pub mod aggregate;
pub mod methods;
mod registry;
pub mod sampler;
pub mod sides;
pub mod step_functions;

mod digest;
pub(crate) mod kernels;
pub(crate) mod random;

pub use attribution::{Attribution, Example, ScoreRows, SequenceScores, StepAttribution, Token};
pub use digest::digest;
pub use engine::{Attributor, Engine};
pub use error::{Error, ErrorScope};
pub use registry::Entry;
pub use sides::Side;
pub use specification::{check, check_pinned, pin};
