//! The mathematics of attribution: which input tokens made the model produce each output token.
//!
//! [`Engine::load`] reads a Hugging Face folder, [`Engine::prepare`] checks a specification against
//! the registries, [`Attributor::attribute`] computes.
//!
//! No async, no network, no clock: the same input and seed give the same bits, in whatever batch
//! an example is computed.
//!
//! # Layers
//!
//! A module imports only from modules further down this list; `tests/tidy` reads it and checks.
//!
//! * `context`: which tokens of an output depend on a context, and on which of its tokens.
//! * `engine`: loads a model, prepares a specification, attributes examples.
//! * `loading`: everything that loading a model opens, checked.
//! * `request`: what is wrong with a request as a whole, before a model is loaded.
//! * `collector`: takes the scores that a method records.
//! * `specification`: a specification checked and built, and pinned for a job.
//! * `methods`: the registry of attribution methods.
//! * `gradient`: takes the attributed function back to the embeddings.
//! * `batch`: examples that are explained together.
//! * `encode`: turns an example's texts into an instance.
//! * `step_functions`: the registry of what is attributed and recorded.
//! * `aggregate`: the registry of what makes table scores of raw ones.
//! * `sampler`: proposes other tokens for a text.
//! * `generate`: continues a prompt.
//! * `compute`: how much is computed at once.
//! * `footprint`: how much memory passes take.
//! * `memory`: how much memory there is.
//! * `instance`: an example as tokens, and what it is contrasted with.
//! * `text`: between text and token ids.
//! * `digest`: what the files of a model hold, as a name.
//! * `model`: the hooked transformer with its vector–Jacobian product.
//! * `kernels`: where the time goes, and the only place with `unsafe`.
//! * `attribution`: what goes in and what comes out, as plain data.
//! * `registry`: tables of named things.
//! * `random`: streams of random numbers, named by seed and example.
//! * `sides`: source and target.
//! * `notice`: what a person should know about a model's files.
//! * `stop`: asks a computation to end.
//! * `error`: what can go wrong.

pub mod attribution;
pub mod context;
pub mod engine;
pub mod error;

mod collector;
mod compute;
mod encode;
mod footprint;
mod loading;
mod memory;
pub mod notice;
mod request;
mod specification;
mod stop;
pub mod text;

pub mod generate;
mod gradient;
pub mod model;

pub mod aggregate;
mod batch;
mod instance;
pub mod methods;
mod registry;
pub mod sampler;
pub mod sides;
pub mod step_functions;

mod digest;
pub(crate) mod kernels;
pub(crate) mod random;

pub use attribution::{
    Attribution, Example, InputKind, ScoreRows, SequenceScores, StepAttribution, Token,
};
pub use digest::digest;
pub use engine::{Attributor, Engine, check_memory};
pub use error::{Error, ErrorScope, OUT_OF_MEMORY};
pub use kernels::{DeviceChoice, DeviceError, Place, Tensor, UnknownDevice, numerics_class};
pub use loading::{ConfigCheck, ModelCheck, check_config, check_model};
pub use memory::LEAST_MEMORY;
pub use model::RowCounts;
pub use notice::Notice;
pub use registry::Entry;
pub use request::{GivenTexts, check_request, check_with_model};
pub use sides::Side;
pub use specification::{
    aggregation_defaults, check, check_pinned, default_aggregators, pin, sampler_of, set_sampler,
    step_score_merges,
};
pub use stop::Stop;
