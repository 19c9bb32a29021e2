//! `layer_gradient_x_activation`: a layer's output times the gradient of the attributed function at
//! it.
//!
//! `A = h ⊙ ∂F/∂h`, where h is the output of `target_layer` at each token. If no layer is named, h
//! is the embeddings, and the result is that of `input_x_gradient`. Source: Captum,
//! <https://captum.ai/api/layer.html>.
//!
//! Cost: one forward pass for the batch, and one backward pass per step down to the layer.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::input_x_gradient::InputXGradient;
use super::method::{HeldPasses, Method, Requirements, Sink};
use super::support::layer::TargetLayer;
use super::support::path::{PathEndpoints, times};
use crate::Error;
use crate::batch::Batch;
use crate::gradient;
use crate::model::Transformer;
use crate::registry::Describe;

/// A layer's output times the gradient at it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LayerGradientXActivation {
    /// The layer, by its index or module path; the embeddings when absent.
    pub target_layer: Option<TargetLayer>,
}

impl Describe for LayerGradientXActivation {
    const NAME: &'static str = "layer_gradient_x_activation";
    const SUMMARY: &'static str =
        "a layer's output times the gradient of the attributed function there";
}

impl Method for LayerGradientXActivation {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let Some(layer) = &self.target_layer else {
            return InputXGradient {}.attribute(batch, sink);
        };
        let ends = PathEndpoints::at_place(batch, layer.place(batch.model, Self::NAME)?)?;
        let pass = ends.pass(&ends.input)?;
        let steps = ends.steps();
        gradient::for_each_step(batch, &pass, steps, ends.wanted(), |step, gradient| {
            sink.record(step, times(gradient, &ends.input, &steps[step])?)
        })
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        Requirements {
            single_pass: true,
            // Over the inputs, over the baselines, and over a point between them.
            held_passes: HeldPasses::Fixed(3),
            ..Requirements::GRADIENTS
        }
    }

    fn check(&self, model: &Transformer) -> Result<(), Error> {
        TargetLayer::check(self.target_layer.as_ref(), model, Self::NAME)
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }
}
