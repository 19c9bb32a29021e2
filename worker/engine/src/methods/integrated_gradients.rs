//! `integrated_gradients`: gradients integrated along the straight path from a baseline to the
//! input.
//!
//! `A = (x − b) ⊙ ∫₀¹ ∂F/∂x (b + α (x − b)) dα`, with the integral as a weighted sum over `n_steps`
//! points. Source: Sundararajan et al. 2017, <https://arxiv.org/abs/1703.01365>. The baseline of
//! every position is the embedding of `unk`. Without `attribute_target`, the prefix in an
//! encoder-decoder model keeps its own embeddings.
//!
//! A path point of a prefix is the prefix of the same path point of the whole target, so one
//! forward pass per point serves every step. Cost: `n_steps` forward passes for the batch,
//! `n_steps` backward passes per step. Points are always summed in order, whatever else is computed
//! at the same time, so the bits of a sum depend only on the example.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::method::{Method, Requirements, Sink};
use super::support::path::{PathEndpoints, Point, Weight, times};
use super::support::quadrature::Rule;
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::Batch;
use crate::registry::Describe;

/// Gradients integrated along the straight path from a baseline.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct IntegratedGradients {
    /// Number of points, each of which takes a forward and a backward pass.
    pub n_steps: usize,
    /// How the integral is approximated.
    pub method: Rule,
    /// Multiply by the difference from the baseline.
    pub multiply_by_inputs: bool,
    /// Record the convergence delta of each step.
    pub return_convergence_delta: bool,
}

impl Default for IntegratedGradients {
    fn default() -> Self {
        Self {
            n_steps: 50,
            method: Rule::GaussLegendre,
            multiply_by_inputs: true,
            return_convergence_delta: false,
        }
    }
}

impl Describe for IntegratedGradients {
    const NAME: &'static str = "integrated_gradients";
    const SUMMARY: &'static str = "gradients collected on the path from a baseline to the input";
}

impl Method for IntegratedGradients {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        self.integrate(&PathEndpoints::new(batch)?, sink)
    }

    fn validate(&self) -> Result<(), String> {
        self.method.validate(self.n_steps)
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        Requirements::GRADIENTS.with_deltas(self.return_convergence_delta)
    }
}

impl IntegratedGradients {
    /// Integrates along the straight path between `ends`.
    pub(super) fn integrate(&self, ends: &PathEndpoints<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let points = self.method.points(self.n_steps);
        let distance = ends.distance()?;
        let point = |index: usize| {
            Ok(Point {
                at: ends.between(points[index].alpha)?,
                weight: Weight::Same(points[index].weight),
            })
        };
        let totals = ends.integrate(
            points.len(),
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
            ends.record_deltas(&totals, sink)?;
        }
        Ok(())
    }
}
