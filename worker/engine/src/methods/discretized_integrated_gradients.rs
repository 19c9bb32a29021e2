//! `discretized_integrated_gradients`: gradients summed along a path through the embeddings of real
//! tokens.
//!
//! `A = Σ_k ∂F/∂x (q_k) ⊙ (q_{k+1} − q_k)` over the points `q_0 = b … q_{n−1} = x` of a path that
//! moves every entry monotonically from the baseline to the input. Between its ends the path
//! follows anchors, tokens that are near each other (`anchors`). All tokens of a text move at the
//! same time. Source: Sanyal & Ren 2021, <https://arxiv.org/abs/2108.13654>.
//!
//! Cost: `n_steps − 1` forward passes for the batch and as many backward passes per step, plus one
//! search for anchors per distinct token. Inseq searches again for every step, and its scores are
//! wrong for several texts at once (<https://github.com/inseq-team/inseq/issues/113>); ours equal
//! those of each text alone. Nearest neighbors are looked up only for the tokens on a path, so
//! there is no graph of the vocabulary to store or to become stale. Inseq swaps the ends of the
//! path in its convergence delta, and so does `compat`.
//!
//! Inseq's paths run over the rows of the embedding table. Models that scale a row when it is
//! looked up (XGLM, M2M-100, BART) never see those rows, only the scaled ones. Our paths run over
//! the scaled rows; `compat` leaves the scale out ([`missing_scale`]).

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use self::anchors::{PathRules, Paths, Strategy, missing_scale};
use super::method::{Method, Requirements, Sink};
use super::support::path::{PathEndpoints, Point, Weight, times};
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::Batch;
use crate::instance::Instance;
use crate::kernels::rows;
use crate::model::{Embedded, Inputs};
use crate::registry::Describe;
use crate::sides::{Side, Sides};

mod anchors;

/// Gradients summed along a path through the embeddings of real tokens.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DiscretizedIntegratedGradients {
    /// Number of points, including both ends.
    pub n_steps: usize,
    /// How the next anchor is chosen.
    pub method: Strategy,
    /// How many nearest tokens an anchor is chosen from.
    pub n_neighbors: usize,
    /// Multiply by the difference from the baseline.
    pub multiply_by_inputs: bool,
    /// Record the convergence delta of each step.
    pub return_convergence_delta: bool,
}

impl Default for DiscretizedIntegratedGradients {
    fn default() -> Self {
        Self {
            n_steps: 50,
            method: Strategy::Greedy,
            n_neighbors: 50,
            multiply_by_inputs: false,
            return_convergence_delta: false,
        }
    }
}

impl Describe for DiscretizedIntegratedGradients {
    const NAME: &'static str = "discretized_integrated_gradients";
    const SUMMARY: &'static str =
        "gradients collected on a path from a baseline to the input over real tokens";
}

impl Method for DiscretizedIntegratedGradients {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let ends = endpoints(batch)?;
        let distance = ends.distance()?;
        let paths = self.paths(batch)?;
        let at = |point: usize| point_of(batch, &ends, &paths, point);
        let point = |index: usize| {
            let (here, next) = (at(index)?, at(index + 1)?);
            Ok(Point {
                weight: Weight::Each(difference(&next, &here)?),
                at: here,
            })
        };
        let totals = ends.integrate(
            self.n_steps - 1,
            point,
            |step, sum| {
                if self.multiply_by_inputs {
                    return times(sum, &distance, step);
                }
                Ok(RawScores {
                    source: sum.source,
                    target: sum.target,
                })
            },
            sink,
        )?;
        if self.return_convergence_delta {
            let ends = match batch.function.compat {
                Compat::None => ends,
                Compat::Inseq071 => ends.swapped(),
            };
            ends.record_deltas(&totals, sink)?;
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), String> {
        if self.n_steps < 2 || self.n_neighbors == 0 {
            return Err("`n_steps` must be at least 2 and `n_neighbors` at least 1".to_owned());
        }
        Ok(())
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        Requirements::GRADIENTS.with_deltas(self.return_convergence_delta)
    }
}

