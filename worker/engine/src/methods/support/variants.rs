//! The attributed function on changed inputs, at the price of what the change can reach.
//!
//! A decoder is causal: where only rows from some position on have changed, the rows before it are
//! those of the unchanged pass, whose keys and values are used again. A changed source is read by
//! every decoder row, so it takes a whole pass. Variants share passes of bounded size; each has the
//! bits it has alone.

use candle_core::Tensor;

use crate::Error;
use crate::gradient::{self, ExplainedStep};
use crate::methods::Batch;
use crate::model::hooks::{Beginning, Side};
use crate::model::sequences::Sequences;
use crate::model::{Embedded, Inputs, Seed, Trace};

/// Rows of one forward pass over several variants: enough for full-speed products.
const FORWARD_ROWS: usize = 512;

/// One instance with some embeddings changed.
#[derive(Debug)]
pub(in crate::methods) struct Variant {
    /// Index of the instance.
    pub(in crate::methods) instance: usize,
    /// Which of its sequences is changed.
    pub(in crate::methods) side: Side,
    /// First changed row; those before it are as they were. 0 for a source.
    pub(in crate::methods) from: usize,
    /// The rows from there on, as the model sees them. `[rows, hidden]`
    pub(in crate::methods) rows: Tensor,
    /// Steps whose value is wanted, each predicted by a row that is not before `from`.
    pub(in crate::methods) steps: Vec<usize>,
}

impl Variant {
    /// Returns how many rows its pass has.
    fn num_rows(&self, inputs: &Inputs) -> usize {
        let own = self.rows.dims().first().copied().unwrap_or(0);
        match self.side {
            Side::Source => own + inputs.target.sequences.rows(self.instance).len(),
            Side::Target => own,
        }
    }
}

/// A batch as it is, from which variants differ.
pub(in crate::methods) struct Unchanged<'a> {
    batch: &'a Batch<'a>,
    steps: Vec<ExplainedStep>,
    inputs: Inputs,
    trace: Trace,
}

impl<'a> Unchanged<'a> {
    /// Runs the model over the batch as it is.
    pub(in crate::methods) fn of(batch: &'a Batch<'a>) -> Result<Self, Error> {
        let inputs = batch.model_inputs(&batch.embeddings()?)?;
        Ok(Self {
            batch,
            steps: batch.steps(),
            trace: batch.model.forward(&inputs)?,
            inputs,
        })
    }

    /// Returns the steps of the batch.
    pub(in crate::methods) fn steps(&self) -> &[ExplainedStep] {
        &self.steps
    }

    /// Returns the embeddings as the model sees them.
    pub(in crate::methods) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Returns the value of the attributed function at every step.
    pub(in crate::methods) fn values(&self) -> Result<Vec<f64>, Error> {
        let Batch {
            model, function, ..
        } = self.batch;
        Ok(gradient::values(model, &self.trace, &self.steps, function)?)
    }

    /// Returns, for every variant, the value of the attributed function at its steps.
    pub(in crate::methods) fn values_of(
        &self,
        variants: impl Iterator<Item = Result<Variant, Error>>,
    ) -> Result<Vec<Vec<f64>>, Error> {
        let mut values = Vec::new();
        let mut group: Vec<Variant> = Vec::new();
        let mut rows = 0;
        for variant in variants {
            let variant = variant?;
            let more = variant.num_rows(&self.inputs);
            let other_side = group
                .first()
                .is_some_and(|first| first.side != variant.side);
            if !group.is_empty() && (other_side || rows + more > FORWARD_ROWS) {
                values.extend(self.values_of_group(&group)?);
                group.clear();
                rows = 0;
            }
            rows += more;
            group.push(variant);
        }
        if !group.is_empty() {
            values.extend(self.values_of_group(&group)?);
        }
        Ok(values)
    }

