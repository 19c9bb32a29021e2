//! Inseq's aggregators: from raw scores to the scores of the table.
//!
//! A pipeline is a list of stages. The stage `scores` reduces each token's raw scores, a vector or
//! a table of layers and heads, by one axis. It is the only stage that needs just one step at a
//! time. Every `scores` stage before the first stage of another kind therefore runs while the
//! scores are computed, so that a raw gradient is freed before the next one arrives. The other
//! stages need the whole [`Attribution`] and may change its tokens: `spans`, `subwords` and `split`
//! merge tokens, `slices` drops some.
//!
//! The name of a function (`vnorm`, `mean`, …) is short for `scores` with that function, as in
//! Inseq.

mod aggregator;
mod cells;
mod rescale;
mod scores;
mod stage;

mod merge;
mod slices;
mod span;
mod spans;
mod split;
mod subwords;

mod pair;
mod weight_attributions;

use candle_core::Tensor;
use serde_json::Value;
use whence_schemas::FunctionSpec;

pub use crate::kernels::reduction::Reduction;
use crate::registry::{self, Describe, Entry};
use crate::sides::Side;
use crate::{Attribution, Error, ScoreRows, SequenceScores};
pub use aggregator::{Aggregator, Context, Defaults};
use cells::Cells;
pub use pair::{pair, pair_with};
use scores::Scores;
pub use stage::Stage;

/// Builds the table row of a function that is short for `scores`.
macro_rules! function {
    ($reduction:ident, $name:literal, $summary:literal) => {
        Entry {
            name: $name,
            aliases: &[],
            summary: $summary,
            parameters: scores::parameters_without_function,
            build: |parameters| {
                let scores = Scores::with_function(Reduction::$reduction, parameters)?;
                Ok(Box::new(scores.into()))
            },
        }
    };
}
/// Every aggregator, in the order `whence list aggregators` shows them: first the stages, then the
/// functions that are short for `scores`.
pub const AGGREGATORS: &[Entry<Stage>] = &[
    entry::<Scores>(),
    entry::<spans::Spans>(),
    entry::<subwords::Subwords>(),
    entry::<split::Split>(),
    entry::<slices::Slices>(),
    entry::<weight_attributions::WeightAttributions>(),
    entry::<rescale::Rescale>(),
    function!(VNorm, "vnorm", "`scores` by the length of the vector"),
    function!(Mean, "mean", "`scores` by the arithmetic mean"),
    function!(Sum, "sum", "`scores` by the sum"),
    function!(Prod, "prod", "`scores` by the product"),
    function!(Min, "min", "`scores` by the smallest value"),
    function!(Max, "max", "`scores` by the largest value"),
    function!(
        AbsMax,
        "absmax",
        "`scores` by the value farthest from zero, with its sign"
    ),
];

/// The raw scores of one step. Both sides are `[tokens, …]`, with the same dimensions after the
/// first.
#[derive(Debug)]
pub struct RawScores {
    /// One row per source token; `None` for decoder-only models.
    pub source: Option<Tensor>,
    /// One row per prefix token; `None` if the prefix was not attributed.
    pub target: Option<Tensor>,
}

/// The raw scores of the tokens of one stack for each other.
#[derive(Debug)]
pub struct RawSequenceScores {
    /// Inseq's name for them.
    pub name: &'static str,
    /// The side whose tokens are both the rows and the columns.
    pub side: Side,
    /// Like [`SequenceScores::columns`]: one tensor `[tokens, …]` per column, all with the same
    /// dimensions after the first.
    pub columns: Vec<Tensor>,
}

/// The scores of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepScores {
    /// One row per source token; `None` for decoder-only models.
    pub source: Option<ScoreRows>,
    /// One row per prefix token; `None` if the prefix was not attributed.
    pub target: Option<ScoreRows>,
}

/// A sequence of aggregators.
#[derive(Debug)]
pub struct Pipeline {
    stages: Vec<Stage>,
    defaults: Defaults,
}

