//! The path from the baselines to the inputs, and the integration of gradients along it.
//!
//! A path point of a prefix is the prefix of the same path point of the whole target, so one
//! forward pass per point serves every step. Points are always summed in order, whatever else is
//! computed at the same time, so the bits of a sum depend only on the example.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::{Batch, ExplainedStep};
use crate::gradient::{self, Pass, StepGradient};
use crate::kernels::{Tensor, host, rows};
use crate::methods::method::{DELTAS, Sink};
use crate::methods::support::tokens::{multiply, tokens_of};
use crate::model::hooks::Recorded;
use crate::model::sequences::Sequences;
use crate::model::stream::StreamPlace;
use crate::model::{Embedded, ExplainedToken, Inputs, Wanted};
use crate::sides::Side;

/// Both ends of the paths of a batch's tokens, and where in the model the paths run.
pub(in crate::methods) struct PathEndpoints<'a> {
    batch: &'a Batch<'a>,
    steps: Vec<ExplainedStep>,
    level: Level,
    /// The end at the inputs: the embeddings of the tokens, or the residual stream where the path
    /// runs.
    pub(in crate::methods) input: Inputs,
    /// The end at the baselines. Whatever is not attributed is the same as in `input`.
    pub(in crate::methods) baseline: Inputs,
}

/// The place in the model where a path runs.
enum Level {
    /// Through the embeddings.
    Embeddings,
    /// Through the residual stream of one side at a given place; the passes over both ends are
    /// kept.
    Stream {
        place: StreamPlace,
        input: Box<Recorded>,
        baseline: Box<Recorded>,
    },
}

/// A point of the path, for all instances of the batch.
pub(in crate::methods) struct Point {
    /// The embeddings, or the residual stream, at the point.
    pub(in crate::methods) at: Inputs,
    /// Weight of the gradient there.
    pub(in crate::methods) weight: Weight,
}

/// Weight of a gradient.
pub(in crate::methods) enum Weight {
    /// The same weight for every entry.
    Same(f64),
    /// A separate one for every entry of the embeddings.
    Each(Inputs),
}

/// A chunk of steps with the gradient sum of each so far.
type ChunkSums = (Range<usize>, Vec<StepGradient>);

impl<'a> PathEndpoints<'a> {
    /// Returns the path through the embeddings.
    pub(in crate::methods) fn new(batch: &'a Batch<'a>) -> Result<Self, Error> {
        let input = batch.embeddings()?;
        let mut baseline = batch.baselines()?;
        // The path of a prefix that is not attributed does not move.
        if !batch.attributes_target() {
            baseline.target = input.target.clone();
        }
        Ok(Self {
            batch,
            steps: batch.steps(),
            level: Level::Embeddings,
            input,
            baseline,
        })
    }

    /// Returns the path through the residual stream at `place`; runs the model over inputs and
    /// baselines to get both ends.
    pub(in crate::methods) fn at_place(
        batch: &'a Batch<'a>,
        place: StreamPlace,
    ) -> Result<Self, Error> {
        let inputs = batch.model_inputs(&batch.embeddings()?)?;
        let mut baselines = batch.model_inputs(&batch.baselines()?)?;
        match place.side {
            Side::Source => baselines.target = inputs.target.clone(),
            Side::Target => baselines.source.clone_from(&inputs.source),
        }
        let input = Box::new(batch.model.forward_recorded(&inputs)?);
        let baseline = Box::new(batch.model.forward_recorded(&baselines)?);
        Ok(Self {
            batch,
            steps: batch.steps(),
            input: with_stream(&inputs, place, &input),
            baseline: with_stream(&inputs, place, &baseline),
            level: Level::Stream {
                place,
                input,
                baseline,
            },
        })
    }

