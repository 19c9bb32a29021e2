//! Evaluates the attributed function on changed inputs, computing only what the change can affect.
//!
//! A decoder is causal: if only the rows from some position on have changed, the rows before it
//! equal those of the unchanged pass, whose keys and values are reused. A changed source affects
//! every decoder row, so it takes a whole pass. So does every variant if the function reads
//! additional passes, over contrasts or with dropout. Variants share passes of bounded size; each
//! gets the same bits as it would alone.

use crate::Error;
use crate::batch::{Batch, ExplainedStep};
use crate::gradient::{self, Pass};
use crate::kernels::Tensor;
use crate::model::sequences::{CachedPrefix, Sequences};
use crate::model::{Embedded, ExplainedToken, Inputs, Trace};
use crate::sides::Side;

/// One instance with some embeddings changed.
#[derive(Debug)]
pub(in crate::methods) struct Variant {
    /// Index of the instance.
    pub(in crate::methods) instance: usize,
    /// The change.
    pub(in crate::methods) change: Change,
    /// Steps to evaluate. None of their predicting rows is before the change.
    pub(in crate::methods) steps: Vec<usize>,
}

/// New rows for an instance, as the model receives them. `[rows, hidden]` each.
#[derive(Debug)]
pub(in crate::methods) enum Change {
    /// The whole source.
    Source(Tensor),
    /// The target from position `from` on.
    Target { from: usize, rows: Tensor },
    /// The whole source and the whole target.
    Both { source: Tensor, target: Tensor },
}

impl Variant {
    /// Returns the changed source, if it is changed.
    fn source(&self) -> Option<&Tensor> {
        match &self.change {
            Change::Source(source) | Change::Both { source, .. } => Some(source),
            Change::Target { .. } => None,
        }
    }
}

/// The unchanged batch that variants differ from.
pub(in crate::methods) struct Unchanged<'a> {
    batch: &'a Batch<'a>,
    steps: Vec<ExplainedStep>,
    inputs: Inputs,
    pass: Pass,
}

impl<'a> Unchanged<'a> {
    /// Runs the model over the unchanged batch.
    pub(in crate::methods) fn new(batch: &'a Batch<'a>) -> Result<Self, Error> {
        let inputs = batch.model_inputs(&batch.embeddings()?)?;
        let own: Vec<_> = (0..batch.instances.len()).collect();
        Ok(Self {
            batch,
            steps: batch.steps(),
            pass: batch.forward_variants(&inputs, &own)?,
            inputs,
        })
    }

    /// Returns the steps of the batch.
    pub(in crate::methods) fn steps(&self) -> &[ExplainedStep] {
        &self.steps
    }

    /// Returns the pass over the unchanged batch.
    pub(in crate::methods) fn trace(&self) -> &Trace {
        &self.pass.trace
    }

    /// Returns the value of the attributed function at every step.
    pub(in crate::methods) fn values(&self) -> Result<Vec<f64>, Error> {
        let function = self.batch.function;
        Ok(gradient::values(
            self.batch,
            &self.pass,
            &self.steps,
            function,
        )?)
    }

    /// Returns, for every variant, the value of the attributed function at its steps.
    pub(in crate::methods) fn values_of(
        &self,
        variants: impl Iterator<Item = Result<Variant, Error>>,
    ) -> Result<Vec<Vec<f64>>, Error> {
        let function = self.batch.function;
        let mut values = Vec::new();
        self.for_each_pass(variants, |group, pass, steps| {
            let mut of_steps = gradient::values(self.batch, pass, steps, function)?.into_iter();
            let mut take =
                |variant: &Variant| of_steps.by_ref().take(variant.steps.len()).collect();
            values.extend(group.iter().map(&mut take));
            Ok(())
        })?;
        Ok(values)
    }

