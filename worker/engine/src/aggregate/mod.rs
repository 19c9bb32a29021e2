//! From raw scores to one score a token.
//!
//! A raw score of a token may be a vector (the gradient of its embedding) or a table (layers by
//! heads). Each aggregator of a pipeline reduces the last axis; after each, a step's scores are
//! divided by the sum of their absolute values over source and prefix together, as Inseq does by
//! default, so that every stage weighs its columns alike.

mod reduce;
mod reduction;

use candle_core::Tensor;
use whence_schemas::FunctionSpec;

use crate::kernels::tensor::{View, by_dtype};
use crate::registry::{self, Entry};
use crate::{Error, ScoreRows};

pub use reduce::{AGGREGATORS, Aggregator};
pub use reduction::Reduction;

/// Below this sum a step counts as having no scores. Inseq's own floor.
const SMALLEST_SUM: f64 = 1e-12;

/// The raw scores of one step. `[tokens, …]` each, the same `…`.
#[derive(Debug)]
pub struct RawScores {
    /// One row a source token; `None` for decoder-only models.
    pub source: Option<Tensor>,
    /// One row a prefix token; `None` where the prefix was not attributed.
    pub target: Option<Tensor>,
}

/// The scores of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepScores {
    /// One row a source token; `None` for decoder-only models.
    pub source: Option<ScoreRows>,
    /// One row a prefix token; `None` where the prefix was not attributed.
    pub target: Option<ScoreRows>,
}

/// Aggregators, one after another.
#[derive(Debug)]
pub struct Pipeline {
    stages: Vec<Box<dyn Aggregator>>,
    normalize: bool,
}

impl Pipeline {
    /// Builds a pipeline of `aggregators`.
    pub fn build(aggregators: &[FunctionSpec], normalize: bool) -> Result<Self, Error> {
        let build = |spec: &FunctionSpec| {
            registry::build(
                AGGREGATORS,
                &spec.name,
                &spec.params,
                "aggregator",
                "aggregators",
            )
        };
        Ok(Self {
            stages: aggregators.iter().map(build).collect::<Result<_, _>>()?,
            normalize,
        })
    }

    /// Aggregates the scores of one step. Fails if there are more stages than axes to reduce.
    pub fn apply(&self, raw: &RawScores) -> Result<StepScores, Error> {
        let mut sides = [
            Scores::of(raw.source.as_ref())?,
            Scores::of(raw.target.as_ref())?,
        ];
        for stage in &self.stages {
            for side in sides.iter_mut().flatten() {
                side.reduce(stage.as_ref())?;
            }
            if self.normalize {
                normalize(&mut sides);
            }
        }
        let [source, target] = sides.map(|side| side.map(Scores::into_rows));
        Ok(StepScores { source, target })
    }
}

/// The scores of one side of a step.
#[derive(Debug)]
struct Scores {
    values: Vec<f64>,
    /// Shape of one token's scores.
    row_shape: Vec<usize>,
}

impl Scores {
    fn of(tensor: Option<&Tensor>) -> Result<Option<Self>, Error> {
        let Some(tensor) = tensor else {
            return Ok(None);
        };
        let tensor = tensor.contiguous()?;
        let values: candle_core::Result<Vec<f64>> = by_dtype!(tensor, T => Ok(View::<T>::of(&tensor)?.iter().map(|v| candle_core::WithDType::to_f64(*v)).collect()));
        Ok(Some(Self {
            values: values?,
            row_shape: tensor.dims()[1..].to_vec(),
        }))
    }

    fn reduce(&mut self, aggregator: &dyn Aggregator) -> Result<(), Error> {
        let Some(axis) = self.row_shape.pop() else {
            let reason =
                "there are more aggregators than axes: these scores are already one a token"
                    .to_owned();
            return Err(Error::Specification { reason });
        };
        self.values = self
            .values
            .chunks_exact(axis.max(1))
            .map(|values| aggregator.reduce(values))
            .collect();
        Ok(())
    }

    fn into_rows(self) -> ScoreRows {
        ScoreRows {
            values: self.values.iter().map(|&v| v as f32).collect(),
            row_shape: self.row_shape,
        }
    }
}

/// Divides each column, over the tokens of both sides, by the sum of its absolute values.
fn normalize(sides: &mut [Option<Scores>; 2]) {
    let Some(width) = sides
        .iter()
        .flatten()
        .map(|side| side.row_shape.iter().product::<usize>())
        .next()
    else {
        return;
    };
    let mut sums = vec![0.0; width];
    for side in sides.iter().flatten() {
        for row in side.values.chunks_exact(width) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value.abs();
            }
        }
    }
    for side in sides.iter_mut().flatten() {
        for row in side.values.chunks_exact_mut(width) {
            for (value, sum) in row.iter_mut().zip(&sums) {
                *value /= sum.max(SMALLEST_SUM);
            }
        }
    }
}

/// Builds one row of the table.
const fn entry<A: Aggregator + registry::Describe + 'static>() -> Entry<dyn Aggregator> {
    Entry {
        name: A::NAME,
        aliases: A::ALIASES,
        summary: A::SUMMARY,
        parameters: registry::parameters::<A>,
        build: |parameters| Ok(Box::new(registry::read::<A>(parameters)?)),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn named(names: &[&str]) -> Vec<FunctionSpec> {
        names.iter().copied().map(FunctionSpec::named).collect()
    }

    fn tensor(rows: &[[f64; 2]]) -> Tensor {
        Tensor::from_vec(rows.concat(), (rows.len(), 2), &Device::Cpu).unwrap()
    }

    #[test]
    fn normalised_scores_of_both_sides_sum_to_one() {
        let raw = RawScores {
            source: Some(tensor(&[[3.0, 4.0], [0.0, 0.0]])),
            target: Some(tensor(&[[6.0, 8.0], [0.0, -5.0]])),
        };
        let scores = Pipeline::build(&named(&["vnorm"]), true)
            .unwrap()
            .apply(&raw)
            .unwrap();
        assert_eq!(scores.source.unwrap().values, [0.25, 0.0]);
        assert_eq!(scores.target.unwrap().values, [0.5, 0.25]);
    }

    #[test]
    fn no_aggregators_leave_the_scores_raw() {
        let raw = RawScores {
            source: None,
            target: Some(tensor(&[[1.0, -2.0]])),
        };
        let scores = Pipeline::build(&[], true).unwrap().apply(&raw).unwrap();
        assert_eq!(
            scores.target,
            Some(ScoreRows {
                values: vec![1.0, -2.0],
                row_shape: vec![2]
            })
        );
    }

    #[test]
    fn one_stage_too_many_is_an_error() {
        let raw = RawScores {
            source: None,
            target: Some(tensor(&[[1.0, 2.0]])),
        };
        let error = Pipeline::build(&named(&["mean", "mean"]), false)
            .unwrap()
            .apply(&raw)
            .unwrap_err();
        assert!(error.to_string().contains("more aggregators than axes"));
    }
}