    /// Returns the pass over the inputs, with the residual stream at every sublayer.
    pub(in crate::methods) fn recorded_input(&self) -> Result<Cow<'_, Recorded>, Error> {
        match &self.level {
            Level::Stream { input, .. } => Ok(Cow::Borrowed(input)),
            Level::Embeddings => self.record(&self.input),
        }
    }

    /// Returns the pass over the baselines, with the residual stream at every sublayer.
    pub(in crate::methods) fn recorded_baseline(&self) -> Result<Cow<'_, Recorded>, Error> {
        match &self.level {
            Level::Stream { baseline, .. } => Ok(Cow::Borrowed(baseline)),
            Level::Embeddings => self.record(&self.baseline),
        }
    }

    fn record(&self, end: &Inputs) -> Result<Cow<'_, Recorded>, Error> {
        let inputs = self.batch.model_inputs(end)?;
        Ok(Cow::Owned(self.batch.model.forward_recorded(&inputs)?))
    }

    /// Runs the part of the model above the path, starting from a point of the path.
    pub(in crate::methods) fn pass(&self, at: &Inputs) -> Result<Pass, Error> {
        let model = self.batch.model;
        match &self.level {
            Level::Embeddings => self.batch.forward(at),
            Level::Stream { place, .. } => {
                let stream = match (place.side, &at.source) {
                    (Side::Source, Some(source)) => &source.rows,
                    _ => &at.target.rows,
                };
                Ok(model.forward_above(*place, stream, at)?.into())
            }
        }
    }

    /// Returns which gradients the path needs.
    pub(in crate::methods) fn wanted(&self) -> Wanted {
        match &self.level {
            Level::Embeddings => self.batch.wanted(),
            Level::Stream { place, .. } => Wanted::Stream(*place),
        }
    }

    /// Converts a gradient with respect to the model's input into one with respect to the path.
    pub(in crate::methods) fn at_path(
        &self,
        gradient: StepGradient,
    ) -> Result<StepGradient, Error> {
        match &self.level {
            Level::Embeddings => Ok(StepGradient {
                source: gradient.source,
                target: self.batch.at_embeddings(gradient.target)?,
            }),
            Level::Stream { .. } => Ok(gradient),
        }
    }

    /// Returns the steps of the batch.
    pub(in crate::methods) fn steps(&self) -> &[ExplainedStep] {
        &self.steps
    }

    /// Returns `combine(input, baseline)` for the rows of both sides.
    pub(in crate::methods) fn combine(
        &self,
        combine: impl Fn(&Tensor, &Tensor) -> Result<Tensor, Error>,
    ) -> Result<Inputs, Error> {
        let side = |input: &Embedded, baseline: &Embedded| -> Result<Embedded, Error> {
            Ok(Embedded {
                rows: combine(&input.rows, &baseline.rows)?,
                sequences: input.sequences.clone(),
            })
        };
        let source = match (&self.input.source, &self.baseline.source) {
            (Some(input), Some(baseline)) => Some(side(input, baseline)?),
            _ => None,
        };
        Ok(Inputs {
            source,
            target: side(&self.input.target, &self.baseline.target)?,
        })
    }

    /// Returns the point at `alpha` on the straight path: 0 is the baselines, 1 the inputs.
    pub(in crate::methods) fn between(&self, alpha: f64) -> Result<Inputs, Error> {
        self.combine(|input, baseline| Ok(rows::at_share_of_way(baseline, input, alpha)?))
    }

    /// Returns input minus baseline.
    pub(in crate::methods) fn distance(&self) -> Result<Inputs, Error> {
        self.combine(|input, baseline| Ok(rows::subtract(input, baseline)?))
    }

    /// Sums the weighted gradients at `count` points for every step, passes `finish(step, sum)` to
    /// `sink`, and returns the total of each step's scores.
    pub(in crate::methods) fn integrate(
        &self,
        count: usize,
        point: impl Fn(usize) -> Result<Point, Error>,
        finish: impl Fn(&ExplainedStep, StepGradient) -> Result<RawScores, Error> + Sync,
        sink: &dyn Sink,
    ) -> Result<Vec<f64>, Error> {
        let mut sums: Vec<ChunkSums> = gradient::chunks(&self.steps, self.batch.sizes)
            .into_iter()
            .map(|chunk| (chunk, Vec::new()))
            .collect();
        let at_once = self.points_at_once();
        for first in (0..count).step_by(at_once) {
            let points = (first..(first + at_once).min(count)).map(&point);
            self.add_gradients(&points.collect::<Result<Vec<_>, _>>()?, &mut sums)?;
        }
        let sums: Vec<_> = sums
            .into_iter()
            .flat_map(|(chunk, sums)| chunk.zip(sums))
            .collect();
        let record = |(index, sum): (usize, StepGradient)| {
            let scores = finish(&self.steps[index], self.at_path(sum)?)?;
            let total = total(&scores)?;
            sink.record(index, scores)?;
            Ok(total)
        };
        sums.into_par_iter().map(record).collect()
    }

    /// Records the convergence deltas of the steps in `sink`: the sum of a step's scores, given in
    /// `totals`, minus the change of the function from the baselines to the inputs.
    pub(in crate::methods) fn record_deltas(
        &self,
        totals: &[f64],
        sink: &dyn Sink,
    ) -> Result<(), Error> {
        let at_input = self.values(&self.input)?;
        let at_baseline = self.values(&self.baseline)?;
        for (step, total) in totals.iter().enumerate() {
            let delta = total - (at_input[step] - at_baseline[step]);
            sink.record_step_score(step, DELTAS, delta)?;
        }
        Ok(())
    }

    /// Returns the value of the attributed function for every step, at a point of the path.
    pub(in crate::methods) fn values(&self, at: &Inputs) -> Result<Vec<f64>, Error> {
        let pass = self.pass(at)?;
        let values = gradient::values(self.batch, &pass, &self.steps, self.batch.function)?;
        Ok(values)
    }

    /// Swaps the two ends.
    pub(in crate::methods) fn swapped(self) -> Self {
        Self {
            input: self.baseline,
            baseline: self.input,
            ..self
        }
    }

    /// Returns how many points share a forward pass.
    fn points_at_once(&self) -> usize {
        let source = self.input.source.iter();
        let source_rows: usize = source.map(|source| source.sequences.num_rows()).sum();
        (self.batch.sizes.path_rows / (source_rows + self.input.target.sequences.num_rows())).max(1)
    }

    /// Adds the weighted gradients at `points` to the sums of every step.
    fn add_gradients(&self, points: &[Point], sums: &mut [ChunkSums]) -> Result<(), Error> {
        let (model, function) = (self.batch.model, self.batch.function);
        let pass = self.pass(&together(points)?)?;
        let num_instances = self.batch.instances.len();
        let of_point = |point: usize| {
            let shift = |step: &ExplainedStep| {
                let explained = ExplainedToken {
                    sequence: point * num_instances + step.explained.sequence,
                    ..step.explained
                };
                ExplainedStep { explained, ..*step }
            };
            self.steps.iter().map(shift).collect::<Vec<_>>()
        };
        let by_point: Vec<_> = (0..points.len()).map(of_point).collect();
        let dhidden = by_point
            .iter()
            .map(|steps| gradient::at_hidden(self.batch, &pass, steps, function));
        let dhidden = dhidden.collect::<Result<Vec<_>, _>>()?;
        sums.par_iter_mut().try_for_each(|(chunk, sums)| {
            for ((point, steps), dhidden) in points.iter().zip(&by_point).zip(&dhidden) {
                let dhidden = dhidden.select_steps(chunk.clone())?;
                let gradients = gradient::at_embeddings(
                    model,
                    &pass,
                    &steps[chunk.clone()],
                    &dhidden,
                    self.wanted(),
                )?;
                self.add(sums, gradients, &point.weight, chunk)?;
            }
            Ok(())
        })
    }

    /// Adds the weighted gradients of the steps of `chunk` to their sums. At the first point it
    /// starts the sums.
    fn add(
        &self,
        sums: &mut Vec<StepGradient>,
        gradients: Vec<StepGradient>,
        weight: &Weight,
        chunk: &Range<usize>,
    ) -> Result<(), Error> {
        let started = !sums.is_empty();
        for (index, gradient) in gradients.into_iter().enumerate() {
            let step = &self.steps[chunk.start + index];
            let (of_source, of_target) = match weight {
                Weight::Same(weight) => (SideWeight::Same(*weight), SideWeight::Same(*weight)),
                Weight::Each(weights) => (
                    weights
                        .source
                        .as_ref()
                        .map_or(SideWeight::Same(0.0), SideWeight::Each),
                    SideWeight::Each(&weights.target),
                ),
            };
            let sum = sums.get(index);
            let source = sum.and_then(|sum| sum.source.as_ref());
            let target = sum.and_then(|sum| sum.target.as_ref());
            let sum = StepGradient {
                source: of_source.add(source, gradient.source, step)?,
                target: of_target.add(target, gradient.target, step)?,
            };
            if started {
                sums[index] = sum;
            } else {
                sums.push(sum);
            }
        }
        Ok(())
    }
}

