//! Attributes the average probability over passes with dropout, with every method that supports it.
//! The masks are fixed, so that the average is a single function of the inputs.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use whence_engine::methods::METHODS;
use whence_engine::{Engine, Error, Example, StepAttribution};
use whence_schemas::job::Dtype;
use whence_schemas::{AttributionSpec, FunctionSpec};

/// Models whose configurations have dropout, with and without an encoder.
const MODELS: [&str; 3] = ["gpt2-random", "t5-random", "lo-en-fr-tiny"];

fn model(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join("../../tests/models").join(name)
}

/// Returns a specification of `method` for the average over three passes. It uses few points and
/// samples, unless `given` says otherwise.
fn spec(method: &str, given: &[(&str, Value)]) -> AttributionSpec {
    let mut spec = AttributionSpec::of_method(method);
    spec.attributed_fn = FunctionSpec::named("mc_dropout_prob_avg");
    let params = &mut spec.attributed_fn.params;
    params.insert("n_mcd_steps".to_owned(), json!(3));
    spec.step_scores = vec![spec.attributed_fn.clone()];
    spec.attribute_target = true;
    spec.aggregators = Some(Vec::new());
    let entry = METHODS.iter().find(|entry| entry.name == method).unwrap();
    for (name, _) in (entry.parameters)() {
        let few = ["n_steps", "n_samples", "num_probes", "max_probe_steps"];
        if few.contains(&name.as_str()) {
            spec.method.params.insert(name, json!(3));
        }
    }
    for (name, value) in given {
        spec.method.params.insert((*name).to_owned(), value.clone());
    }
    spec
}

fn examples(model: &str) -> [Example; 2] {
    let example = |id, text, target: &str| {
        if model == "gpt2-random" {
            Example::new(id, text).with_generated_text(&format!("{text} {target}"))
        } else {
            Example::new(id, text).with_generated_text(target)
        }
    };
    [
        example(3, "Open the menu.", "Ouvrez le menu."),
        example(4, "Close it.", "Fermez le fichier maintenant."),
    ]
}

fn steps(
    engine: &Engine,
    spec: &AttributionSpec,
    examples: &[Example],
) -> Vec<Vec<StepAttribution>> {
    let attributor = engine.prepare(spec).unwrap().with_seed(11);
    let results = attributor.attribute(examples).into_iter();
    results.map(|result| result.unwrap().steps).collect()
}

/// Returns the sum of the scores of each token of a step.
fn token_sums(step: &StepAttribution) -> Vec<f64> {
    let sides = [&step.source, &step.target].into_iter().flatten();
    sides
        .flat_map(|rows| rows.values.chunks_exact(rows.row_len()))
        .map(|row| row.iter().map(|value| f64::from(*value)).sum())
        .collect()
}

#[test]
fn methods_that_know_only_inputs_and_outputs_attribute_it_in_batches_as_alone() {
    for name in MODELS {
        let engine = Engine::load(&model(name), Dtype::Float32).unwrap();
        let examples = examples(name);
        let mut refused = Vec::new();
        for method in METHODS {
            let spec = spec(method.name, &[]);
            match engine.prepare(&spec) {
                Err(Error::Specification { reason }) => {
                    assert!(reason.contains(method.name) && reason.contains("occlusion"));
                    refused.push(method.name);
                }
                Err(error) => panic!("{}: {error}", method.name),
                Ok(_) => {
                    let together = steps(&engine, &spec, &examples);
                    for (example, together) in examples.iter().zip(&together) {
                        let alone = steps(&engine, &spec, std::slice::from_ref(example));
                        assert_eq!(&alone[0], together, "{name} {}", method.name);
                    }
                }
            }
        }
        let look_inside = [
            "deeplift",
            "layer_gradient_x_activation",
            "layer_integrated_gradients",
            "layer_deeplift",
        ];
        assert_eq!(refused, look_inside);
    }
}

/// The scores sum to the function's change only if every point uses the same masks, and if the
/// gradients cover all passes.
#[test]
fn integrated_gradients_are_complete() {
    for name in MODELS {
        let engine = Engine::load(&model(name), Dtype::Float64).unwrap();
        let many = [
            ("n_steps", json!(200)),
            ("return_convergence_delta", json!(true)),
        ];
        let spec = spec("integrated_gradients", &many);
        for step in steps(&engine, &spec, &examples(name)[..1]).concat() {
            let sum: f64 = token_sums(&step).iter().sum();
            let delta = f64::from(step.step_scores[1]);
            assert!(sum != 0.0, "{name}: there is something to attribute");
            assert!(
                delta.abs() <= 1e-4 * (sum - delta).abs(),
                "{name}: {sum:e}, off by {delta:e}"
            );
        }
    }
}

/// Occlusion uses values, a path on which only one token moves uses gradients; both must agree.
#[test]
fn a_tokens_walk_sums_to_its_occlusion() {
    for name in MODELS {
        let engine = Engine::load(&model(name), Dtype::Float64).unwrap();
        let example = &examples(name)[..1];
        let occluded = steps(&engine, &spec("occlusion", &[]), example).concat();
        let many = [("n_steps", json!(40))];
        let walks = spec("sequential_integrated_gradients", &many);
        let walks = steps(&engine, &walks, example).concat();
        for (walk, occluded) in walks.iter().zip(&occluded) {
            let (sums, drops) = (token_sums(walk), token_sums(occluded));
            let largest = drops.iter().copied().fold(0.0, f64::max);
            assert_eq!(sums.len(), drops.len());
            for (sum, drop) in sums.iter().zip(&drops) {
                assert!(
                    (sum.abs() - drop).abs() <= 1e-3 * largest,
                    "{name}: a walk sums to {sum:e}, the occlusion is {drop:e}"
                );
            }
        }
    }
}
