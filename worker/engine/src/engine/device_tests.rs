//! Every method and every step function computes on a device what it computes in main memory; so
//! does generation. A device that is full loses nothing but what does not fit on it alone.

use serde_json::{Value, json};

use super::*;
use crate::methods::METHODS;
use crate::step_functions::STEP_FUNCTIONS;

/// What two orders of adding the same numbers may come to, relative to the largest score. Scores are
/// of single precision, the model is not.
const ROUNDING: f32 = 1e-5;

/// One model without an encoder, one with, and one whose rotation depends on the length of the text.
const MODELS: [&str; 3] = ["gpt2-random", "t5-random", "phi3-random"];

fn load(model: &str, place: Place) -> Engine {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models");
    Engine::load_at(&folder.join(model), Dtype::Float64, None, place).unwrap()
}

fn specification(value: Value) -> AttributionSpec {
    serde_json::from_value(value).unwrap()
}

/// Two examples of different length, with a target of their own and a contrast.
fn examples(engine: &Engine) -> Vec<Example> {
    let texts = [("a b c d", "e f", "e g"), ("c", "d e f a", "d e a a")];
    let target = |source: &str, target: &str| {
        if engine.has_encoder() {
            return target.to_owned();
        }
        format!("{source} {target}")
    };
    let example = |(id, (source, own, contrast)): (i64, (&str, &str, &str))| {
        let example = Example::new(id, source).with_generated_text(&target(source, own));
        Example {
            contrast_target: Some(target(source, contrast)),
            ..example
        }
    };
    (0..).zip(texts).map(example).collect()
}

/// Every score of an example, one behind the other.
fn scores(attribution: &Attribution) -> Vec<f32> {
    let of_step = |step: &crate::StepAttribution| {
        let rows = [&step.source, &step.target].into_iter().flatten();
        let mut scores: Vec<f32> = rows.flat_map(|rows| rows.values.clone()).collect();
        scores.extend(&step.step_scores);
        scores
    };
    let mut all: Vec<f32> = attribution.steps.iter().flat_map(of_step).collect();
    let sequences = attribution.sequence_scores.iter();
    let columns = sequences.flat_map(|scores| scores.columns.iter());
    all.extend(columns.flat_map(|rows| rows.values.clone()));
    all
}

/// Asserts that both engines give the same scores to the same tokens.
fn assert_same([here, there]: [&Engine; 2], spec: &AttributionSpec, examples: &[Example]) {
    let what = format!("{} {:?}", here.path().display(), spec.method);
    let [here, there] = [here, there].map(|engine| {
        let attributor = engine.prepare(spec).unwrap().with_seed(3);
        let results = attributor.attribute(examples).into_iter();
        results.map(|result| result.unwrap_or_else(|error| panic!("{what}: {error}")))
    });
    for (here, there) in here.zip(there) {
        assert_eq!(here.target, there.target, "{what}");
        let (here, there) = (scores(&here), scores(&there));
        assert_eq!(here.len(), there.len(), "{what}");
        let largest = here
            .iter()
            .fold(0.0, |most: f32, score| most.max(score.abs()));
        assert!(largest > 0.0, "{what}: all scores are zero");
        for (here, there) in here.iter().zip(&there) {
            let error = (here - there).abs() / largest;
            assert!(error <= ROUNDING, "{what}: {here} here, {there} there");
        }
    }
}

/// Parameters that make the tests fast.
fn parameters(method: &str) -> Value {
    match method {
        "lime" => json!({"n_samples": 6}),
        "reagent" => json!({"num_probes": 2, "max_probe_steps": 3}),
        "discretized_integrated_gradients" => json!({"n_steps": 4, "n_neighbors": 5}),
        name if name.ends_with("integrated_gradients") => json!({"n_steps": 4}),
        _ => json!({}),
    }
}