/// Weight of the gradient of one side.
enum SideWeight<'a> {
    Same(f64),
    Each(&'a Embedded),
}

impl SideWeight<'_> {
    fn add(
        &self,
        sum: Option<&Tensor>,
        gradient: Option<Tensor>,
        step: &ExplainedStep,
    ) -> Result<Option<Tensor>, Error> {
        let Some(gradient) = gradient else {
            return Ok(None);
        };
        match self {
            Self::Same(weight) => Ok(Some(rows::add_scaled(sum, &gradient, *weight)?)),
            Self::Each(weights) => {
                let weights = tokens_of(weights, step.explained.sequence, gradient.dim(0)?)?;
                let weighted = multiply(&weights, &gradient)?;
                match sum {
                    Some(sum) => Ok(Some(rows::add(sum, &weighted)?)),
                    None => Ok(Some(weighted)),
                }
            }
        }
    }
}

/// Returns the product of `rows` and the `factors` of the step's tokens, side by side. A missing
/// side stays missing.
pub(in crate::methods) fn times(
    rows: StepGradient,
    factors: &Inputs,
    step: &ExplainedStep,
) -> Result<RawScores, Error> {
    let side = |rows: Option<Tensor>, factors: Option<&Embedded>| match (rows, factors) {
        (Some(rows), Some(factors)) => {
            let factors = tokens_of(factors, step.explained.sequence, rows.dim(0)?)?;
            multiply(&factors, &rows).map(Some)
        }
        (rows, _) => Ok(rows),
    };
    Ok(RawScores {
        source: side(rows.source, factors.source.as_ref())?,
        target: side(rows.target, Some(&factors.target))?,
    })
}

