//! Parity: compares every method of the registry with the real Inseq, and both with double
//! precision.
//!
//! Goldens come from pinned Inseq 0.7.1 through `tests/golden/generate.py`, each case once in
//! single and once in double precision. Double precision is the truth. Inseq's own distance from it
//! shows what single precision costs, so a result is right if it is no farther away, or within
//! `SINGLE`.
//!
//! Nothing here names a method: the suite runs over the registry, and a method without a golden
//! fails.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

mod compare;
mod golden;
mod identities;
mod properties;
mod sequences;
mod vocabularies;

use std::collections::BTreeSet;
use std::path::PathBuf;

use compare::{Distance, Precision};
use golden::{Golden, Stage};
use whence_engine::methods::METHODS;
use whence_engine::{Attribution, Engine, ScoreRows, StepAttribution, Token};
use whence_schemas::job::Dtype;
use whence_tests::fixtures::attribute;

/// Models in the repository. Every method has goldens for each of them.
const COMMITTED_MODELS: [&str; 4] = ["lo-en-fr-tiny", "glass-en", "gpt2-random", "t5-random"];

/// A model with activations to which Captum's rescale rule applies. It has goldens of the methods
/// that use this rule.
const RELU_MODEL: &str = "t5-relu-random";

/// A model whose configuration gives special tokens ids that are ordinary tokens in its tokenizer.
/// It has goldens of the method that leaves special tokens in place.
const RENUMBERED_MODEL: &str = "xglm-random";

/// A model with long-RoPE, which uses other rotary frequencies for long texts. It has goldens of
/// the methods for which Inseq computes all steps in one pass.
const LONG_MODEL: &str = "phi3-random";

/// Any seed will do: goldens of random methods contain the draws, which the engine is given.
const SEED: u64 = 0;

#[test]
fn every_method_has_goldens_on_every_committed_model() {
    for model in COMMITTED_MODELS {
        let goldens = Golden::of_model(model);
        let covered: BTreeSet<_> = goldens
            .iter()
            .map(|golden| golden.spec().method.name.as_str())
            .collect();
        for method in METHODS {
            assert!(
                covered.contains(method.name),
                "`{0}` has no golden on `{model}`: add it to METHODS in tests/golden/cases.py and run \
                 `python tests/golden/generate.py {model} --only {0}`",
                method.name
            );
        }
    }
}

#[test]
fn marian_is_as_near_to_the_truth_as_inseq() {
    check_model("lo-en-fr-tiny", Precision::Single);
}

#[test]
fn llama_is_as_near_to_the_truth_as_inseq() {
    check_model("glass-en", Precision::Single);
}

#[test]
fn gpt2_is_as_near_to_the_truth_as_inseq() {
    check_model("gpt2-random", Precision::Single);
}

#[test]
fn t5_is_as_near_to_the_truth_as_inseq() {
    check_model("t5-random", Precision::Single);
}

#[test]
fn gpt2_in_double_precision_is_the_truth() {
    check_model("gpt2-random", Precision::Double);
}

#[test]
fn t5_in_double_precision_is_the_truth() {
    check_model("t5-random", Precision::Double);
}

#[test]
fn marian_in_double_precision_is_the_truth() {
    check_model("lo-en-fr-tiny", Precision::Double);
}

#[test]
fn llama_in_double_precision_is_the_truth() {
    check_model("glass-en", Precision::Double);
}

#[test]
fn a_t5_with_relu_is_as_near_to_the_truth_as_inseq() {
    check_model(RELU_MODEL, Precision::Single);
}

#[test]
fn a_t5_with_relu_in_double_precision_is_the_truth() {
    check_model(RELU_MODEL, Precision::Double);
}

#[test]
fn an_xglm_with_another_tokenizer_is_as_near_to_the_truth_as_inseq() {
    check_model(RENUMBERED_MODEL, Precision::Single);
}

#[test]
fn an_xglm_with_another_tokenizer_in_double_precision_is_the_truth() {
    check_model(RENUMBERED_MODEL, Precision::Double);
}

#[test]
fn a_phi3_with_longrope_is_as_near_to_the_truth_as_inseq() {
    check_model(LONG_MODEL, Precision::Single);
}

#[test]
fn a_phi3_with_longrope_in_double_precision_is_the_truth() {
    check_model(LONG_MODEL, Precision::Double);
}

#[test]
fn smollm2_is_as_near_to_the_truth_as_inseq() {
    check_if_unpacked("smollm2", Precision::Single);
}

#[test]
fn smollm2_in_double_precision_is_the_truth() {
    check_if_unpacked("smollm2", Precision::Double);
}

/// An example must get the same bits alone and in a batch.
#[test]
fn a_batch_has_the_bits_of_its_examples_alone() {
    for model in COMMITTED_MODELS {
        let engine = load(model, Precision::Single);
        for golden in Golden::of_model(model) {
            let attributor = engine.prepare(golden.spec()).unwrap();
            let examples = golden.examples();
            let together = attributor.attribute(&examples);
            for (example, together) in examples.iter().zip(together) {
                let alone = attributor
                    .attribute(std::slice::from_ref(example))
                    .remove(0);
                assert_eq!(
                    bits(&alone.unwrap()),
                    bits(&together.unwrap()),
                    "{model} {}: `{}`",
                    golden.name(),
                    example.input_text
                );
            }
        }
    }
}

/// Compares every golden of a model with what the engine computes.
fn check_model(model: &str, precision: Precision) {
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

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn check_if_unpacked(model: &str, precision: Precision) {
    if folder(model).is_dir() {
        check_model(model, precision);
    } else {
        eprintln!(
            "SKIPPED: `{}` is absent; `python3 tests/models/unpack_smollm2.py` makes it",
            folder(model).display()
        );
    }
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

fn bits(attribution: &Attribution) -> Vec<Vec<u32>> {
    let of_step = |step: &StepAttribution| {
        let scores = [&step.source, &step.target].into_iter().flatten();
        scores
            .flat_map(|rows| &rows.values)
            .chain(&step.step_scores)
            .map(|value| value.to_bits())
            .collect()
    };
    let sequences = attribution.sequence_scores.iter();
    let columns = sequences.flat_map(|scores| &scores.columns);
    let of_column = |column: &ScoreRows| column.values.iter().map(|v| v.to_bits()).collect();
    let steps = attribution.steps.iter().map(of_step);
    steps.chain(columns.map(of_column)).collect()
}

fn load(model: &str, precision: Precision) -> Engine {
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
        tests.join("../.models").join(model)
    }
}