    /// As [`Self::values_of`], of variants of the same side in one pass.
    fn values_of_group(&self, group: &[Variant]) -> Result<Vec<Vec<f64>>, Error> {
        let Batch {
            model, function, ..
        } = self.batch;
        let (trace, steps) = self.pass(group)?;
        let mut values = gradient::values(model, &trace, &steps, function)?.into_iter();
        let mut take = |variant: &Variant| values.by_ref().take(variant.steps.len()).collect();
        Ok(group.iter().map(&mut take).collect())
    }

    /// Runs the model over variants of the same side. Returns the pass and, variant after variant,
    /// the wanted steps as steps of that pass.
    pub(in crate::methods) fn pass(
        &self,
        group: &[Variant],
    ) -> Result<(Trace, Vec<ExplainedStep>), Error> {
        let model = self.batch.model;
        let reads_source = group
            .first()
            .is_some_and(|first| first.side == Side::Source);
        let trace = if reads_source {
            model.forward(&self.with_sources(group)?)?
        } else {
            let beginning = |variant: &Variant| Beginning {
                sequence: variant.instance,
                len: variant.from,
            };
            let past: Vec<_> = group.iter().map(beginning).collect();
            let next = embedded(group.iter().map(|variant| &variant.rows))?;
            model.forward_on(&next, self.trace.beginnings(&past))?
        };
        let of_variant = |(sequence, variant): (usize, &Variant)| {
            let earlier = match variant.side {
                Side::Source => 0,
                Side::Target => variant.from,
            };
            let shift = move |&step: &usize| {
                let step = &self.steps[step];
                let position = step.seed.position - earlier;
                let seed = Seed { sequence, position };
                ExplainedStep { seed, ..*step }
            };
            variant.steps.iter().map(shift).collect::<Vec<_>>()
        };
        let steps = group.iter().enumerate().flat_map(of_variant).collect();
        Ok((trace, steps))
    }

    /// Returns how many variants like `variant` share a pass.
    pub(in crate::methods) fn variants_at_once(&self, variant: &Variant) -> usize {
        (FORWARD_ROWS / variant.num_rows(&self.inputs).max(1)).max(1)
    }

    /// Returns an instance with one row replaced by `row`, as the model sees it, and no step wanted
    /// yet. `[1, hidden]`
    pub(in crate::methods) fn with_row(
        &self,
        instance: usize,
        side: Side,
        position: usize,
        row: &Tensor,
    ) -> Result<Variant, Error> {
        let (inputs, from) = match (side, &self.inputs.source) {
            (Side::Source, Some(source)) => (source, 0),
            _ => (&self.inputs.target, position),
        };
        let rows = inputs.sequences.rows(instance);
        let before = inputs.rows.narrow(0, rows.start + from, position - from)?;
        let after = rows.len() - position - 1;
        let after = inputs.rows.narrow(0, rows.end - after, after)?;
        Ok(Variant {
            instance,
            side,
            from,
            rows: Tensor::cat(&[&before, row, &after], 0)?,
            steps: Vec::new(),
        })
    }

    /// Returns the changed sources, each with the target it belongs to.
    fn with_sources(&self, group: &[Variant]) -> Result<Inputs, Error> {
        let targets = group.iter().map(|variant| {
            let rows = self.inputs.target.sequences.rows(variant.instance);
            self.inputs.target.rows.narrow(0, rows.start, rows.len())
        });
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        Ok(Inputs {
            source: Some(embedded(group.iter().map(|variant| &variant.rows))?),
            target: embedded(targets.iter())?,
        })
    }
}

/// Lays sequences of rows one after another.
fn embedded<'t>(sequences: impl Iterator<Item = &'t Tensor>) -> Result<Embedded, Error> {
    let rows: Vec<_> = sequences.collect();
    let lengths = rows.iter().map(|rows| rows.dim(0));
    Ok(Embedded {
        sequences: Sequences::of_lengths(lengths.collect::<Result<Vec<_>, _>>()?),
        rows: Tensor::cat(&rows, 0)?,
    })
}
