//! `occlusion`: how much the attributed function changes when a token's embedding is replaced by
//! its baseline.
//!
//! `A_j = |mean (F(x) − F(x with window w at its baselines))|` over the windows w that cover token
//! j. Windows of `sliding_window_shapes` tokens start every `strides` tokens; the last one is cut
//! off at the end. Source: Zeiler & Fergus 2014, <https://arxiv.org/abs/1311.2901>. The absolute
//! value follows Inseq. A token that is its own baseline scores 0 in windows of one token.
//!
//! Replacing a window in the whole target also replaces it in every prefix that contains it. So one
//! pass per window, over the rows from the window on, serves all later steps; the rows before it
//! reuse the keys and values of the unchanged pass. Inseq runs one pass per window and step. A
//! window of the source takes a pass of both stacks. Cost: one pass per window.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::method::{Method, Requirements, Sink};
use super::support::variants::{Unchanged, Variant};
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::{Batch, ExplainedStep};
use crate::instance::Instance;
use crate::kernels::{Tensor, host};
use crate::model::{Embedded, Inputs};
use crate::registry::Describe;
use crate::sides::Side;

/// How much the function changes when tokens are replaced by their baselines.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Occlusion {
    /// Number of adjacent tokens that are replaced together.
    pub sliding_window_shapes: usize,
    /// Number of tokens between the starts of consecutive windows.
    pub strides: usize,
}

impl Default for Occlusion {
    fn default() -> Self {
        Self {
            sliding_window_shapes: 1,
            strides: 1,
        }
    }
}

impl Describe for Occlusion {
    const NAME: &'static str = "occlusion";
    const SUMMARY: &'static str =
        "change of the attributed function when tokens are replaced by their baselines";
}

impl Method for Occlusion {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let unchanged = Unchanged::new(batch)?;
        let values = unchanged.values()?;
        let steps = unchanged.steps();
        let [source, target] = [Side::Source, Side::Target].map(|side| {
            let attributed = match side {
                Side::Source => batch.model.has_encoder(),
                Side::Target => batch.attributes_target(),
            };
            attributed
                .then(|| Drops::new(self, batch, &unchanged, &values, side))
                .transpose()
        });
        let (source, target) = (source?, target?);
        for (index, step) in steps.iter().enumerate() {
            let scores = |drops: &Option<Drops>, side| {
                let scores = drops
                    .as_ref()
                    .map(|drops| drops.scores(self, index, tokens(step, side)));
                scores.transpose()
            };
            let scores = RawScores {
                source: scores(&source, Side::Source)?,
                target: scores(&target, Side::Target)?,
            };
            sink.record(index, scores)?;
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), String> {
        let (window, stride) = (self.sliding_window_shapes, self.strides);
        if window == 0 || stride == 0 {
            return Err("`sliding_window_shapes` and `strides` must be at least 1".to_owned());
        }
        if stride > window {
            return Err(format!(
                "`strides` is {stride}, more than `sliding_window_shapes` = {window}: tokens would be left out"
            ));
        }
        Ok(())
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &[]
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        Requirements::VARIANTS
    }
}

impl Occlusion {
    /// Returns the starts of the windows on `tokens` tokens. The windows on a prefix are the first
    /// ones of the windows on the whole sequence.
    fn starts(&self, tokens: usize) -> impl Iterator<Item = usize> {
        let free = tokens.saturating_sub(self.sliding_window_shapes);
        let stride = self.strides;
        (0..=free.div_ceil(stride)).map(move |index| index * stride)
    }
}

/// Returns how many tokens of a side a step sees.
fn tokens(step: &ExplainedStep, side: Side) -> usize {
    match side {
        Side::Source => step.source_rows,
        Side::Target => step.explained.position + 1,
    }
}

/// How much replacing each window lowers the function of each step.
struct Drops {
    /// For each step, the drop of each window, in order of their starts.
    of_step: Vec<Vec<f64>>,
}

