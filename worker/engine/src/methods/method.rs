//! What an attribution method must answer, and what takes its scores.

use whence_schemas::Compat;

use crate::Error;
use crate::aggregate::{RawScores, RawSequenceScores};
use crate::batch::Batch;
use crate::model::Transformer;
use crate::sampler::SamplerSource;

/// Scores how much each input token contributed to each produced token.
pub trait Method: std::fmt::Debug + Send + Sync {
    /// Hands the raw scores of every step of `batch` to `sink`.
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error>;

    /// Returns the aggregators that make one score a token of this method's raw scores.
    fn default_aggregators(&self) -> &'static [&'static str];

    /// Returns whether the attributed function must have a gradient.
    fn needs_gradient(&self) -> bool {
        true
    }

    /// Returns whether it attributes functions of passes with dropout: whether it knows nothing of the
    /// passes but what goes in and what comes out.
    fn attributes_dropout(&self) -> bool {
        true
    }

    /// Returns the masked language model it has tokens proposed by, if any.
    fn sampler(&self) -> Option<&SamplerSource> {
        None
    }

    /// Returns whether it records the convergence delta of each step.
    fn records_deltas(&self) -> bool {
        false
    }

    /// Returns whether it records scores of a stack's tokens for each other.
    fn records_sequence_scores(&self, _: Compat) -> bool {
        false
    }

    /// Fails if a parameter asks for what `model` does not have.
    fn check(&self, _: &Transformer) -> Result<(), Error> {
        Ok(())
    }
}

/// Takes the raw scores of steps, in any order, from any thread.
pub trait Sink: Sync {
    /// Takes the scores of step `step`, an index into [`Batch::steps`].
    fn record(&self, step: usize, scores: RawScores) -> Result<(), Error>;

    /// Takes the convergence delta of step `step`: the sum of its scores, less the change of the
    /// attributed function from the baselines to the inputs.
    fn record_delta(&self, step: usize, delta: f64) -> Result<(), Error>;

    /// Takes the scores of the tokens of instance `instance` for each other.
    fn record_sequence(&self, instance: usize, scores: RawSequenceScores) -> Result<(), Error>;
}

/// Returns the error of parameters that `method` cannot use.
pub(super) fn wrong_parameters(method: &str, reason: String) -> Error {
    Error::Parameters {
        what: "attribution method",
        name: method.to_owned(),
        reason,
    }
}
