//! Defines a custom step function, attributes it and records it, without changing the crate.
//!
//! `cargo run -p whence-engine --example custom_step_function -- MODEL [TEXT]`
//!
//! The function is the margin: the logit of the produced token minus the highest other logit. Where
//! it is small, the model almost produced another token. (It equals `logits[target] - max(logits)`,
//! except that the maximum leaves out the produced token.)

use std::error::Error;
use std::path::Path;

use whence_engine::step_functions::{Slopes, Step, StepFunction};
use whence_engine::{Engine, Example};
use whence_schemas::AttributionSpec;
use whence_schemas::job::Dtype;

/// The logit of the produced token minus the highest logit of the other tokens.
#[derive(Debug)]
struct Margin;

impl Margin {
    /// Returns the token with the highest logit, apart from the produced one.
    fn runner_up(step: &Step<'_>) -> Option<usize> {
        let logits = step.prediction().logits();
        let others = (0..logits.len()).filter(|&token| token != step.target);
        others.max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
    }
}

impl StepFunction for Margin {
    fn value(&self, step: &Step<'_>) -> f64 {
        let logits = step.prediction().logits();
        match Self::runner_up(step) {
            Some(other) => logits[step.target] - logits[other],
            None => f64::NAN,
        }
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        if let Some(other) = Self::runner_up(step) {
            slopes.logits()[step.target] += 1.0;
            slopes.logits()[other] -= 1.0;
        }
    }
}

#[allow(clippy::print_stdout, reason = "an example shows its result")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let model = arguments.first().ok_or("give the folder of a model")?;
    let text = arguments
        .get(1)
        .map_or("Open the file menu.", String::as_str);

    let engine = Engine::load(Path::new(model), Dtype::Float32)?;
    let attributor = engine
        .prepare(&AttributionSpec::of_method("saliency"))?
        .with_attributed_fn(Box::new(Margin))?
        .with_step_score("margin", Box::new(Margin))?;
    let attribution = attributor.attribute(&[Example::new(0, text)]).remove(0)?;

    for step in &attribution.steps {
        let token = &attribution.target[step.target_pos].text;
        let (tokens, scores) = match &step.source {
            Some(scores) => (&attribution.source, scores),
            None => (
                &attribution.target,
                step.target.as_ref().ok_or("no scores")?,
            ),
        };
        let most = scores.values.iter().zip(tokens);
        let most = most.max_by(|a, b| a.0.total_cmp(b.0));
        let (score, from) = most.ok_or("nothing to attribute to")?;
        println!(
            "{token:>16}  margin {:6.2}  most from {} ({score:.3})",
            step.step_scores[0], from.text
        );
    }
    Ok(())
}
