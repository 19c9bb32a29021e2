//! `integrated_gradients`: gradients collected on the straight path from a baseline to the input.
//!
//! `A = (x − b) ⊙ ∫₀¹ ∂F/∂x (b + α (x − b)) dα`, the integral as a weighted sum over `n_steps`
//! points. Source: Sundararajan et al. 2017, <https://arxiv.org/abs/1703.01365>. Baselines are the
//! embedding of `unk`, position by position; without `attribute_target` the prefix of an
//! encoder-decoder model stays at its embeddings.
//!
//! A point of the path of a prefix is the beginning of the same point of the whole target, so one
//! forward pass a point serves every step. Cost: `n_steps` forward passes for the batch, `n_steps`
//! backward passes a step. Points are taken in order, whatever else is computed at once, so the
//! bits of a sum depend on the example alone.

use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Batch, Method, Sink, multiply, tokens_of};
use crate::Error;
use crate::aggregate::RawScores;
use crate::gradient::{self, ExplainedStep, StepGradient};
use crate::kernels::rows;
use crate::model::sequences::Sequences;
use crate::model::{Embedded, Inputs, Seed};
use crate::registry::Describe;

mod quadrature;

use quadrature::{Point, Rule};

/// Rows of one forward pass over several points: enough for full-speed products; what is kept of
/// them for the backward pass grows with it.
const FORWARD_ROWS: usize = 256;

/// Gradients collected on the path from a baseline.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct IntegratedGradients {
    /// Number of points.
    pub n_steps: usize,
    /// How the integral is approximated.
    pub method: Rule,
    /// Multiply by the distance from the baseline.
    pub multiply_by_inputs: bool,
}

impl Default for IntegratedGradients {
    fn default() -> Self {
        Self {
            n_steps: 50,
            method: Rule::GaussLegendre,
            multiply_by_inputs: true,
        }
    }
}

impl Describe for IntegratedGradients {
    const NAME: &'static str = "integrated_gradients";
    const SUMMARY: &'static str = "gradients collected on the path from a baseline to the input";
}

impl Method for IntegratedGradients {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let path = Path {
            batch,
            input: batch.embeddings()?,
            baseline: batch.baselines()?,
        };
        let steps = batch.steps();
        let mut sums: Vec<_> = gradient::chunks(&steps)
            .into_iter()
            .map(|chunk| (chunk, Vec::new()))
            .collect();
        for points in self
            .method
            .points(self.n_steps)?
            .chunks(path.points_at_once())
        {
            path.add_gradients(points, &steps, &mut sums)?;
        }
        let sums = sums
            .into_par_iter()
            .flat_map(|(chunk, sums)| chunk.zip(sums).collect::<Vec<_>>());
        sums.try_for_each(|(index, sum)| {
            sink.record(index, self.finish(&path, &steps[index], sum)?)
        })
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }
}

impl IntegratedGradients {
    /// Turns the integral of a step's gradient into its scores.
    fn finish(
        &self,
        path: &Path<'_>,
        step: &ExplainedStep,
        sum: StepGradient,
    ) -> Result<RawScores, Error> {
        let sequence = step.seed.sequence;
        let times_distance =
            |sum: Option<Tensor>, ends: Option<(&Embedded, &Embedded)>| match (sum, ends) {
                (Some(sum), Some((input, baseline))) if self.multiply_by_inputs => {
                    let tokens = sum.dim(0)?;
                    let input = tokens_of(input, sequence, tokens)?;
                    let distance = (input - tokens_of(baseline, sequence, tokens)?)?;
                    multiply(&distance, &sum).map(Some)
                }
                (sum, _) => Ok(sum),
            };
        let source = times_distance(
            sum.source,
            path.input
                .source
                .as_ref()
                .zip(path.baseline.source.as_ref()),
        )?;
        let target = path.batch.at_embeddings(sum.target)?;
        let target = times_distance(target, Some((&path.input.target, &path.baseline.target)))?;
        Ok(RawScores { source, target })
    }
}

/// The straight path from the baselines to the inputs of a batch.
struct Path<'a> {
    batch: &'a Batch<'a>,
    input: Inputs,
    baseline: Inputs,
}

/// The gradients summed so far of each step of a chunk.
type ChunkSums = (std::ops::Range<usize>, Vec<StepGradient>);