impl Drops {
    fn new(
        method: &Occlusion,
        batch: &Batch<'_>,
        unchanged: &Unchanged<'_>,
        values: &[f64],
        side: Side,
    ) -> Result<Self, Error> {
        let steps = unchanged.steps();
        let baselines = batch.model_inputs(&batch.baselines()?)?;
        let windows = Windows {
            method,
            batch,
            unchanged,
            baselines: &baselines,
            side,
        };
        let places = windows.places(steps);
        let variants = places.iter().filter_map(|place| windows.variant(place));
        let mut changed = unchanged.values_of(variants)?.into_iter();
        let mut of_step = vec![Vec::new(); steps.len()];
        for place in &places {
            // A window that already equals its baselines changes nothing and has no variant.
            let changed = if windows.is_changed(place) {
                changed.next()
            } else {
                None
            };
            for (index, &step) in place.steps.iter().enumerate() {
                let value = changed
                    .as_ref()
                    .map_or(values[step], |values| values[index]);
                of_step[step].push(values[step] - value);
            }
        }
        Ok(Self { of_step })
    }

    /// Returns the score of each token of a step: the absolute mean of the drops of the windows
    /// that cover it. `[tokens]`
    fn scores(&self, method: &Occlusion, step: usize, tokens: usize) -> Result<Tensor, Error> {
        let (mut sums, mut counts) = (vec![0.0; tokens], vec![0_u32; tokens]);
        for (start, drop) in method.starts(tokens).zip(&self.of_step[step]) {
            for token in start..(start + method.sliding_window_shapes).min(tokens) {
                sums[token] += drop;
                counts[token] += 1;
            }
        }
        let means = sums.iter().zip(&counts);
        let scores: Vec<f64> = means
            .map(|(sum, &count)| (sum / f64::from(count)).abs())
            .collect();
        Ok(host::upload(scores, tokens)?)
    }
}

/// One window of one instance, and the steps whose inputs contain it.
struct OccludedTokens {
    instance: usize,
    start: usize,
    steps: Vec<usize>,
}

/// The windows on one side of a batch.
struct Windows<'a> {
    method: &'a Occlusion,
    batch: &'a Batch<'a>,
    unchanged: &'a Unchanged<'a>,
    baselines: &'a Inputs,
    side: Side,
}

impl Windows<'_> {
    /// Returns all windows, instance after instance, each in order of their starts.
    fn places(&self, steps: &[ExplainedStep]) -> Vec<OccludedTokens> {
        let mut places: Vec<OccludedTokens> = Vec::new();
        for instance in 0..self.batch.instances.len() {
            let own = || {
                let steps = steps.iter().enumerate();
                steps.filter(move |(_, step)| step.explained.sequence == instance)
            };
            let most = own().map(|(_, step)| tokens(step, self.side)).max();
            for start in self.method.starts(most.unwrap_or(0)) {
                let has_window = |step: &ExplainedStep| {
                    let last = self.method.starts(tokens(step, self.side)).last();
                    last.is_some_and(|last| start <= last)
                };
                let steps = own().filter(|(_, step)| has_window(step));
                let steps = steps.map(|(index, _)| index).collect();
                places.push(OccludedTokens {
                    instance,
                    start,
                    steps,
                });
            }
        }
        places
    }

    /// Returns whether any token of the window differs from its baseline.
    fn is_changed(&self, place: &OccludedTokens) -> bool {
        let instance = &self.batch.instances[place.instance];
        let (ids, baseline) = self.ids(instance);
        let end = (place.start + self.method.sliding_window_shapes).min(ids.len());
        ids[place.start..end] != baseline[place.start..end]
    }

    fn ids<'i>(&self, instance: &'i Instance) -> (&'i [u32], &'i [u32]) {
        match self.side {
            Side::Source => (&instance.source, &instance.source_baseline),
            Side::Target => (instance.decoder_input(), instance.decoder_baseline()),
        }
    }

    /// Returns the instance with the window replaced by its baselines; `None` if that changes
    /// nothing.
    fn variant(&self, place: &OccludedTokens) -> Option<Result<Variant, Error>> {
        if !self.is_changed(place) {
            return None;
        }
        let baselines = match self.side {
            Side::Source => self.baselines.source.as_ref()?,
            Side::Target => &self.baselines.target,
        };
        Some(self.replace(place, baselines))
    }

    fn replace(&self, place: &OccludedTokens, baselines: &Embedded) -> Result<Variant, Error> {
        let rows = baselines.sequences.rows(place.instance);
        let end = (place.start + self.method.sliding_window_shapes).min(rows.len());
        let window = (baselines.rows).narrow(0, rows.start + place.start, end - place.start)?;
        let from = (self.side, place.start);
        Ok(Variant {
            instance: place.instance,
            change: self.unchanged.with_rows(place.instance, from, &window)?,
            steps: place.steps.clone(),
        })
    }
}
