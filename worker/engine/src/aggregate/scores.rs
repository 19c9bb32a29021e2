//! `scores`: reduces the last axis of each token's scores, then normalizes each step.
//!
//! Normalizing divides by the sum of absolute values over source and prefix together, as Inseq does
//! by default. It happens after every reduction, so that the next stage gives equal weight to all
//! columns. Rescaling divides by the largest absolute value of all steps instead. Sequence scores
//! are reduced the same way but neither normalized nor rescaled, as in Inseq.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use whence_schemas::options::OptionError;

use super::cells::Cells;
use super::{Aggregator, Context, Defaults, Reduction};
use crate::kernels::Tensor;
use crate::kernels::reduction::{self, AxisReduction};
use crate::registry::{self, Describe};
use crate::{Attribution, Error, ScoreRows, SequenceScores, StepAttribution};

/// Smallest divisor when normalizing, so that a step whose scores are all 0 does not become NaN.
/// The value is Inseq's.
const SMALLEST_SUM: f64 = 1e-12;

/// Reduces the last axis of each token's scores.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scores {
    /// How the axis is reduced; when absent, as in the attribution method's default aggregators.
    aggregate_fn: Option<Reduction>,
    /// Order of the norm if the reduction is `vnorm`.
    vnorm_ord: f64,
    /// Entries of the axis to reduce: a single index (that entry is taken as it is), a list, or a
    /// range `"2:5"`. Negative indices count from the end. All entries when absent.
    select_idx: Option<Selection>,
    /// Divide each step's scores by the sum of their absolute values; when absent, as the job says.
    normalize: Option<bool>,
    /// Divide by the largest absolute value of all steps. Cannot be combined with `normalize`.
    rescale: bool,
}

impl Default for Scores {
    fn default() -> Self {
        Self {
            aggregate_fn: None,
            vnorm_ord: 2.0,
            select_idx: None,
            normalize: None,
            rescale: false,
        }
    }
}

impl Describe for Scores {
    const NAME: &'static str = "scores";
    const SUMMARY: &'static str = "one number of each token's last axis, normalized";
}

/// Entries of an axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected an entry's number, a list of them or a range such as \"2:5\""
)]
enum Selection {
    One(i64),
    List(Vec<i64>),
    /// `from:to`, without the end.
    Range(String),
}

/// Returns the parameters of a function that is short for `scores`.
pub(super) fn parameters_without_function() -> Map<String, Value> {
    let mut parameters = registry::parameters::<Scores>();
    parameters.remove("aggregate_fn");
    parameters
}

impl Scores {
    /// Returns whether the stage divides by the largest value of all steps, and so needs the whole
    /// attribution.
    pub(super) fn rescales(&self) -> bool {
        self.rescale
    }

    /// Reads the parameters of `scores`, with the function fixed to `reduction`.
    pub(super) fn with_function(
        reduction: Reduction,
        parameters: &Value,
    ) -> Result<Self, OptionError> {
        let scores = registry::read::<Self>(parameters)?;
        Ok(Self {
            aggregate_fn: Some(reduction),
            ..scores
        })
    }

    /// Reduces and normalizes the scores of one step.
    pub(super) fn reduce(
        &self,
        sides: &mut [Option<Cells>; 2],
        defaults: Defaults,
    ) -> Result<(), Error> {
        for side in sides.iter_mut().flatten() {
            self.reduce_side(side, defaults.reduction)?;
        }
        self.normalize_step(sides, defaults);
        Ok(())
    }

    /// Normalizes the scores of one step, if the parameters or `defaults` ask for it.
    pub(super) fn normalize_step(&self, sides: &mut [Option<Cells>; 2], defaults: Defaults) {
        if self.normalize.unwrap_or(defaults.normalize) {
            normalize(sides);
        }
    }

    /// Reduces the last axis of the scores of some tokens.
    pub(super) fn reduce_side(&self, side: &mut Cells, by_default: Reduction) -> Result<(), Error> {
        let axis = side.row_shape.pop();
        let (axis, reduction) = self.axis_reduction(axis, by_default)?;
        side.values = reduction.of_rows(&side.values, axis, |value| value);
        Ok(())
    }

    /// Like [`Self::reduce_side`], but on the tensor as the method computed it: the raw scores are
    /// not copied, and only the reduced ones leave the device. `[tokens, …]`
    pub(super) fn reduce_raw(&self, raw: &Tensor, by_default: Reduction) -> Result<Cells, Error> {
        let axis = raw.dims().iter().skip(1).next_back().copied();
        let (_, reduction) = self.axis_reduction(axis, by_default)?;
        Cells::from_tensor(&reduction::reduce(raw, &reduction)?)
    }

    /// Returns the length of the last axis and how it is reduced. Fails if no axis is left.
    fn axis_reduction(
        &self,
        axis: Option<usize>,
        by_default: Reduction,
    ) -> Result<(usize, AxisReduction), Error> {
        let Some(axis) = axis else {
            let reason =
                "there are more aggregators than axes: these scores are already one per token"
                    .to_owned();
            return Err(Error::Specification { reason });
        };
        let is_one = matches!(self.select_idx, Some(Selection::One(_)));
        let reduction = AxisReduction {
            entries: self.selected(axis)?,
            by: (!is_one).then(|| self.aggregate_fn.unwrap_or(by_default)),
            order: self.vnorm_ord,
        };
        Ok((axis, reduction))
    }

