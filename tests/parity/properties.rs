//! Properties that every method of the registry must have, whether Inseq has the method or not.
//!
//! They apply to a new method without any change here, because what is tested follows from the
//! parameters that a method declares.

use serde_json::{Map, Value, json};
use whence_engine::methods::{METHODS, Method};
use whence_engine::{Entry, Example, StepAttribution};
use whence_schemas::AttributionSpec;
use whence_tests::parity::{Golden, Precision, load};

use crate::{COMMITTED_MODELS, attribute, bits};

/// Small numbers of points, samples and trials, which keep the tests short.
const SMALL: [(&str, u64); 4] = [
    ("n_steps", 4),
    ("n_samples", 6),
    ("num_probes", 3),
    ("max_probe_steps", 4),
];

/// A number of points with which an integral along a straight path has converged.
const MANY_POINTS: u64 = 200;

/// Tolerance between the sum of the scores and the function's change once the integral has
/// converged, relative to that change.
const INCOMPLETE: f64 = 1e-5;

/// Methods that record a convergence delta, but whose scores by default need not sum to the
/// function's change, with the reason. `DeepLIFT` is complete if its rules cover the whole model,
/// and sequential integrated gradients are complete for each token; both have tests of their own.
/// The others are compared with complete methods in `identities`.
const NOT_COMPLETE: [(&str, &str); 5] = [
    ("deeplift", "only nonlinearities within reach are lines"),
    (
        "layer_deeplift",
        "only nonlinearities within reach are lines",
    ),
    (
        "gradient_shap",
        "an expectation, estimated from a few draws",
    ),
    (
        "discretized_integrated_gradients",
        "its points are tokens, as many as there are",
    ),
    (
        "sequential_integrated_gradients",
        "each token has a path of its own",
    ),
];

/// An example of a job must get the same bits in every run, alone or in a batch.
#[test]
fn every_method_repeats_its_bits_alone_and_in_a_batch() {
    for model in COMMITTED_MODELS {
        let engine = load(model, Precision::Single);
        let examples = examples(model);
        for method in METHODS {
            let together = attribute(&engine, &spec(method, &[]), &examples, 7);
            for (example, together) in examples.iter().zip(&together) {
                let example = std::slice::from_ref(example);
                let alone = attribute(&engine, &spec(method, &[]), example, 7);
                assert_eq!(bits(&alone[0]), bits(together), "{model} {}", method.name);
            }
        }
    }
}

/// With little memory, a pass is split at any row, even within an example.
#[test]
fn every_method_has_the_same_bits_in_little_memory() {
    const LITTLE: u64 = (128 << 20) + (3 << 20);
    for model in COMMITTED_MODELS {
        let engine = load(model, Precision::Single);
        let examples = examples(model);
        for method in METHODS {
            let mut spec = spec(method, &[]);
            spec.attribute_target = true;
            let plenty = attribute(&engine, &spec, &examples, 7);
            let attributor = engine.prepare(&spec).unwrap().with_seed(7);
            let little = attributor.with_memory(LITTLE).attribute(&examples);
            for (plenty, little) in plenty.iter().zip(little) {
                let little = little.unwrap_or_else(|e| panic!("{model} {}: {e}", method.name));
                assert_eq!(bits(plenty), bits(&little), "{model} {}", method.name);
            }
        }
    }
}

/// A random method, recognized by its parameter `samples`, draws other samples for another seed.
#[test]
fn another_seed_draws_other_samples() {
    for model in COMMITTED_MODELS {
        let engine = load(model, Precision::Single);
        let examples = &examples(model)[..1];
        for method in METHODS {
            let spec = spec(method, &[]);
            let [one, other] = [7, 8].map(|seed| attribute(&engine, &spec, examples, seed));
            let is_random = (method.parameters)().contains_key("samples");
            assert_eq!(
                bits(&one[0]) != bits(&other[0]),
                is_random,
                "{model} {}",
                method.name
            );
        }
    }
}

/// Completeness: scores sum to the function's change from the baselines to the inputs.
#[test]
fn scores_sum_to_the_change_of_the_function() {
    for model in COMMITTED_MODELS {
        let engine = load(model, Precision::Double);
        let examples = &examples(model)[..1];
        for method in METHODS {
            let records_delta = (method.parameters)().contains_key("return_convergence_delta");
            if !records_delta || NOT_COMPLETE.iter().any(|(name, _)| *name == method.name) {
                continue;
            }
            let given = [
                ("return_convergence_delta", json!(true)),
                ("n_steps", json!(MANY_POINTS)),
            ];
            let mut spec = spec(method, &given);
            spec.aggregators = Some(Vec::new());
            for step in &attribute(&engine, &spec, examples, 7)[0].steps {
                assert_complete(step, &format!("{model} {}", method.name));
            }
        }
    }
}

