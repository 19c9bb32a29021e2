//! A pass over a batch, together with the additional passes that the attributed function reads.
//!
//! With `contrast_force_inputs` the attributed function compares the model's prediction after the
//! example with its prediction after the contrast. As long as both begin with the same tokens,
//! those tokens are the same inputs: changing one changes both predictions, so the gradient has a
//! term for each. Therefore a contrast reuses the rows of its example as far as the tokens agree,
//! and has its own embeddings from there on. Inseq treats a whole side as the example's own if all
//! its tokens are equal, and otherwise holds it constant; in decoder-only models it always holds it
//! constant.
//!
//! A function of passes with dropout reads additional passes over the same inputs. Their masks are
//! drawn from the example's own random stream and are the same for every variant of the example. So
//! one fixed function of the inputs is attributed, not a different one at every point.

use whence_schemas::Compat;

use crate::Error;
use crate::batch::{Batch, ExplainedStep};
use crate::instance::{Contrast, Instance};
use crate::kernels::{Tensor, rows};
use crate::model::sequences::Sequences;
use crate::model::{Embedded, ExplainedToken, Inputs, Trace};
use crate::random::Random;
use crate::sides::Side;

/// One pass over a batch, or over several variants of it.
#[derive(Debug)]
pub(crate) struct Pass {
    /// The pass over the examples.
    pub(crate) trace: Trace,
    pub(super) contrasts: Option<ContrastPass>,
    /// Passes over the same inputs with dropout.
    pub(super) dropped: Vec<Trace>,
}

/// The pass over the contrasts.
#[derive(Debug)]
pub(super) struct ContrastPass {
    pub(super) trace: Trace,
    /// For each sequence of the examples' pass, what it shares with its contrast, if it has one.
    pub(super) of_sequence: Vec<Option<Shared>>,
}

/// A contrast's sequence, and how many of its rows are shared with its example.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared {
    /// Index of the contrast's sequence.
    pub(super) sequence: usize,
    /// Rows of the contrast's source.
    pub(super) source_rows: usize,
    /// How many of its first source rows are the example's.
    pub(super) source: usize,
    /// How many of its first target rows are the example's.
    pub(super) target: usize,
}

/// A borrowed [`Pass`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassRef<'a> {
    pub(super) trace: &'a Trace,
    pub(super) contrasts: Option<&'a ContrastPass>,
    pub(super) dropped: &'a [Trace],
}

impl Pass {
    /// Wraps a pass and passes over the same inputs with dropout. Any contrasts are held constant.
    pub(crate) fn beside(trace: Trace, dropped: Vec<Trace>) -> Self {
        Self {
            trace,
            contrasts: None,
            dropped,
        }
    }
}

impl From<Trace> for Pass {
    /// Wraps a pass without additional passes.
    fn from(trace: Trace) -> Self {
        Self::beside(trace, Vec::new())
    }
}

impl<'a> From<&'a Trace> for PassRef<'a> {
    fn from(trace: &'a Trace) -> Self {
        Self {
            trace,
            contrasts: None,
            dropped: &[],
        }
    }
}

impl<'a> From<&'a Pass> for PassRef<'a> {
    fn from(pass: &'a Pass) -> Self {
        Self {
            trace: &pass.trace,
            contrasts: pass.contrasts.as_ref(),
            dropped: &pass.dropped,
        }
    }
}

