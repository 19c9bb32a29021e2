//! `layer_deeplift`: `DeepLIFT` of a layer's output instead of the embeddings.
//!
//! `A = (h − h_b) ⊙ g̃`, where h is the output of `target_layer`, `h_b` the same on the baselines,
//! and g̃ the gradient at h with the rescale rule above the layer. If no layer is named, h is the
//! embeddings, and the result is that of `deeplift`. Source: Shrikumar et al. 2017,
//! <https://arxiv.org/abs/1704.02685>.
//!
//! Inseq takes both ends from the inputs and so returns zeros; we do not follow it there, not even
//! with `compat`. Cost: two forward passes for the batch, one backward pass per step.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::deeplift::{DeepLift, Reach};
use super::method::{HeldPasses, Method, Requirements, Sink};
use super::support::layer::TargetLayer;
use super::support::path::PathEndpoints;
use crate::Error;
use crate::batch::Batch;
use crate::model::Transformer;
use crate::registry::Describe;

/// `DeepLIFT` of a layer's output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LayerDeepLift {
    /// The layer, by its index or module path; the embeddings when absent.
    pub target_layer: Option<TargetLayer>,
    /// Which nonlinearities are rescaled.
    pub rule: Reach,
    /// Number of points per mean Jacobian, if `rule` is `all`.
    pub n_steps: usize,
    /// Multiply by the difference from the baseline.
    pub multiply_by_inputs: bool,
    /// Record the convergence delta of each step.
    pub return_convergence_delta: bool,
}

impl Default for LayerDeepLift {
    fn default() -> Self {
        let DeepLift {
            rule,
            n_steps,
            multiply_by_inputs,
            return_convergence_delta,
        } = DeepLift::default();
        Self {
            target_layer: None,
            rule,
            n_steps,
            multiply_by_inputs,
            return_convergence_delta,
        }
    }
}

impl Describe for LayerDeepLift {
    const NAME: &'static str = "layer_deeplift";
    const SUMMARY: &'static str = "DeepLIFT of a layer's output";
}

impl Method for LayerDeepLift {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let ends = match &self.target_layer {
            None => PathEndpoints::new(batch)?,
            Some(layer) => PathEndpoints::at_place(batch, layer.place(batch.model, Self::NAME)?)?,
        };
        let attribute_between = DeepLift {
            rule: self.rule,
            n_steps: self.n_steps,
            multiply_by_inputs: self.multiply_by_inputs,
            return_convergence_delta: self.return_convergence_delta,
        };
        attribute_between.attribute_between(batch, &ends, sink)
    }

    fn validate(&self) -> Result<(), String> {
        self.rule.validate(self.n_steps)
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
