//! Compares what the engine computes for the cases of a model with its goldens.

mod compare;
mod golden;

use std::path::PathBuf;

use whence_engine::{Attribution, Engine, Token};
use whence_schemas::job::Dtype;

pub use compare::{Distance, Precision};
pub use golden::{Golden, Stage};

use crate::fixtures::{attribute, unpacked};

/// Any seed will do: goldens of random methods contain the draws, which the engine is given.
const SEED: u64 = 0;

/// Compares every golden of a model with what the engine computes. Panics with the list of those
/// that are too far from the truth.
pub fn check_model(model: &str, precision: Precision) {
    let engine = load(model, precision);
    let mut failures = Vec::new();
    for golden in Golden::of_model(model) {
        let aggregated = attribute(&engine, golden.spec(), &golden.examples(), SEED);
        check_tokens(&golden, &aggregated);
        let distances = aggregated_distances(&golden, &aggregated)
            .into_iter()
            .chain(raw_distances(&engine, &golden));
        let far = distances.filter(|distance| !distance.is_near(precision));
        failures.extend(far.map(|distance| format!("{model} {}: {distance}", golden.name())));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Checks that both have the same tokens, and generate the same ones where no target is forced.
fn check_tokens(golden: &Golden, attributions: &[Attribution]) {
    for (index, attribution) in attributions.iter().enumerate() {
        let [source, target] = golden.tokens(index);
        let seen = |tokens: &[Token]| -> Vec<(String, u32)> {
            let pair = |token: &Token| Some((token.text.clone(), token.id?));
            tokens.iter().filter_map(pair).collect()
        };
        assert_eq!(
            seen(&attribution.source),
            source,
            "source of {}",
            golden.name()
        );
        assert_eq!(
            seen(&attribution.target),
            target,
            "target of {}",
            golden.name()
        );
        assert_eq!(attribution.attr_pos_start, golden.attr_pos_start(index));
        assert_eq!(attribution.generated_text, golden.generated_text(index));
    }
}

/// Returns how far the aggregated scores and the step scores are from the truth.
fn aggregated_distances(golden: &Golden, attributions: &[Attribution]) -> Vec<Distance> {
    let mut distances = Vec::new();
    for (index, attribution) in attributions.iter().enumerate() {
        let scores = golden.scores(index, Stage::Aggregated);
        distances.extend(compare::scores(attribution, &scores));
        distances.extend(compare::sequence_scores(attribution, &scores.sequences));
        for (position, function) in golden.spec().step_scores.iter().enumerate() {
            let peer = golden.step_scores(index, &function.name);
            distances.push(compare::step_scores(attribution, position, &peer));
        }
    }
    distances
}

/// Returns how far the raw scores are from the truth, for the examples whose goldens have them.
fn raw_distances(engine: &Engine, golden: &Golden) -> Vec<Distance> {
    let mut spec = golden.spec().clone();
    spec.aggregators = Some(Vec::new());
    let examples = golden.examples();
    let kept = (0..examples.len()).filter(|&index| golden.has_raw(index));
    kept.flat_map(|index| {
        let raw = attribute(engine, &spec, &examples[index..=index], SEED).remove(0);
        let scores = golden.scores(index, Stage::Raw);
        let mut distances = compare::scores(&raw, &scores);
        distances.extend(compare::sequence_scores(&raw, &scores.sequences));
        distances
    })
    .collect()
}

/// Loads the model of a suite in the given precision.
pub fn load(model: &str, precision: Precision) -> Engine {
    let dtype = match precision {
        Precision::Single => Dtype::Float32,
        Precision::Double => Dtype::Float64,
    };
    Engine::load(&folder(model), dtype).unwrap()
}

fn folder(model: &str) -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let committed = tests.join("models").join(model);
    if committed.is_dir() {
        committed
    } else {
        unpacked(model)
    }
}