    /// Returns the selected entries of an axis of length `axis`.
    fn selected(&self, axis: usize) -> Result<Vec<usize>, Error> {
        let from_end = |index: i64| {
            if index < 0 {
                index + axis as i64
            } else {
                index
            }
        };
        let wrong = |reason: String| wrong_parameter(&format!("`select_idx` {reason}"));
        let wanted: Vec<i64> = match &self.select_idx {
            None => return Ok((0..axis).collect()),
            Some(Selection::One(index)) => vec![from_end(*index)],
            Some(Selection::List(list)) => list.iter().map(|&index| from_end(index)).collect(),
            Some(Selection::Range(text)) => {
                let (start, end) = range(text)
                    .ok_or_else(|| wrong(format!("is `{text}`, a range is written `2:5`")))?;
                (from_end(start)..from_end(end)).collect()
            }
        };
        let mut sorted = wanted.clone();
        sorted.sort_unstable();
        if sorted.is_empty() {
            return Err(wrong("selects nothing".to_owned()));
        }
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(wrong("names an entry twice".to_owned()));
        }
        if sorted[0] < 0 || sorted[sorted.len() - 1] >= axis as i64 {
            return Err(wrong(format!(
                "names an entry the axis of {axis} does not have"
            )));
        }
        Ok(wanted.into_iter().map(|index| index as usize).collect())
    }

    fn step(&self, step: StepAttribution, context: &Context<'_>) -> Result<StepAttribution, Error> {
        let mut sides =
            [&step.source, &step.target].map(|side| side.as_ref().map(Cells::from_rows));
        self.reduce(&mut sides, context.defaults)?;
        let [source, target] = sides.map(|side| side.map(Cells::into_rows));
        Ok(StepAttribution {
            source,
            target,
            ..step
        })
    }

    fn sequence(
        &self,
        scores: SequenceScores,
        by_default: Reduction,
    ) -> Result<SequenceScores, Error> {
        let column = |rows: &ScoreRows| {
            let mut column = Cells::from_rows(rows);
            self.reduce_side(&mut column, by_default)?;
            Ok(column.into_rows())
        };
        let columns = scores.columns.iter().map(column);
        Ok(SequenceScores {
            columns: columns.collect::<Result<_, Error>>()?,
            ..scores
        })
    }
}

impl Aggregator for Scores {
    fn aggregate(
        &self,
        attribution: Attribution,
        context: &Context<'_>,
    ) -> Result<Attribution, Error> {
        let steps = attribution.steps.into_iter();
        let steps = steps.map(|step| self.step(step, context));
        let steps = steps.collect::<Result<_, _>>()?;
        let sequences = attribution.sequence_scores.into_iter();
        let sequences = sequences.map(|scores| self.sequence(scores, context.defaults.reduction));
        let mut attribution = Attribution {
            steps,
            sequence_scores: sequences.collect::<Result<_, _>>()?,
            ..attribution
        };
        if self.rescale {
            rescale(&mut attribution);
        }
        Ok(attribution)
    }

    fn validate(&self, defaults: Defaults) -> Result<(), Error> {
        if self.rescale && self.normalize.unwrap_or(defaults.normalize) {
            return Err(wrong_parameter(
                "`rescale` and `normalize` exclude each other; set `normalize` to false",
            ));
        }
        Ok(())
    }
}

fn wrong_parameter(reason: &str) -> Error {
    Error::Parameters {
        what: "aggregator",
        name: Scores::NAME.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Parses `from:to`.
fn range(text: &str) -> Option<(i64, i64)> {
    let (start, end) = text.split_once(':')?;
    Some((start.trim().parse().ok()?, end.trim().parse().ok()?))
}

/// Divides each column by the sum of its absolute values over the tokens of both sides.
///
/// Missing scores, which are NaN, count as 0 and stay missing.
pub(super) fn normalize(sides: &mut [Option<Cells>; 2]) {
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
                *sum += if value.is_nan() { 0.0 } else { value.abs() };
            }
        }
    }
    for side in sides.iter_mut().flatten() {
        for row in side.values.chunks_exact_mut(width) {
            for (value, sum) in row.iter_mut().zip(&sums) {
                // The floor avoids 0 / 0 when all scores of a step are zero.
                *value /= sum.max(SMALLEST_SUM);
            }
        }
    }
}

/// Divides all scores by the largest absolute value among them.
pub(super) fn rescale(attribution: &mut Attribution) {
    fn sides(step: &mut StepAttribution) -> impl Iterator<Item = &mut ScoreRows> {
        [&mut step.source, &mut step.target].into_iter().flatten()
    }
    let values = attribution.steps.iter_mut().flat_map(sides);
    let values = values.flat_map(|rows| rows.values.iter());
    let largest = values.fold(0.0, |largest: f32, value| largest.max(value.abs()));
    if largest == 0.0 {
        return;
    }
    for rows in attribution.steps.iter_mut().flat_map(sides) {
        rows.values.iter_mut().for_each(|value| *value /= largest);
    }
}
