//! `layer_integrated_gradients`: integrated gradients of a layer's output instead of the embeddings.
//!
//! `A = (h − h_b) ⊙ ∫₀¹ ∂F/∂h (h_b + α (h − h_b)) dα`, where h is the output of `target_layer` and
//! `h_b` the same on the baselines. If no layer is named, h is the embeddings, and the result is
//! that of `integrated_gradients`. Source: Sundararajan et al. 2017,
//! <https://arxiv.org/abs/1703.01365>.
//!
//! Inseq takes both ends from the inputs and so returns zeros; we do not follow it there, not even
//! with `compat`. Cost: the same as integrated gradients, but only over the layers above
//! `target_layer`.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::integrated_gradients::IntegratedGradients;
use super::method::{HeldPasses, Method, Requirements, Sink};
use super::support::layer::TargetLayer;
use super::support::path::PathEndpoints;
use super::support::quadrature::Rule;
use crate::Error;
use crate::batch::Batch;
use crate::model::Transformer;
use crate::registry::Describe;

/// Integrated gradients of a layer's output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LayerIntegratedGradients {
    /// The layer, by its index or module path; the embeddings when absent.
    pub target_layer: Option<TargetLayer>,
    /// Number of points.
    pub n_steps: usize,
    /// How the integral is approximated.
    pub method: Rule,
    /// Multiply by the difference from the baseline.
    pub multiply_by_inputs: bool,
    /// Record the convergence delta of each step.
    pub return_convergence_delta: bool,
}

impl Default for LayerIntegratedGradients {
    fn default() -> Self {
        let IntegratedGradients {
            n_steps,
            method,
            multiply_by_inputs,
            return_convergence_delta,
        } = IntegratedGradients::default();
        Self {
            target_layer: None,
            n_steps,
            method,
            multiply_by_inputs,
            return_convergence_delta,
        }
    }
}

impl Describe for LayerIntegratedGradients {
    const NAME: &'static str = "layer_integrated_gradients";
    const SUMMARY: &'static str = "integrated gradients of a layer's output";
}

impl Method for LayerIntegratedGradients {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let ends = match &self.target_layer {
            None => PathEndpoints::new(batch)?,
            Some(layer) => PathEndpoints::at_place(batch, layer.place(batch.model, Self::NAME)?)?,
        };
        let integral = IntegratedGradients {
            n_steps: self.n_steps,
            method: self.method,
            multiply_by_inputs: self.multiply_by_inputs,
            return_convergence_delta: self.return_convergence_delta,
        };
        integral.integrate(&ends, sink)
    }

    fn validate(&self) -> Result<(), String> {
        self.method.validate(self.n_steps)
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        Requirements {
            single_pass: true,
            // Over the inputs, over the baselines, and over a point between them.
            held_passes: HeldPasses::Fixed(3),
            ..Requirements::GRADIENTS
        }
        .with_deltas(self.return_convergence_delta)
    }

    fn check(&self, model: &Transformer) -> Result<(), Error> {
        TargetLayer::check(self.target_layer.as_ref(), model, Self::NAME)
    }
}
