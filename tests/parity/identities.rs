//! Identities between methods: with certain parameters, two methods must compute the same scores.
//!
//! They are compared in double precision, entry by entry. Some methods, such as an expectation or a
//! path over tokens, have no completeness to check; here they are checked against methods that do.

use serde_json::{Value, json};
use whence_engine::StepAttribution;
use whence_engine::methods::METHODS;
use whence_tests::parity::{Precision, load};

use crate::properties::{examples, spec};
use crate::{COMMITTED_MODELS, RELU_MODEL, attribute};

/// Tolerance relative to the largest score: each score is rounded to single precision once.
const EQUAL: f64 = 2.4e-7;

/// Tolerance of changes taken from convergence deltas. It is larger because they are differences of
/// sums of such scores.
const EQUAL_CHANGES: f64 = 1e-6;

/// The mean over draws at the midpoints of equal intervals is the midpoint rule of integration.
#[test]
fn gradient_shap_of_evenly_spread_draws_is_integrated_gradients() {
    const POINTS: usize = 4;
    let middles: Vec<_> = (0..POINTS)
        .map(|point| (point as f64 + 0.5) / POINTS as f64)
        .collect();
    for model in COMMITTED_MODELS {
        let rule = json!({"method": "riemann_middle", "n_steps": POINTS});
        let integrated = steps(model, "integrated_gradients", &rule);
        let drawn = json!({"n_samples": POINTS, "samples": vec![&middles; integrated.len()]});
        let drawn = steps(model, "gradient_shap", &drawn);
        assert!(distance(&integrated, &drawn) <= EQUAL, "{model}");
    }
}

/// If the rescale rule does not apply to any activation of the model, what remains is the gradient
/// at the inputs.
#[test]
fn deeplift_is_the_gradient_times_the_distance_only_where_nothing_is_within_reach() {
    for model in COMMITTED_MODELS.into_iter().chain([RELU_MODEL]) {
        let lifted = steps(model, "deeplift", &json!({}));
        let gradient = gradient_times_distance(model, lifted.len(), 1.0);
        let distance = distance(&lifted, &gradient);
        if model == RELU_MODEL {
            assert!(distance > 0.01, "{model}: {distance:e}");
        } else {
            assert!(distance <= EQUAL, "{model}: {distance:e}");
        }
    }
}

/// A path over tokens with only its two ends is a straight line, and its only gradient is the one
/// at its start.
#[test]
fn a_discretized_path_of_two_points_is_the_gradient_at_the_baseline_times_the_distance() {
    for model in COMMITTED_MODELS {
        let path = json!({"n_steps": 2});
        let path = steps(model, "discretized_integrated_gradients", &path);
        let gradient = gradient_times_distance(model, path.len(), 0.0);
        let distance = distance(&path, &gradient);
        assert!(distance <= EQUAL, "{model}: {distance:e}");
    }
}

/// For every method, the convergence delta is the sum of the scores minus the same change of the
/// function.
#[test]
fn every_convergence_delta_is_taken_from_the_same_change() {
    for model in COMMITTED_MODELS {
        let changes = |method: &str| -> Vec<f64> {
            let params = json!({"return_convergence_delta": true, "n_steps": 4, "n_samples": 3});
            let steps = steps(model, method, &params);
            steps.iter().map(change).collect()
        };
        let expected = changes("integrated_gradients");
        let largest = expected.iter().copied().map(f64::abs).fold(0.0, f64::max);
        for method in METHODS {
            let records = (method.parameters)().contains_key("return_convergence_delta");
            if !records || method.name.starts_with("layer_") {
                continue;
            }
            for (change, expected) in changes(method.name).iter().zip(&expected) {
                assert!(
                    (change - expected).abs() <= EQUAL_CHANGES * largest,
                    "{model} {}: a change by {change:e}, not {expected:e}",
                    method.name
                );
            }
        }
    }
}

/// Returns the change of the function: the sum of a step's scores minus its convergence delta.
fn change(step: &StepAttribution) -> f64 {
    let sum: f64 = entries(step).sum();
    sum - f64::from(*step.step_scores.last().unwrap())
}

/// Returns the gradient at `share` of the way from the baselines to the inputs, times the distance
/// between the two.
fn gradient_times_distance(model: &str, steps: usize, share: f64) -> Vec<StepAttribution> {
    let params = json!({"n_samples": 1, "samples": vec![[share]; steps]});
    self::steps(model, "gradient_shap", &params)
}

/// Returns the steps of the first example with raw (un-aggregated) scores.
fn steps(model: &str, method: &str, params: &Value) -> Vec<StepAttribution> {
    let engine = load(model, Precision::Double);
    let method = METHODS.iter().find(|entry| entry.name == method).unwrap();
    let given = params.as_object().unwrap().iter();
    let given: Vec<_> = given
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let mut spec = spec(method, &given);
    spec.aggregators = Some(Vec::new());
    attribute(&engine, &spec, &examples(model)[..1], 7)
        .remove(0)
        .steps
}

/// Returns the largest difference between two methods' scores, relative to the step's largest
/// score.
fn distance(one: &[StepAttribution], other: &[StepAttribution]) -> f64 {
    assert_eq!(one.len(), other.len());
    let of_step = |(one, other): (&StepAttribution, &StepAttribution)| {
        assert_eq!(entries(one).count(), entries(other).count());
        let differences = entries(one).zip(entries(other)).map(|(a, b)| (a - b).abs());
        let largest = entries(one).map(f64::abs).fold(f64::MIN_POSITIVE, f64::max);
        differences.fold(0.0, f64::max) / largest
    };
    one.iter().zip(other).map(of_step).fold(0.0, f64::max)
}

fn entries(step: &StepAttribution) -> impl Iterator<Item = f64> {
    let sides = [&step.source, &step.target].into_iter().flatten();
    sides
        .flat_map(|rows| &rows.values)
        .map(|value| f64::from(*value))
}
