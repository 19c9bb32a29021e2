//! `deeplift`: the difference from the baseline times a gradient with nonlinearities replaced by
//! lines.
//!
//! `A = (x − b) ⊙ g̃`, where g̃ is the gradient at x, except that a rescaled nonlinearity y(z) has
//! the slope `(y(z) − y(z₀)) / (z − z₀)` (the rescale rule); z₀ is its input in the pass over the
//! baselines. Source: Shrikumar et al. 2017, <https://arxiv.org/abs/1704.02685>.
//!
//! By default the rescaled nonlinearities are those of Captum, and so of Inseq: `ReLU`, leaky
//! `ReLU`, tanh and sigmoid in the feed-forward networks. In a model without any (Llama, GPT-2,
//! Marian with swish) the scores are the plain gradient times the difference. `rule: "activations"`
//! rescales all nonlinearities of the feed-forward networks, including those of experts. Attention,
//! norms and the routing among experts keep their gradients under both rules, so the scores do not
//! sum to the change of the function; `return_convergence_delta` records by how much they miss it.
//!
//! `rule: "all"` covers those too. It replaces every sublayer, every norm and the function itself
//! by the mean of its Jacobians at `n_steps` points on the straight line from its input on the
//! baselines to its input on the example. For a single nonlinearity that mean is the slope of the
//! rescale rule. For a product or a softmax it is what makes the scores sum to the change of the
//! function.
//!
//! Cost: two forward passes for the batch (one if no nonlinearity is rescaled) and one backward
//! pass per step; Captum runs input and baseline through both passes. With `rule: "all"`, a forward
//! and a backward pass per point.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::method::{HeldPasses, Method, Requirements, Sink};
use super::support::path::{PathEndpoints, times, total};
use super::support::quadrature::Rule;
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::Batch;
use crate::gradient::{self, Pass, StepGradient};
use crate::model::chord::{Chord, ChordPoint};
use crate::model::spec::Activation;
use crate::registry::Describe;

/// The difference from the baseline times a gradient with nonlinearities replaced by lines.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeepLift {
    /// Which nonlinearities are rescaled.
    pub rule: Reach,
    /// Number of points per mean Jacobian, if `rule` is `all`.
    pub n_steps: usize,
    /// Multiply by the difference from the baseline.
    pub multiply_by_inputs: bool,
    /// Record the convergence delta of each step.
    pub return_convergence_delta: bool,
}

/// Which nonlinearities are rescaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reach {
    /// Those that Captum rescales.
    Captum,
    /// All those of the feed-forward networks.
    Activations,
    /// Everything: sublayers, norms and the function are replaced by mean Jacobians.
    All,
}

impl Reach {
    fn includes(self, activation: Activation) -> bool {
        match self {
            Self::Captum => matches!(
                activation,
                Activation::Relu | Activation::LeakyRelu | Activation::Tanh | Activation::Sigmoid
            ),
            Self::Activations | Self::All => true,
        }
    }

    /// Fails if the rule needs mean Jacobians and `n_steps` points are too few for them.
    pub(super) fn validate(self, n_steps: usize) -> Result<(), String> {
        match self {
            Self::Captum | Self::Activations => Ok(()),
            Self::All => Rule::GaussLegendre.validate(n_steps),
        }
    }
}

impl Default for DeepLift {
    fn default() -> Self {
        Self {
            rule: Reach::Captum,
            n_steps: 20,
            multiply_by_inputs: true,
            return_convergence_delta: false,
        }
    }
}

impl Describe for DeepLift {
    const NAME: &'static str = "deeplift";
    const SUMMARY: &'static str =
        "distance from a baseline times a gradient with the rescale rule on nonlinearities";
}

impl Method for DeepLift {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        self.attribute_between(batch, &PathEndpoints::new(batch)?, sink)
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
            // Over the inputs and over the baselines.
            held_passes: HeldPasses::Fixed(2),
            ..Requirements::GRADIENTS
        }
        .with_deltas(self.return_convergence_delta)
    }
}

impl DeepLift {
    /// Attributes the path from the baseline to the input of `ends`.
    pub(super) fn attribute_between(
        &self,
        batch: &Batch<'_>,
        ends: &PathEndpoints<'_>,
        sink: &dyn Sink,
    ) -> Result<(), Error> {
        let distance = ends.distance()?;
        let steps = ends.steps();
        // A mutex, because the chunks of steps run in parallel.
        let totals = Mutex::new(vec![0.0; steps.len()]);
        self.for_each_step(batch, ends, |index, gradient| {
            let gradient = ends.at_path(gradient)?;
            let scores = if self.multiply_by_inputs {
                times(gradient, &distance, &steps[index])?
            } else {
                RawScores {
                    source: gradient.source,
                    target: gradient.target,
                }
            };
            if self.return_convergence_delta {
                totals.lock().expect("no holder panics")[index] = total(&scores)?;
            }
            sink.record(index, scores)
        })?;
        if self.return_convergence_delta {
            ends.record_deltas(&totals.into_inner().expect("no holder panicked"), sink)?;
        }
        Ok(())
    }

    /// Calls `body` with the index and the gradient of every step.
    fn for_each_step(
        &self,
        batch: &Batch<'_>,
        ends: &PathEndpoints<'_>,
        body: impl Fn(usize, StepGradient) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let (steps, wanted) = (ends.steps(), ends.wanted());
        if self.rule != Reach::All {
            let pass = self.pass(batch, ends)?;
            return gradient::for_each_step(batch, &pass, steps, wanted, body);
        }
        let points = Rule::GaussLegendre.points(self.n_steps);
        let points = points.iter().map(|node| ChordPoint {
            alpha: node.alpha,
            weight: node.weight,
        });
        let (input, baseline) = (ends.recorded_input()?, ends.recorded_baseline()?);
        let inputs = [&ends.baseline, &ends.input].map(|end| batch.model_inputs(end));
        let [from, to] = inputs;
        let chord = Chord {
            inputs: [&from?, &to?],
            passes: [&baseline, &input],
            points: &points.collect::<Vec<_>>(),
        };
        gradient::for_each_step_between(batch, &chord, steps, wanted, body)
    }

    /// Returns the pass over the inputs. If it has nonlinearities to rescale, they are rescaled by
    /// a pass over the baselines.
    fn pass(&self, batch: &Batch<'_>, ends: &PathEndpoints<'_>) -> Result<Pass, Error> {
        let reach = |activation| self.rule.includes(activation);
        if !batch.model.activations().any(reach) {
            return ends.pass(&ends.input);
        }
        let (input, baseline) = (ends.recorded_input()?, ends.recorded_baseline()?);
        Ok(batch.model.rescaled(&input, &baseline, &reach)?.into())
    }
}
