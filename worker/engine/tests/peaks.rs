//! What generation takes is what was estimated: its peak memory stays within the budget.
//!
//! The peak is that of the whole process, as Linux counts it. So the tests of this file run one
//! after another, and each resets the counter before it measures.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::DType;
use serde_json::json;
use whence_engine::generate::{Prompt, Settings, generate};
use whence_engine::model::{self, Transformer};
use whence_engine::{Attribution, Engine, Error, Example};
use whence_schemas::job::Dtype;
use whence_schemas::{AttributionSpec, GenerationSpec};

const MEBIBYTE: u64 = 1 << 20;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Returns by how much memory grew at most while `body` ran, in bytes, and what `body` returned.
fn peak_of<R>(body: impl FnOnce() -> R) -> (u64, R) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // Sets the highest resident memory of the process to what is resident now.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = resident("VmRSS:");
    let result = body();
    (resident("VmHWM:").saturating_sub(before), result)
}

fn resident(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kibibytes.parse::<u64>().unwrap() << 10
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/models")
        .join(name)
}

/// Copies the model `name` into `folder` with another limit of the short rotation.
fn with_long_rope_threshold(name: &str, threshold: usize, folder: &Path) {
    for file in fs::read_dir(fixture(name)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let path = folder.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["original_max_position_embeddings"] = json!(threshold);
    config["max_position_embeddings"] = json!(2 * threshold);
    fs::write(&path, config.to_string()).unwrap();
}

fn attribute(
    engine: &Engine,
    generation: GenerationSpec,
    (memory, texts): (u64, &[&str]),
) -> Vec<Result<Attribution, Error>> {
    let spec = AttributionSpec {
        generation,
        ..AttributionSpec::of_method("dummy")
    };
    let examples = texts.iter().zip(0..);
    let examples: Vec<_> = examples.map(|(text, id)| Example::new(id, text)).collect();
    let attributor = engine.prepare(&spec).unwrap().with_memory(memory);
    attributor.attribute(&examples)
}

#[test]
fn hypotheses_that_cross_the_long_rope_threshold_stay_within_the_budget() {
    const THRESHOLD: usize = 1500;
    let folder = tempfile::tempdir().unwrap();
    with_long_rope_threshold("phi3-random", THRESHOLD, folder.path());
    let engine = Engine::load(folder.path(), Dtype::Float32).unwrap();
    // All hypotheses are computed again at the threshold. If those passes kept their attention
    // weights, they would take 1.1 GB.
    let text = "a".repeat(THRESHOLD - 10);
    let generation = GenerationSpec {
        max_new_tokens: Some(40),
        num_beams: Some(16),
        eos_token_id: Some(vec![3]),
        ..GenerationSpec::default()
    };
    let budget = 300 * MEBIBYTE;
    let (peak, results) = peak_of(|| attribute(&engine, generation, (budget, &[&text])));
    let target = &results[0].as_ref().unwrap().target;
    assert!(target.len() > THRESHOLD + 1, "{} tokens", target.len());
    assert!(peak <= budget, "{} MiB", peak / MEBIBYTE);
}

#[test]
fn a_prompt_is_continued_without_its_attention_weights() {
    // The weights of both layers of the encoder would take 1.2 GB.
    const TOKENS: usize = 6_000;
    let model = model::load(&fixture("t5-random"), DType::F32).unwrap();
    let (peak, continued) = peak_of(|| continue_one(&model, TOKENS));
    assert_eq!(continued.len(), 2);
    assert!(peak <= 100 * MEBIBYTE, "{} MiB", peak / MEBIBYTE);
}

/// Generates two tokens behind a source of `tokens` tokens.
fn continue_one(model: &Transformer, tokens: usize) -> Vec<u32> {
    let spec = GenerationSpec {
        max_new_tokens: Some(2),
        ..GenerationSpec::default()
    };
    // No token ends the sequence.
    let settings = Settings::new(&spec, &GenerationSpec::default(), &[]).unwrap();
    let prompt = Prompt {
        source: vec![5; tokens],
        ids: vec![0],
        seed: (0, 0),
    };
    let mut continued = generate(model, &[prompt], &settings);
    continued.remove(0).unwrap().remove(0)
}

#[test]
fn texts_and_beams_that_do_not_fit_together_are_continued_in_smaller_batches() {
    let engine = Engine::load(&fixture("lo-en-fr-tiny"), Dtype::Float32).unwrap();
    let generation = |beams| GenerationSpec {
        max_new_tokens: Some(3),
        num_beams: Some(beams),
        ..GenerationSpec::default()
    };
    // The scores of all beams of all texts would take 900 MB at once.
    let texts = ["Open the window."; 32];
    let budget = 256 * MEBIBYTE;
    let (peak, results) = peak_of(|| attribute(&engine, generation(64), (budget, &texts)));
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(peak <= budget, "{} MiB", peak / MEBIBYTE);
    let alone = attribute(&engine, generation(64), (4 * budget, &texts[..1]));
    let target = |result: &Result<Attribution, Error>| result.as_ref().unwrap().target.clone();
    assert!(
        results
            .iter()
            .all(|result| target(result) == target(&alone[0]))
    );
}
