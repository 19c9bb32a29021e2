//! Text and weights: the same ids, logits and greedy texts as transformers.
//!
//! Goldens and small models are made by `generate.py` beside this file. The real SmolLM2 is tested
//! only if its GGUF file is in `.models/smollm2` at the root of the repository.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a suite stops where a fixture is not what it must be"
)]

mod chat;
mod damaged;
mod gguf;
mod offsets;
mod pytorch;
mod unserved;
mod vocabularies;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use whence_engine::model::ModelFiles;
use whence_engine::text::Tokenizer;

/// Returns a path below this folder.
fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("text")
        .join(path)
}

/// Reads one of the goldens.
fn golden<T: DeserializeOwned>(name: &str) -> T {
    let path = here("goldens").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Loads the tokenizer of a model.
fn tokenizer(model: &Path) -> Tokenizer {
    let files = ModelFiles::open(model).unwrap();
    Tokenizer::load(&files, &files.config().unwrap().to_value()).unwrap()
}

/// Returns the 64-bit FNV-1a hash of ids, as `generate.py` computes it.
fn id_hash(ids: &[u32]) -> String {
    let hash = ids.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, &id| {
        (hash ^ u64::from(id)).wrapping_mul(0x0100_0000_01B3)
    });
    format!("{hash:016x}")
}

/// Checks that every sample string gets the same ids as in transformers.
fn assert_ids(tokenizer: &Tokenizer, name: &str, encode: impl Fn(&Tokenizer, &str) -> Vec<u32>) {
    let strings: Vec<String> = golden("strings.json");
    let hashes: Vec<String> = golden(&format!("{name}.ids.json"));
    assert!(strings.len() > 1_000 && strings.len() == hashes.len());
    let differs = |(text, hash): (&String, &String)| {
        let ids = encode(tokenizer, text);
        (id_hash(&ids) != *hash).then(|| format!("{text:?} became {ids:?}"))
    };
    let wrong: Vec<_> = strings.iter().zip(&hashes).filter_map(differs).collect();
    assert!(
        wrong.is_empty(),
        "{name}: {} of {} strings:\n{}",
        wrong.len(),
        strings.len(),
        wrong.join("\n")
    );
}
