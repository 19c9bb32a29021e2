//! An example that does not fit into the working memory gets an error before anything is allocated.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

use std::path::{Path, PathBuf};

use whence_engine::{Attribution, Engine, Error, Example, LEAST_MEMORY, check_memory};
use whence_schemas::job::Dtype;
use whence_schemas::{AttributionSpec, GenerationSpec};

const MEBIBYTE: u64 = 1 << 20;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/models")
        .join(name)
}

fn load(model: &str) -> Engine {
    Engine::load(&fixture(model), Dtype::Float32).unwrap()
}

fn attribute(model: &str, memory: u64, texts: &[&str]) -> Vec<Result<Attribution, Error>> {
    attribute_within(&load(model), memory, texts)
}

fn attribute_within(
    engine: &Engine,
    memory: u64,
    texts: &[&str],
) -> Vec<Result<Attribution, Error>> {
    let spec = AttributionSpec {
        generation: GenerationSpec {
            max_new_tokens: Some(1),
            ..GenerationSpec::default()
        },
        ..AttributionSpec::of_method("attention")
    };
    let examples: Vec<_> = texts
        .iter()
        .zip(0..)
        .map(|(text, id)| Example::new(id, text))
        .collect();
    let attributor = engine.prepare(&spec).unwrap().with_memory(memory);
    attributor.attribute(&examples)
}

#[test]
fn a_text_too_long_for_generation_fails_alone_and_says_what_it_needs() {
    let long = "a".repeat(12_000);
    let engine = load("t5-random");
    let results = attribute_within(&engine, 256 * MEBIBYTE, &[&long]);
    assert_eq!(results[0].as_ref().unwrap_err().code(), "out_of_memory");
    // No target was generated, because it could not have been explained.
    assert_eq!(engine.row_counts().forward, 0);
    let results = attribute_within(&engine, 256 * MEBIBYTE, &["short", &long, "short"]);
    let message = results[1].as_ref().unwrap_err().to_string();
    assert!(message.contains("needs about"), "{message}");
    let allowed = "MiB of working memory; --memory allows 256 MiB";
    assert!(message.contains(allowed), "{message}");
    assert_eq!(
        results[0].as_ref().unwrap().steps,
        results[2].as_ref().unwrap().steps
    );
}

#[test]
fn a_text_whose_attention_has_billions_of_weights_is_refused_and_not_tried() {
    // 60,000 tokens would take 57 GB in each of two layers.
    let long = "a".repeat(60_000);
    let results = attribute("t5-random", 8 << 30, &[&long, "short"]);
    let message = results[0].as_ref().unwrap_err().to_string();
    let expected = "needs about 108 GiB of working memory; --memory allows 8192 MiB";
    assert!(message.contains(expected), "{message}");
    assert!(results[1].is_ok(), "{:?}", results[1]);
}

#[test]
fn more_sequences_than_memory_holds_are_refused_before_one_is_begun() {
    let engine = load("t5-random");
    let spec = AttributionSpec {
        generation: GenerationSpec {
            max_new_tokens: Some(1),
            do_sample: Some(true),
            // Their prompts alone would be terabytes.
            num_return_sequences: Some(1 << 40),
            ..GenerationSpec::default()
        },
        ..AttributionSpec::of_method("attention")
    };
    let attributor = engine.prepare(&spec).unwrap();
    let attributor = attributor.with_memory(256 * MEBIBYTE);
    let results = attributor.attribute(&[Example::new(0, "short")]);
    assert_eq!(results[0].as_ref().unwrap_err().code(), "out_of_memory");
}

#[test]
fn a_text_too_long_to_be_tokenized_is_refused_by_its_length() {
    let huge = "a ".repeat(10 << 20);
    let results = attribute("glass-en", 512 * MEBIBYTE, &[&huge, "The cat sat"]);
    assert_eq!(results[0].as_ref().unwrap_err().code(), "out_of_memory");
    assert!(results[1].is_ok(), "{:?}", results[1]);
}

#[test]
fn a_bound_too_small_for_the_shortest_text_is_known_before_weights_are_read() {
    let model = fixture("lo-en-fr-tiny");
    let error = check_memory(&model, Dtype::Float32, MEBIBYTE).unwrap_err();
    assert_eq!(error.code(), "memory_too_small");
    let message = error.to_string();
    assert!(message.starts_with("--memory allows 1 MiB"), "{message}");
    let Error::MemoryTooSmall { least, .. } = error else {
        unreachable!("the code says it")
    };
    assert!(least >= LEAST_MEMORY);
    check_memory(&model, Dtype::Float32, least).unwrap();
    // The least memory that is accepted is enough to attribute something.
    let results = attribute("lo-en-fr-tiny", least + MEBIBYTE, &["a"]);
    assert!(results[0].is_ok(), "{:?}", results[0]);
}