/// Returns the sum of all scores of a step, in double precision.
pub(in crate::methods) fn total(scores: &RawScores) -> Result<f64, Error> {
    let mut total = 0.0;
    for rows in [&scores.source, &scores.target].into_iter().flatten() {
        total += host::sum(rows)?;
    }
    Ok(total)
}

/// Returns `inputs`, with the embeddings of one side replaced by the recorded residual stream at
/// `place`.
fn with_stream(inputs: &Inputs, place: StreamPlace, recorded: &Recorded) -> Inputs {
    let mut inputs = inputs.clone();
    match (place.side, &mut inputs.source) {
        (Side::Source, Some(source)) => source.rows = recorded.source[place.sublayer].clone(),
        _ => inputs.target.rows = recorded.target[place.sublayer].clone(),
    }
    inputs
}

/// Joins the inputs at all `points`: all instances at one point come before those at the next.
fn together(points: &[Point]) -> Result<Inputs, Error> {
    let side = |embedded: Vec<&Embedded>| -> Result<Embedded, Error> {
        let rows: Vec<_> = embedded.iter().map(|embedded| &embedded.rows).collect();
        let lengths = embedded
            .iter()
            .flat_map(|embedded| embedded.sequences.lengths());
        Ok(Embedded {
            sequences: Sequences::from_lengths(lengths),
            rows: Tensor::cat(&rows, 0)?,
        })
    };
    let sources: Vec<_> = points
        .iter()
        .filter_map(|point| point.at.source.as_ref())
        .collect();
    let source = if sources.is_empty() {
        None
    } else {
        Some(side(sources)?)
    };
    Ok(Inputs {
        source,
        target: side(points.iter().map(|point| &point.at.target).collect())?,
    })
}
