//! What an attribution method must answer, and what takes its scores.

use whence_schemas::Compat;

use crate::Error;
use crate::aggregate::{RawScores, RawSequenceScores, Reduction};
use crate::batch::Batch;
use crate::model::Transformer;
use crate::sampler::SamplerSource;

/// Scores how much each input token contributed to each produced token.
pub trait Method: std::fmt::Debug + Send + Sync {
    /// Hands the raw scores of every step of `batch` to `sink`.
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error>;

    /// Returns the aggregators that make one score per token from this method's raw scores.
    fn default_aggregators(&self) -> &'static [&'static str];

    /// Returns what the method asks of a job, and what it records, under the rules of `compat`.
    fn requirements(&self, _compat: Compat) -> Requirements<'_> {
        Requirements::GRADIENTS
    }

    /// Fails if a parameter has a value the method cannot use, whatever the model; says which.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    /// Fails if a parameter asks for what `model` does not have.
    fn check(&self, _: &Transformer) -> Result<(), Error> {
        Ok(())
    }
}

/// What a method asks of a job, and what it records beside the scores of tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Requirements<'m> {
    /// Whether the attributed function must have a gradient.
    pub gradient: bool,
    /// Whether the attributed function must read one pass of the model alone: methods that look into
    /// a pass find nothing to look into where several passes with dropout make up the function.
    pub single_pass: bool,
    /// The masked language model that proposes tokens to the method, if any.
    pub sampler: Option<&'m SamplerSource>,
    /// The scores of its own that the method records of every step: columns of the table, behind
    /// the step scores that were asked for.
    pub step_scores: &'static [MethodScore],
    /// Whether it records scores of a stack's tokens for each other.
    pub sequence_scores: bool,
    /// The pass that the scores of a step come from.
    pub step_pass: StepPass,
}

/// The pass that the scores of a step come from. It matters in models with longrope, which turn all
/// tokens of a long text otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepPass {
    /// The pass over the step's own prefix.
    OwnPrefix,
    /// The pass over the longest prefix, for all steps: what Inseq takes some methods' scores from.
    LongestPrefix,
}

impl StepPass {
    /// Returns the longest prefix's pass where Inseq's numbers are asked for.
    pub(super) fn of_final_step(compat: Compat) -> Self {
        match compat {
            Compat::None => Self::OwnPrefix,
            Compat::Inseq071 => Self::LongestPrefix,
        }
    }
}

impl Requirements<'_> {
    /// Those of a method that takes gradients and records the scores of tokens alone.
    pub const GRADIENTS: Self = Self {
        gradient: true,
        single_pass: false,
        sampler: None,
        step_scores: &[],
        sequence_scores: false,
        step_pass: StepPass::OwnPrefix,
    };

    /// Those of a method that only runs the model.
    pub const PASSES: Self = Self {
        gradient: false,
        ..Self::GRADIENTS
    };

    /// Returns these, with the convergence delta of each step recorded if `returns` says so.
    #[must_use]
    pub fn with_deltas(self, returns: bool) -> Self {
        let step_scores: &[_] = if returns { &[DELTAS] } else { &[] };
        Self {
            step_scores,
            ..self
        }
    }
}

/// A score that a method records of each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodScore {
    /// Its column.
    pub name: &'static str,
    /// How the scores of tokens that are merged into one become one score.
    pub merged_by: Reduction,
}

/// The convergence delta: the sum of a step's scores, less the change of the attributed function
/// from the baselines to the inputs.
pub const DELTAS: MethodScore = MethodScore {
    name: "deltas",
    merged_by: Reduction::AbsMax,
};

/// Takes the raw scores of steps, in any order, from any thread.
pub trait Sink: Sync {
    /// Takes the scores of step `step`, an index into `Batch::steps`.
    fn record(&self, step: usize, scores: RawScores) -> Result<(), Error>;

    /// Takes the value of `score`, one of [`Requirements::step_scores`], of step `step`.
    fn record_step_score(&self, step: usize, score: MethodScore, value: f64) -> Result<(), Error>;

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