/// If its rules cover every part of the model, `DeepLIFT` is complete, on embeddings and on a
/// layer.
#[test]
fn deeplift_of_everything_is_complete() {
    for model in COMMITTED_MODELS {
        let engine = load(model, Precision::Double);
        for (name, layer) in [("deeplift", None), ("layer_deeplift", Some(0))] {
            let method = METHODS.iter().find(|method| method.name == name).unwrap();
            let mut given = vec![
                ("rule", json!("all")),
                ("return_convergence_delta", json!(true)),
                ("n_steps", json!(40)),
            ];
            given.extend(layer.map(|layer| ("target_layer", json!(layer))));
            let mut spec = spec(method, &given);
            spec.aggregators = Some(Vec::new());
            for step in &attribute(&engine, &spec, &examples(model)[..1], 7)[0].steps {
                assert_complete(step, &format!("{model} {name}"));
            }
        }
    }
}

/// If only one token moves from its baseline to its input, its scores sum to the function's change,
/// which is what occlusion of that token gives.
#[test]
fn sequential_integrated_gradients_of_a_token_sum_to_its_occlusion() {
    for model in COMMITTED_MODELS {
        let engine = load(model, Precision::Double);
        let examples = &examples(model)[..1];
        let steps = |name: &str| {
            let method = METHODS.iter().find(|method| method.name == name).unwrap();
            let mut spec = spec(method, &[("n_steps", json!(40))]);
            spec.aggregators = Some(Vec::new());
            attribute(&engine, &spec, examples, 7).remove(0).steps
        };
        let occlusion = steps("occlusion");
        let walks = steps("sequential_integrated_gradients");
        for (walks, drops) in walks.iter().zip(&occlusion) {
            let [sums, drops] = [walks, drops].map(token_sums);
            let largest = drops.iter().copied().fold(0.0, f64::max);
            assert_eq!(sums.len(), drops.len());
            for (sum, drop) in sums.iter().zip(&drops) {
                assert!(
                    (sum.abs() - drop).abs() <= INCOMPLETE * largest,
                    "{model}: a walk sums to {sum:e}, the occlusion is {drop:e}"
                );
            }
        }
    }
}

/// Returns the sum of the scores of each token of a step.
fn token_sums(step: &StepAttribution) -> Vec<f64> {
    let sides = [&step.source, &step.target].into_iter().flatten();
    sides
        .flat_map(|rows| rows.values.chunks_exact(rows.row_len()))
        .map(|row| row.iter().map(|value| f64::from(*value)).sum())
        .collect()
}

fn assert_complete(step: &StepAttribution, what: &str) {
    let scores = [&step.source, &step.target].into_iter().flatten();
    let values = scores.flat_map(|rows| &rows.values);
    let sum: f64 = values.map(|value| f64::from(*value)).sum();
    let delta = f64::from(*step.step_scores.last().unwrap());
    assert!(
        delta.abs() <= INCOMPLETE * (sum - delta).abs(),
        "{what}, token {}: scores sum to {sum:e}, {delta:e} too much",
        step.target_pos
    );
}

/// Returns the model's examples with short forced targets.
pub(crate) fn examples(model: &str) -> Vec<Example> {
    let goldens = Golden::of_model(model);
    let golden = goldens
        .iter()
        .find(|golden| golden.name() == "deeplift.probability");
    let mut examples = golden.unwrap().examples();
    // Keep a short and a long example. The longest one would take most of the time.
    examples.remove(1);
    examples.truncate(2);
    examples
}

/// Returns a specification of `method` with small numbers, and with those parameters in `given`
/// that the method has.
pub(crate) fn spec(method: &Entry<dyn Method>, given: &[(&str, Value)]) -> AttributionSpec {
    let known = (method.parameters)();
    let small = SMALL.iter().map(|(name, number)| (*name, json!(number)));
    let params: Map<_, _> = small
        .chain(given.iter().cloned())
        .filter(|(name, _)| known.contains_key(*name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    serde_json::from_value(json!({"method": {"name": method.name, "params": params}})).unwrap()
}