impl Path<'_> {
    /// Returns how many points share a forward pass.
    fn points_at_once(&self) -> usize {
        let source_rows = self
            .input
            .source
            .as_ref()
            .map_or(0, |source| source.sequences.num_rows());
        (FORWARD_ROWS / (source_rows + self.input.target.sequences.num_rows())).max(1)
    }

    /// Adds the weighted gradients at `points` to the sums of every step.
    fn add_gradients(
        &self,
        points: &[Point],
        steps: &[ExplainedStep],
        sums: &mut [ChunkSums],
    ) -> Result<(), Error> {
        let (model, function) = (self.batch.model, self.batch.function);
        let trace = model.forward(&self.batch.model_inputs(&self.at(points)?)?)?;
        let num_instances = self.batch.instances.len();
        let of_point = |point: usize| {
            let shift = |step: &ExplainedStep| {
                let seed = Seed {
                    sequence: point * num_instances + step.seed.sequence,
                    ..step.seed
                };
                ExplainedStep { seed, ..*step }
            };
            steps.iter().map(shift).collect::<Vec<_>>()
        };
        let by_point: Vec<_> = (0..points.len()).map(of_point).collect();
        let dhidden = by_point
            .iter()
            .map(|steps| gradient::at_hidden(model, &trace, steps, function));
        let dhidden = dhidden.collect::<Result<Vec<_>, _>>()?;
        sums.par_iter_mut().try_for_each(|(chunk, sums)| {
            for ((point, steps), dhidden) in points.iter().zip(&by_point).zip(&dhidden) {
                let dhidden = dhidden.narrow(0, chunk.start, chunk.len())?;
                let steps = &steps[chunk.clone()];
                let gradients =
                    gradient::at_embeddings(model, &trace, steps, &dhidden, self.batch.wanted())?;
                add_weighted(sums, gradients, point.weight)?;
            }
            Ok(())
        })
    }

    /// Returns the embeddings at `points`, all instances at one point before those at the next.
    fn at(&self, points: &[Point]) -> Result<Inputs, Error> {
        let blend = |input: &Embedded, baseline: &Embedded| -> Result<Embedded, Error> {
            let distance = (&input.rows - &baseline.rows)?;
            let at_points = points
                .iter()
                .map(|point| &baseline.rows + (&distance * point.alpha)?);
            repeat(input, &at_points.collect::<Result<Vec<_>, _>>()?)
        };
        let source = match (&self.input.source, &self.baseline.source) {
            (Some(input), Some(baseline)) => Some(blend(input, baseline)?),
            _ => None,
        };
        let target = if self.batch.attributes_target() {
            blend(&self.input.target, &self.baseline.target)?
        } else {
            repeat(
                &self.input.target,
                &vec![self.input.target.rows.clone(); points.len()],
            )?
        };
        Ok(Inputs { source, target })
    }
}

/// Returns the sequences of `embedded` once for each of `rows`, with those rows.
fn repeat(embedded: &Embedded, rows: &[Tensor]) -> Result<Embedded, Error> {
    let lengths: Vec<_> = embedded.sequences.lengths().collect();
    let repeated = std::iter::repeat_n(lengths, rows.len()).flatten();
    Ok(Embedded {
        rows: Tensor::cat(rows, 0)?,
        sequences: Sequences::of_lengths(repeated),
    })
}

/// Adds `weight` times each step's gradient to its sum; the first point starts the sums.
fn add_weighted(
    sums: &mut Vec<StepGradient>,
    gradients: Vec<StepGradient>,
    weight: f64,
) -> Result<(), Error> {
    let started = !sums.is_empty();
    for (index, gradient) in gradients.into_iter().enumerate() {
        let weighted =
            |sum: Option<&Tensor>, gradient: Option<Tensor>| -> Result<Option<Tensor>, Error> {
                let Some(gradient) = gradient else {
                    return Ok(None);
                };
                Ok(Some(rows::add_scaled(sum, &gradient, weight)?))
            };
        let sum = sums.get(index);
        let source = weighted(sum.and_then(|sum| sum.source.as_ref()), gradient.source)?;
        let target = weighted(sum.and_then(|sum| sum.target.as_ref()), gradient.target)?;
        if started {
            sums[index] = StepGradient { source, target };
        } else {
            sums.push(StepGradient { source, target });
        }
    }
    Ok(())
}