impl Batch<'_> {
    /// Runs the model on `embeddings`: those of this batch, or those of variants of it, with all
    /// instances of one variant before those of the next.
    pub(crate) fn forward(&self, embeddings: &Inputs) -> Result<Pass, Error> {
        let sequences = embeddings.target.sequences.len();
        let instances: Vec<_> = (0..sequences).map(|s| s % self.instances.len()).collect();
        self.forward_variants(&self.model_inputs(embeddings)?, &instances)
    }

    /// Runs the model over `inputs`, where sequence `i` is a variant of instance `instances[i]`,
    /// and runs the additional passes that the attributed function reads.
    pub(crate) fn forward_variants(
        &self,
        inputs: &Inputs,
        instances: &[usize],
    ) -> Result<Pass, Error> {
        let trace = self.model.forward(inputs)?;
        let contrasts = if self.moves_contrasts() {
            Some(self.forward_contrasts(inputs, instances)?)
        } else {
            None
        };
        let passes = self.function.function.dropout_passes();
        let dropped = self.forward_dropped(inputs, instances, passes);
        Ok(Pass {
            trace,
            contrasts,
            dropped: dropped.collect::<Result<_, _>>()?,
        })
    }

    /// Returns whether the attributed function reads additional passes over the inputs.
    pub(crate) fn has_passes_beside(&self) -> bool {
        self.moves_contrasts() || self.function.function.dropout_passes() > 0
    }

    /// Runs the model `passes` times with dropout over `inputs`, where sequence `i` is a variant of
    /// instance `instances[i]`.
    pub(crate) fn forward_dropped<'i>(
        &'i self,
        inputs: &'i Inputs,
        instances: &[usize],
        passes: usize,
    ) -> impl Iterator<Item = Result<Trace, Error>> + 'i {
        let stream =
            |&index: &usize| Random::new(self.seed, self.instances[index].id, "mc_dropout");
        let mut streams: Vec<_> = instances.iter().map(stream).collect();
        (0..passes).map(move |_| {
            Ok(self
                .model
                .forward_dropped(inputs, self.dropout, &mut streams)?)
        })
    }

    fn moves_contrasts(&self) -> bool {
        let moves = |instance: &Instance| {
            let contrast = instance.contrast.as_ref();
            contrast.is_some_and(|contrast| self.shared_tokens(instance, contrast) != [0, 0])
        };
        self.function.contrast.is_some() && self.instances.iter().any(moves)
    }

    /// Returns how many of the first source tokens and first target tokens of the contrast are the
    /// example's own.
    fn shared_tokens(&self, instance: &Instance, contrast: &Contrast) -> [usize; 2] {
        let source = common(&instance.source, &contrast.source);
        let target = common(instance.decoder_input(), contrast.decoder_input());
        match self.function.compat {
            Compat::None => [source, target],
            // Inseq runs the contrast of a decoder-only model on token ids, so nothing of it
            // changes with the example, not even a prefix that both share.
            Compat::Inseq071 if !self.model.has_encoder() => [0, 0],
            Compat::Inseq071 => {
                let is_same = contrast.source == instance.source;
                // `engine/regimes.rs` made sure that this is the same for all steps of an instance.
                let has_prefix = contrast.has_prefix_of(instance, instance.explained.start);
                [
                    if is_same { source } else { 0 },
                    if has_prefix { target } else { 0 },
                ]
            }
        }
    }

    fn forward_contrasts(
        &self,
        inputs: &Inputs,
        instances: &[usize],
    ) -> Result<ContrastPass, Error> {
        let pairs: Vec<(usize, &Instance, &Contrast)> = instances
            .iter()
            .enumerate()
            .filter_map(|(sequence, &instance)| {
                let instance = &self.instances[instance];
                Some((sequence, instance, instance.contrast.as_ref()?))
            })
            .collect();
        let mut of_sequence = vec![None; instances.len()];
        for (index, (sequence, instance, contrast)) in pairs.iter().enumerate() {
            let [source, target] = self.shared_tokens(instance, contrast);
            of_sequence[*sequence] = Some(Shared {
                sequence: index,
                source_rows: contrast.source.len(),
                source,
                target,
            });
        }
        let others = || pairs.iter().map(|(.., contrast)| *contrast);
        let sources = others().map(|contrast| contrast.source.as_slice());
        let embed_sources = || self.model.embed(Side::Source, sources);
        let source = inputs.source.is_some().then(embed_sources);
        let others = self.model_inputs(&Inputs {
            source: source.transpose()?,
            target: self
                .model
                .embed(Side::Target, others().map(Contrast::decoder_input))?,
        })?;
        let source = match (&inputs.source, &others.source) {
            (Some(own), Some(others)) => Some(overlay(own, others, &of_sequence, |s| s.source)?),
            _ => None,
        };
        let target = overlay(&inputs.target, &others.target, &of_sequence, |s| s.target)?;
        Ok(ContrastPass {
            trace: self.model.forward(&Inputs { source, target })?,
            of_sequence,
        })
    }
}

/// Returns the index, the explained token of the contrast and the shared rows, for every step whose
/// sequence has a contrast.
pub(super) fn contrast_tokens(
    steps: &[ExplainedStep],
    of_sequence: &[Option<Shared>],
) -> Vec<(usize, ExplainedToken, Shared)> {
    let of_step = |(index, step): (usize, &ExplainedStep)| {
        let shared = of_sequence[step.explained.sequence]?;
        let explained = ExplainedToken {
            sequence: shared.sequence,
            position: step.contrast?.position,
        };
        Some((index, explained, shared))
    };
    steps.iter().enumerate().filter_map(of_step).collect()
}

/// Returns the length of the common prefix.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Returns the sequences `others`, with the rows they share with `own` replaced by the rows of
/// `own`.
fn overlay(
    own: &Embedded,
    others: &Embedded,
    of_sequence: &[Option<Shared>],
    shared: fn(&Shared) -> usize,
) -> Result<Embedded, Error> {
    let mut pieces: Vec<Tensor> = Vec::new();
    for (sequence, contrast) in of_sequence.iter().enumerate() {
        let Some(contrast) = contrast else {
            continue;
        };
        let (count, rows) = (shared(contrast), others.sequences.rows(contrast.sequence));
        let start = own.sequences.rows(sequence).start;
        for (from, start, len) in [
            (&own.rows, start, count),
            (&others.rows, rows.start + count, rows.len() - count),
        ] {
            if len > 0 {
                pieces.push(from.narrow(0, start, len)?);
            }
        }
    }
    Ok(Embedded {
        rows: Tensor::cat(&pieces, 0)?,
        sequences: Sequences::from_lengths(others.sequences.lengths()),
    })
}

/// Adds the first `shared` rows of `added` to `gradient`.
pub(super) fn add_shared(
    gradient: Option<Tensor>,
    added: Option<Tensor>,
    shared: usize,
) -> candle_core::Result<Option<Tensor>> {
    let (Some(gradient), Some(added)) = (&gradient, added) else {
        return Ok(gradient);
    };
    let count = shared.min(gradient.dim(0)?).min(added.dim(0)?);
    let added = added.narrow(0, 0, count)?;
    rows::add_at(gradient, &added, &(0..count).collect()).map(Some)
}
