//! Attribution methods: they score how much each input token contributed to each produced token.
//!
//! A method gets all steps of a batch at once and decides itself how to batch their passes. It
//! passes each step's raw scores to a [`Sink`] as soon as they are known, so that their memory is
//! freed before the next step needs it.

mod method;

mod attention;
mod deeplift;
mod discretized_integrated_gradients;
mod dummy;
mod gradient_shap;
mod input_x_gradient;
mod integrated_gradients;
mod layer_deeplift;
mod layer_gradient_x_activation;
mod layer_integrated_gradients;
mod lime;
mod occlusion;
mod reagent;
mod saliency;
mod sequential_integrated_gradients;
mod value_zeroing;

#[cfg(test)]
mod constant;

mod support;

use serde_json::{Map, Value};

use crate::Error;
use crate::registry::{self, Describe, Entry};
use method::wrong_parameters;
pub use method::{DELTAS, Method, MethodScore, Requirements, Sink, StepPass};

/// Every method, in the order `whence list methods` shows them.
pub const METHODS: &[Entry<dyn Method>] = &[
    entry::<saliency::Saliency>(),
    entry::<input_x_gradient::InputXGradient>(),
    entry::<integrated_gradients::IntegratedGradients>(),
    entry::<deeplift::DeepLift>(),
    entry::<gradient_shap::GradientShap>(),
    entry::<sequential_integrated_gradients::SequentialIntegratedGradients>(),
    entry::<discretized_integrated_gradients::DiscretizedIntegratedGradients>(),
    entry::<layer_gradient_x_activation::LayerGradientXActivation>(),
    entry::<layer_integrated_gradients::LayerIntegratedGradients>(),
    entry::<layer_deeplift::LayerDeepLift>(),
    entry::<occlusion::Occlusion>(),
    entry::<lime::Lime>(),
    entry::<reagent::Reagent>(),
    entry::<attention::Attention>(),
    entry::<value_zeroing::ValueZeroing>(),
    entry::<dummy::Dummy>(),
    #[cfg(test)]
    entry::<constant::Constant>(),
];

/// Builds the method called `name`. Fails if a parameter has a value it cannot use.
pub(crate) fn build(name: &str, parameters: &Map<String, Value>) -> Result<Box<dyn Method>, Error> {
    let method = registry::build(METHODS, name, parameters, "attribution method", "methods")?;
    let wrong = |reason| wrong_parameters(name, reason);
    method.validate().map_err(wrong)?;
    Ok(method)
}

const fn entry<M: Method + Describe + 'static>() -> Entry<dyn Method> {
    Entry {
        name: M::NAME,
        aliases: M::ALIASES,
        summary: M::SUMMARY,
        parameters: registry::parameters::<M>,
        build: |parameters| Ok(Box::new(registry::read::<M>(parameters)?)),
    }
}
