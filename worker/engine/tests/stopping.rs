//! With every method, a computation ends when asked to stop, and reports that it was stopped.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use whence_engine::methods::METHODS;
use whence_engine::step_functions::{Slopes, Step, StepFunction};
use whence_engine::{Attribution, Engine, Error, Example, Stop};
use whence_schemas::AttributionSpec;
use whence_schemas::job::Dtype;

/// The logit of the produced token. Requests a stop when it is evaluated for the first time.
#[derive(Debug)]
struct Stopping {
    stop: Stop,
    asked: Arc<AtomicUsize>,
}

impl Stopping {
    fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.stop.request();
    }
}

impl StepFunction for Stopping {
    fn value(&self, step: &Step<'_>) -> f64 {
        self.ask();
        step.prediction().logits()[step.target]
    }

    fn add_gradient(&self, step: &Step<'_>, slopes: &mut Slopes) {
        self.ask();
        slopes.logits()[step.target] += 1.0;
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/models")
        .join(name)
}

fn examples() -> Vec<Example> {
    ["Open the window.", "Click the button."]
        .iter()
        .zip(0..)
        .map(|(text, id)| Example::new(id, text).with_generated_text("Cliquez ici."))
        .collect()
}

/// Asserts that a function was evaluated at most once more by each thread after it asked for a stop.
fn assert_heard_at_once(asked: &AtomicUsize, what: &str) {
    let asked = asked.load(Ordering::Relaxed);
    let threads = std::thread::available_parallelism().unwrap().get();
    assert!(
        asked <= threads,
        "{what} asked {asked} times after the stop"
    );
}

fn assert_stopped(results: &[Result<Attribution, Error>], what: &str) {
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Err(Error::Stopped))),
        "{what}: {results:?}"
    );
}

#[test]
fn whatever_the_method_nothing_is_computed_after_a_stop() {
    let engine = Engine::load(&fixture("lo-en-fr-tiny"), Dtype::Float32).unwrap();
    for method in METHODS {
        let spec = AttributionSpec::of_method(method.name);
        let stop = Stop::default();
        let attributor = engine.prepare(&spec).unwrap().with_stop(stop.clone());
        stop.request();
        assert_stopped(&attributor.attribute(&examples()), method.name);
    }
}

#[test]
fn a_stop_is_heard_between_the_passes_of_a_method() {
    const METHODS_OF_MANY_PASSES: [&str; 7] = [
        "integrated_gradients",
        "sequential_integrated_gradients",
        "discretized_integrated_gradients",
        "gradient_shap",
        "deeplift",
        "occlusion",
        "lime",
    ];
    let engine = Engine::load(&fixture("lo-en-fr-tiny"), Dtype::Float32).unwrap();
    for method in METHODS_OF_MANY_PASSES {
        let mut spec = AttributionSpec::of_method(method);
        if method == "deeplift" {
            let params = json!({"rule": "all"});
            spec.method.params = params.as_object().unwrap().clone();
        }
        let (stop, asked) = (Stop::default(), Arc::<AtomicUsize>::default());
        let function = Stopping {
            stop: stop.clone(),
            asked: Arc::clone(&asked),
        };
        let attributor = engine.prepare(&spec).unwrap().with_stop(stop);
        let attributor = attributor.with_attributed_fn(Box::new(function)).unwrap();
        assert_stopped(&attributor.attribute(&examples()), method);
        assert_heard_at_once(&asked, method);
    }
}

#[test]
fn a_stop_is_heard_between_the_steps_that_scores_are_recorded_of() {
    let engine = Engine::load(&fixture("lo-en-fr-tiny"), Dtype::Float32).unwrap();
    let (stop, asked) = (Stop::default(), Arc::<AtomicUsize>::default());
    let spec = AttributionSpec::of_method("saliency");
    let mut attributor = engine.prepare(&spec).unwrap().with_stop(stop.clone());
    for name in ["first", "second"] {
        let function = Stopping {
            stop: stop.clone(),
            asked: Arc::clone(&asked),
        };
        attributor = attributor
            .with_step_score(name, Box::new(function))
            .unwrap();
    }
    assert_stopped(&attributor.attribute(&examples()), "step scores");
    // A thread evaluates all functions of its step.
    assert_heard_at_once(
        &AtomicUsize::new(asked.load(Ordering::Relaxed) / 2),
        "step scores",
    );
}

#[test]
fn a_stop_is_heard_while_targets_are_generated() {
    let engine = Engine::load(&fixture("lo-en-fr-tiny"), Dtype::Float32).unwrap();
    let spec = AttributionSpec::of_method("saliency");
    let stop = Stop::default();
    let attributor = engine.prepare(&spec).unwrap().with_stop(stop.clone());
    stop.request();
    let open = [Example::new(0, "Open the window.")];
    assert_stopped(&attributor.attribute(&open), "generation");
}

#[test]
fn an_example_that_is_done_before_a_stop_keeps_its_scores() {
    let engine = Engine::load(&fixture("lo-en-fr-tiny"), Dtype::Float32).unwrap();
    let spec = AttributionSpec::of_method("saliency");
    let plain = engine.prepare(&spec).unwrap().attribute(&examples());
    let stop = Stop::default();
    let attributor = engine.prepare(&spec).unwrap().with_stop(stop.clone());
    let before = attributor.attribute(&examples());
    stop.request();
    for (found, expected) in before.iter().zip(&plain) {
        assert_eq!(found.as_ref().unwrap(), expected.as_ref().unwrap());
    }
}
