//! The trait of attribution methods, and the trait that receives their scores.

use whence_schemas::Compat;

use crate::Error;
use crate::aggregate::{RawScores, RawSequenceScores, Reduction};
use crate::batch::Batch;
use crate::model::Transformer;
use crate::sampler::SamplerSource;

/// Scores how much each input token contributed to each produced token.
pub trait Method: std::fmt::Debug + Send + Sync {
    /// Computes the raw scores of every step of `batch` and passes them to `sink`.
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error>;

    /// Returns the default aggregators, which reduce this method's raw scores to one score per
    /// token.
    fn default_aggregators(&self) -> &'static [&'static str];

    /// Returns what the method needs from a job, and what it records, under `compat`.
    fn requirements(&self, _compat: Compat) -> Requirements<'_> {
        Requirements::GRADIENTS
    }

    /// Fails if a parameter has a value that the method cannot use with any model; the error says
    /// which.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    /// Fails if a parameter asks for something that `model` does not have.
    fn check(&self, _: &Transformer) -> Result<(), Error> {
        Ok(())
    }
}

/// What a method needs from a job, and what it records besides the scores of tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Requirements<'m> {
    /// Whether the attributed function must have a gradient.
    pub gradient: bool,
    /// Whether the attributed function must read a single pass of the model. Methods that apply
    /// rules inside a pass cannot handle a function computed from several passes with dropout.
    pub single_pass: bool,
    /// The masked language model that proposes replacement tokens to the method, if any.
    pub sampler: Option<&'m SamplerSource>,
    /// The method's own scores that it records per step. They are columns of the table, after the
    /// requested step scores.
    pub step_scores: &'static [MethodScore],
    /// Whether it records the scores of a stack's tokens for each other.
    pub sequence_scores: bool,
    /// The pass that the scores of a step come from.
    pub step_pass: StepPass,
    /// The passes over an example that it keeps in memory at the same time.
    pub held_passes: HeldPasses,
}

/// How many passes over an example a method keeps in memory at the same time, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldPasses {
    /// This many.
    Fixed(usize),
    /// One over the batch, and one in each lane, because its paths run in parallel.
    OnePerLane,
}

impl HeldPasses {
    /// Returns how many passes these are with `lanes` lanes.
    pub fn count(self, lanes: usize) -> usize {
        match self {
            Self::Fixed(count) => count,
            Self::OnePerLane => 1 + lanes,
        }
    }
}

/// The pass that the scores of a step come from. It matters in models with longrope, which rotate
/// all tokens of a long text differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepPass {
    /// The pass over the step's own prefix.
    OwnPrefix,
    /// The pass over the longest prefix, for all steps. Inseq takes the scores of some methods from
    /// it.
    LongestPrefix,
}

impl StepPass {
    /// Returns [`Self::LongestPrefix`] with `compat`, for methods where Inseq uses only the last
    /// pass.
    pub(super) fn of_final_step(compat: Compat) -> Self {
        match compat {
            Compat::None => Self::OwnPrefix,
            Compat::Inseq071 => Self::LongestPrefix,
        }
    }
}

impl Requirements<'_> {
    /// The requirements of a method that uses gradients and records only the scores of tokens.
    pub const GRADIENTS: Self = Self {
        gradient: true,
        single_pass: false,
        sampler: None,
        step_scores: &[],
        sequence_scores: false,
        step_pass: StepPass::OwnPrefix,
        held_passes: HeldPasses::Fixed(1),
    };

    /// The requirements of a method that only runs forward passes over the examples as they are.
    pub const PASSES: Self = Self {
        gradient: false,
        ..Self::GRADIENTS
    };

    /// The requirements of a method that compares each example with changed variants of it. The
    /// pass over the example is kept for all of them.
    pub const VARIANTS: Self = Self {
        held_passes: HeldPasses::Fixed(2),
        ..Self::PASSES
    };

    /// Returns the requirements, with the convergence delta recorded per step if `returns` is true.
    #[must_use]
    pub fn with_deltas(self, returns: bool) -> Self {
        let step_scores: &[_] = if returns { &[DELTAS] } else { &[] };
        Self {
            step_scores,
            ..self
        }
    }
}

/// A score that a method records per step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodScore {
    /// Name of its column.
    pub name: &'static str,
    /// How the scores are merged when tokens are merged into one.
    pub merged_by: Reduction,
}

/// The convergence delta: the sum of a step's scores minus the change of the attributed function
/// from the baselines to the inputs.
pub const DELTAS: MethodScore = MethodScore {
    name: "deltas",
    merged_by: Reduction::AbsMax,
};

/// Receives the raw scores of steps, in any order and from any thread.
pub trait Sink: Sync {
    /// Records the scores of step `step`, an index into `Batch::steps`.
    fn record(&self, step: usize, scores: RawScores) -> Result<(), Error>;

    /// Records the value of `score`, one of [`Requirements::step_scores`], for step `step`.
    fn record_step_score(&self, step: usize, score: MethodScore, value: f64) -> Result<(), Error>;

    /// Records the scores that the tokens of instance `instance` have for each other.
    fn record_sequence(&self, instance: usize, scores: RawSequenceScores) -> Result<(), Error>;
}

/// Returns the error for parameters that `method` cannot use.
pub(super) fn wrong_parameters(method: &str, reason: String) -> Error {
    Error::Parameters {
        what: "attribution method",
        name: method.to_owned(),
        reason,
    }
}
