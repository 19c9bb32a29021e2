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

mod identities;
mod properties;
mod sequences;
mod vocabularies;

use std::collections::BTreeSet;

use whence_engine::methods::METHODS;
use whence_engine::{Attribution, ScoreRows, StepAttribution};
use whence_tests::fixtures::attribute;
use whence_tests::parity::{Golden, Precision, check_model, load};

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