    /// Groups variants that can share a pass and calls `body` with each group, its pass, and the
    /// steps to evaluate, variant after variant, as steps of that pass.
    pub(in crate::methods) fn for_each_pass(
        &self,
        variants: impl Iterator<Item = Result<Variant, Error>>,
        mut body: impl FnMut(&[Variant], &Pass, &[ExplainedStep]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut run = |group: &[Variant]| -> Result<(), Error> {
            let (pass, steps) = self.pass(group)?;
            body(group, &pass, &steps)
        };
        let mut group: Vec<Variant> = Vec::new();
        let mut rows = 0;
        for variant in variants {
            let variant = variant?;
            let more = self.num_rows(&variant);
            let reads_other =
                |first: &Variant| first.source().is_some() != variant.source().is_some();
            if group
                .first()
                .is_some_and(|first| reads_other(first) || rows + more > self.batch.sizes.pass_rows)
            {
                run(&group)?;
                group.clear();
                rows = 0;
            }
            rows += more;
            group.push(variant);
        }
        if !group.is_empty() {
            run(&group)?;
        }
        Ok(())
    }

    /// Runs the model over variants, which must either all change the source or all leave it as it
    /// is. Returns the pass and the steps to evaluate, variant after variant, as steps of that
    /// pass.
    pub(in crate::methods) fn pass(
        &self,
        group: &[Variant],
    ) -> Result<(Pass, Vec<ExplainedStep>), Error> {
        let pass = if self.batch.has_passes_beside() {
            let instances: Vec<_> = group.iter().map(|variant| variant.instance).collect();
            let inputs = self.whole_inputs(group)?;
            self.batch.forward_variants(&inputs, &instances)?
        } else {
            self.changed_pass(group)?.into()
        };
        let of_variant = |(sequence, variant): (usize, &Variant)| {
            let earlier = self.earlier(variant);
            let shift = move |&step: &usize| {
                let step = &self.steps[step];
                let position = step.explained.position - earlier;
                let explained = ExplainedToken { sequence, position };
                ExplainedStep { explained, ..*step }
            };
            variant.steps.iter().map(shift).collect::<Vec<_>>()
        };
        let steps = group.iter().enumerate().flat_map(of_variant).collect();
        Ok((pass, steps))
    }

    /// Runs the model over the rows that the changes of `group` affect.
    fn changed_pass(&self, group: &[Variant]) -> Result<Trace, Error> {
        let model = self.batch.model;
        let targets = group.iter().map(|variant| self.target_rows(variant));
        let target = embedded(&targets.collect::<Result<Vec<_>, _>>()?)?;
        let sources: Vec<_> = group.iter().filter_map(Variant::source).cloned().collect();
        if sources.is_empty() {
            let prefix = |variant: &Variant| CachedPrefix {
                sequence: variant.instance,
                len: self.earlier(variant),
            };
            let past: Vec<_> = group.iter().map(prefix).collect();
            let past = self.pass.trace.cached_prefixes(&past);
            return Ok(model.forward_on(&target, past)?);
        }
        let source = Some(embedded(&sources)?);
        Ok(model.forward(&Inputs { source, target })?)
    }

    /// Returns the complete inputs of the variants, including the rows that have not changed.
    fn whole_inputs(&self, group: &[Variant]) -> Result<Inputs, Error> {
        let source_rows = |variant: &Variant| match (variant.source(), &self.inputs.source) {
            (Some(rows), _) => Ok(Some(rows.clone())),
            (None, None) => Ok(None),
            (None, Some(source)) => {
                let rows = source.sequences.rows(variant.instance);
                source.rows.narrow(0, rows.start, rows.len()).map(Some)
            }
        };
        let sources = group
            .iter()
            .map(source_rows)
            .collect::<Result<Option<Vec<_>>, _>>()?;
        let target_rows = |variant: &Variant| match &variant.change {
            Change::Target { from, rows } => {
                let first = self.inputs.target.sequences.rows(variant.instance).start;
                let before = self.inputs.target.rows.narrow(0, first, *from)?;
                Ok(Tensor::cat(&[&before, rows], 0)?)
            }
            Change::Source(_) | Change::Both { .. } => self.target_rows(variant),
        };
        let targets = group
            .iter()
            .map(target_rows)
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Inputs {
            source: sources.map(|sources| embedded(&sources)).transpose()?,
            target: embedded(&targets)?,
        })
    }

    /// Returns how many target rows the pass of `variant` leaves out: those before the change,
    /// unless the function reads additional passes, which need all rows.
    pub(in crate::methods) fn earlier(&self, variant: &Variant) -> usize {
        match variant.change {
            Change::Target { from, .. } if !self.batch.has_passes_beside() => from,
            _ => 0,
        }
    }

    /// Returns how many rows the pass of `variant` has.
    fn num_rows(&self, variant: &Variant) -> usize {
        let rows = |tensor: &Tensor| tensor.dims().first().copied().unwrap_or(0);
        let own = |embedded: &Embedded| embedded.sequences.rows(variant.instance).len();
        match &variant.change {
            Change::Source(source) => rows(source) + own(&self.inputs.target),
            Change::Target { .. } if self.batch.has_passes_beside() => {
                self.inputs.source.as_ref().map_or(0, own) + own(&self.inputs.target)
            }
            Change::Target { rows: target, .. } => rows(target),
            Change::Both { source, target } => rows(source) + rows(target),
        }
    }

    /// Returns the target rows of a variant's pass. `[rows, hidden]`
    fn target_rows(&self, variant: &Variant) -> Result<Tensor, Error> {
        match &variant.change {
            Change::Target { rows, .. } | Change::Both { target: rows, .. } => Ok(rows.clone()),
            Change::Source(_) => {
                let rows = self.inputs.target.sequences.rows(variant.instance);
                Ok(self.inputs.target.rows.narrow(0, rows.start, rows.len())?)
            }
        }
    }

    /// Returns how many variants of the size of `variant` can share a pass.
    pub(in crate::methods) fn variants_at_once(&self, variant: &Variant) -> usize {
        (self.batch.sizes.pass_rows / self.num_rows(variant).max(1)).max(1)
    }

    /// Returns the change that replaces adjacent rows of an instance, from row `first` of `side`
    /// on, by `new`. `[rows, hidden]`
    pub(in crate::methods) fn with_rows(
        &self,
        instance: usize,
        (side, first): (Side, usize),
        new: &Tensor,
    ) -> Result<Change, Error> {
        let (inputs, from) = match (side, &self.inputs.source) {
            (Side::Source, Some(source)) => (source, 0),
            _ => (&self.inputs.target, first),
        };
        let rows = inputs.sequences.rows(instance);
        let before = inputs.rows.narrow(0, rows.start + from, first - from)?;
        let end = first + new.dim(0)?;
        let after = inputs.rows.narrow(0, rows.start + end, rows.len() - end)?;
        let rows = Tensor::cat(&[&before, new, &after], 0)?;
        Ok(match side {
            Side::Source => Change::Source(rows),
            Side::Target => Change::Target { from, rows },
        })
    }
}

/// Concatenates sequences of rows.
fn embedded(sequences: &[Tensor]) -> Result<Embedded, Error> {
    let lengths = sequences.iter().map(|rows| rows.dim(0));
    Ok(Embedded {
        sequences: Sequences::from_lengths(lengths.collect::<Result<Vec<_>, _>>()?),
        rows: Tensor::cat(sequences, 0)?,
    })
}