#[test]
fn every_method_computes_on_a_device_what_it_computes_in_main_memory() {
    let device = Place::under_test();
    for model in MODELS {
        let engines = [&Place::memory(), &device].map(|place| load(model, place.clone()));
        let [here, there] = &engines;
        // These have no scores, or none of the model.
        let is_one = |name: &str| !["dummy", "constant"].contains(&name);
        for method in METHODS.iter().filter(|method| is_one(method.name)) {
            let method = json!({"name": method.name, "params": parameters(method.name)});
            let spec = specification(json!({"method": method, "attribute_target": true}));
            if here.prepare(&spec).is_err() {
                assert!(there.prepare(&spec).is_err(), "{model} {spec:?}");
                continue;
            }
            assert_same([here, there], &spec, &examples(here));
        }
    }
}

#[test]
fn every_step_function_computes_on_a_device_what_it_computes_in_main_memory() {
    let device = Place::under_test();
    for model in MODELS {
        let engines = [&Place::memory(), &device].map(|place| load(model, place.clone()));
        let [here, there] = &engines;
        let scores: Vec<_> = STEP_FUNCTIONS
            .iter()
            .map(|function| function.name)
            .collect();
        let all = json!({"method": "saliency", "attributed_fn": "contrast_prob_diff", "step_scores": scores});
        assert_same([here, there], &specification(all), &examples(here));
        for function in STEP_FUNCTIONS {
            let forced = json!({"contrast_force_inputs": function.name == "kl_divergence"});
            // A count of tokens has no gradient.
            let method = if function.name == "top_p_size" {
                "occlusion"
            } else {
                "saliency"
            };
            let one = json!({"method": method, "attributed_fn": function.name, "contrast": forced});
            assert_same([here, there], &specification(one), &examples(here));
        }
    }
}

#[test]
fn generation_on_a_device_is_that_of_main_memory() {
    let device = Place::under_test();
    for model in MODELS {
        let engines = [&Place::memory(), &device].map(|place| load(model, place.clone()));
        let [here, there] = &engines;
        let examples: Vec<_> = [(1, "a b c d"), (2, "c")]
            .map(|(id, text)| Example::new(id, text))
            .to_vec();
        for generation in [
            json!({"max_new_tokens": 6}),
            json!({"max_new_tokens": 5, "num_beams": 3}),
            json!({"max_new_tokens": 5, "do_sample": true, "top_k": 9}),
        ] {
            let spec = json!({"method": "saliency", "generation": generation});
            assert_same([here, there], &specification(spec), &examples);
        }
    }
}

#[test]
fn examples_that_do_not_fit_on_a_device_together_are_computed_in_halves() {
    let spec = specification(json!({"method": "saliency", "attribute_target": true}));
    let capacity = 64 << 20;
    let place = Place::with_capacity(capacity);
    let engine = load("gpt2-random", place.clone());
    let model = capacity as u64 - place.free_memory().unwrap();
    let all: Vec<_> = (0..8).flat_map(|_| examples(&engine)).collect();
    let attributor = engine.prepare(&spec).unwrap();
    let alone: Vec<_> = all
        .iter()
        .map(|example| {
            attributor
                .attribute(std::slice::from_ref(example))
                .remove(0)
        })
        .collect();
    // The least memory that serves all of them, to within an eighth.
    let fits = |bytes: u64| {
        let small = load(
            "gpt2-random",
            Place::with_capacity((model + bytes) as usize),
        );
        small.prepare(&spec).unwrap().attribute(&all)
    };
    let mut bytes = 64 << 10;
    let results = loop {
        let results = fits(bytes);
        if results.iter().all(Result::is_ok) {
            break results;
        }
        // What does not fit is an error of its own kind, which says so.
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(error.code(), crate::OUT_OF_MEMORY, "{error}");
        }
        bytes += bytes / 8;
    };
    let small = load(
        "gpt2-random",
        Place::with_capacity((model + bytes) as usize),
    );
    let attributor = small.prepare(&spec).unwrap();
    let prepared = attributor.prepare_examples(&all, 1).into_iter().flatten();
    let instances: Vec<_> = prepared
        .map(|prepared| prepared.unwrap().instance)
        .collect();
    let together = attributor.explain_in_runs(&instances);
    assert!(matches!(together, Err(Error::DeviceFull { .. })));
    for (alone, result) in alone.iter().zip(&results) {
        assert_eq!(
            scores(alone.as_ref().unwrap()),
            scores(result.as_ref().unwrap())
        );
    }
}