impl DiscretizedIntegratedGradients {
    /// Finds the path of every attributed token of the batch.
    fn paths(&self, batch: &Batch<'_>) -> Result<Sides<Paths>, Error> {
        let (mut of_source, mut of_target) = (Vec::new(), Vec::new());
        for instance in batch.instances {
            of_source.extend(source(instance));
            if batch.attributes_target() {
                of_target.extend(target(instance));
            }
        }
        let rules = &PathRules {
            n_steps: self.n_steps,
            strategy: self.method,
            n_neighbors: self.n_neighbors,
        };
        Ok(Sides {
            source: Paths::find(rules, batch, Side::Source, of_source)?,
            target: Paths::find(rules, batch, Side::Target, of_target)?,
        })
    }
}

/// Returns the ends of the paths.
fn endpoints<'b>(batch: &'b Batch<'b>) -> Result<PathEndpoints<'b>, Error> {
    let mut ends = PathEndpoints::new(batch)?;
    let missing = missing_scale(batch);
    if missing == 1.0 {
        return Ok(ends);
    }
    for inputs in [&mut ends.input, &mut ends.baseline] {
        if let Some(source) = &mut inputs.source {
            source.rows = rows::scale(&source.rows, 1.0 / missing)?;
        }
        if batch.attributes_target() {
            inputs.target.rows = rows::scale(&inputs.target.rows, 1.0 / missing)?;
        }
    }
    Ok(ends)
}

/// Returns point `index` of the paths of all tokens; a side that is not attributed stays at its
/// inputs.
fn point_of(
    batch: &Batch<'_>,
    ends: &PathEndpoints<'_>,
    paths: &Sides<Paths>,
    index: usize,
) -> Result<Inputs, Error> {
    let side = |side, words: Vec<(u32, u32)>, embedded: &Embedded| -> Result<Embedded, Error> {
        Ok(Embedded {
            rows: paths.of(side).point(&words, index)?,
            sequences: embedded.sequences.clone(),
        })
    };
    let of_source = match &ends.input.source {
        Some(embedded) => {
            let words = batch.instances.iter().flat_map(source);
            Some(side(Side::Source, words.collect(), embedded)?)
        }
        None => None,
    };
    let of_target = if batch.attributes_target() {
        let words = batch.instances.iter().flat_map(target);
        side(Side::Target, words.collect(), &ends.input.target)?
    } else {
        ends.input.target.clone()
    };
    Ok(Inputs {
        source: of_source,
        target: of_target,
    })
}

/// Returns the encoder's input tokens, each with its baseline.
fn source(instance: &Instance) -> impl Iterator<Item = (u32, u32)> {
    let pairs = instance.source.iter().zip(&instance.source_baseline);
    pairs.map(|(&word, &baseline)| (word, baseline))
}

/// Returns the decoder's input tokens, each with its baseline.
fn target(instance: &Instance) -> impl Iterator<Item = (u32, u32)> {
    let pairs = instance
        .decoder_input()
        .iter()
        .zip(instance.decoder_baseline());
    pairs.map(|(&word, &baseline)| (word, baseline))
}

/// Returns `a − b`, row by row.
fn difference(a: &Inputs, b: &Inputs) -> Result<Inputs, Error> {
    let side = |a: &Embedded, b: &Embedded| -> Result<Embedded, Error> {
        Ok(Embedded {
            rows: rows::subtract(&a.rows, &b.rows)?,
            sequences: a.sequences.clone(),
        })
    };
    let source = match (&a.source, &b.source) {
        (Some(a), Some(b)) => Some(side(a, b)?),
        _ => None,
    };
    Ok(Inputs {
        source,
        target: side(&a.target, &b.target)?,
    })
}