impl Pipeline {
    /// Builds a pipeline of `aggregators`. Fails on an unknown name or parameter.
    pub fn build(aggregators: &[FunctionSpec], defaults: Defaults) -> Result<Self, Error> {
        let build = |spec: &FunctionSpec| -> Result<Stage, Error> {
            let (name, params) = (&spec.name, &spec.params);
            let stage = registry::build(AGGREGATORS, name, params, "aggregator", "aggregators")?;
            match &*stage {
                Stage::StepWise(scores) => scores.validate(defaults)?,
                Stage::Whole(aggregator) => aggregator.validate(defaults)?,
            }
            Ok(*stage)
        };
        Ok(Self {
            stages: aggregators.iter().map(build).collect::<Result<_, _>>()?,
            defaults,
        })
    }

    /// Returns the defaults for parameters that stages leave unset.
    pub fn defaults(&self) -> Defaults {
        self.defaults
    }

    /// Runs the stages that need only one step on the scores of that step. Fails if there are more
    /// stages than axes to reduce.
    pub fn apply(&self, raw: &RawScores) -> Result<StepScores, Error> {
        let (first, further) = self.step_wise();
        let cells = |raw: &Option<Tensor>| {
            let raw = raw.as_ref();
            raw.map(|raw| self.cells(first, raw)).transpose()
        };
        let mut sides = [cells(&raw.source)?, cells(&raw.target)?];
        if let Some(first) = first {
            first.normalize_step(&mut sides, self.defaults);
        }
        for scores in further {
            scores.reduce(&mut sides, self.defaults)?;
        }
        let [source, target] = sides.map(|side| side.map(Cells::into_rows));
        Ok(StepScores { source, target })
    }

    /// Like [`Pipeline::apply`], for scores that belong to no step. They are reduced the same way
    /// but not normalized, as in Inseq.
    pub fn apply_to_sequence(&self, raw: &RawSequenceScores) -> Result<SequenceScores, Error> {
        let column = |raw: &Tensor| {
            let (first, further) = self.step_wise();
            let mut column = self.cells(first, raw)?;
            for scores in further {
                scores.reduce_side(&mut column, self.defaults.reduction)?;
            }
            Ok(column.into_rows())
        };
        Ok(SequenceScores {
            name: raw.name.to_owned(),
            side: raw.side,
            columns: raw
                .columns
                .iter()
                .map(column)
                .collect::<Result<_, Error>>()?,
        })
    }

    /// Returns the stages before the first one that needs the whole attribution, split into the
    /// first, which reduces the raw scores where they are computed, and the rest.
    fn step_wise(&self) -> (Option<&Scores>, impl Iterator<Item = &Scores>) {
        let stages = self.stages.iter().map_while(|stage| match stage {
            Stage::StepWise(scores) => Some(scores),
            Stage::Whole(_) => None,
        });
        // Fused, because `map_while` may continue after it has returned `None`: the stages behind a
        // whole stage must not run here.
        let mut stages = stages.fuse();
        (stages.next(), stages)
    }

    /// Reduces raw scores by the first stage, or copies them if there is none.
    fn cells(&self, first: Option<&Scores>, raw: &Tensor) -> Result<Cells, Error> {
        match first {
            Some(scores) => scores.reduce_raw(raw, self.defaults.reduction),
            None => Cells::from_tensor(raw),
        }
    }

    /// Runs the remaining stages on an attribution whose steps already went through
    /// [`Pipeline::apply`].
    pub fn finish(
        &self,
        mut attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error> {
        let is_done = |stage: &&Stage| matches!(stage, Stage::StepWise(_));
        for stage in self.stages.iter().skip_while(is_done) {
            attribution = match stage {
                Stage::StepWise(scores) => scores.aggregate(attribution, context)?,
                Stage::Whole(aggregator) => aggregator.aggregate(attribution, context)?,
            };
        }
        Ok(attribution)
    }
}

/// Builds one row of the table.
const fn entry<A: Into<Stage> + Describe>() -> Entry<Stage> {
    Entry {
        name: A::NAME,
        aliases: A::ALIASES,
        summary: A::SUMMARY,
        parameters: registry::parameters::<A>,
        build: |parameters: &Value| Ok(Box::new(registry::read::<A>(parameters)?.into())),
    }
}

#[cfg(test)]
mod tests;
