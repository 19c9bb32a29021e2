//! `attention` and `value_zeroing` of whole examples, compared with a transformers pass over each
//! prefix.
//!
//! The models of `tests/families` have no tokenizer. Here they get one whose words are token ids.

use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::json;
use whence_engine::{Engine, Example, ScoreRows};
use whence_schemas::AttributionSpec;
use whence_schemas::job::Dtype;
use whence_tests::fixtures::attribute;

use crate::reference::Reference;

/// Double-precision rounding in a ratio of small differences, plus rounding of scores to single
/// precision.
const TOLERANCE: f64 = 1e-6;

#[test]
fn each_step_has_the_attention_and_the_value_zeroing_of_its_own_prefix() {
    let mut failures = Vec::new();
    let mut compared = 0;
    for reference in Reference::all() {
        let maps = reference.folder.join("maps.safetensors");
        if !maps.exists() {
            continue;
        }
        let maps = candle_core::safetensors::load(maps, &Device::Cpu).unwrap();
        let home = tempfile::tempdir().unwrap();
        let engine = with_numbered_words(&reference.folder, home.path());
        for (method, truth) in maps {
            let error = largest_difference(&scores(&engine, &reference, &method), &truth);
            if error.is_nan() || error > TOLERANCE {
                failures.push(format!(
                    "{}: `{method}` differs by {error:e}",
                    reference.name
                ));
            }
            compared += 1;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_ne!(compared, 0, "run `generate.py --maps`");
}

/// Loads a model with a tokenizer whose words are token ids.
fn with_numbered_words(model: &Path, home: &Path) -> Engine {
    for file in ["config.json", "model.safetensors"] {
        fs::copy(model.join(file), home.join(file)).unwrap();
    }
    let config = fs::read_to_string(home.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let size = config["vocab_size"].as_u64().unwrap();
    let words: serde_json::Map<_, _> = (0..size).map(|id| (id.to_string(), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "0"},
    });
    fs::write(home.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let names = json!({"eos_token": "1", "pad_token": "0", "unk_token": "0"});
    fs::write(home.join("tokenizer_config.json"), names.to_string()).unwrap();
    Engine::load(home, Dtype::Float64).unwrap()
}

/// Returns the raw scores of every step of the last target, each with shape
/// `[prefix tokens, layers]`. Those of `attention` are averaged over heads.
fn scores(engine: &Engine, reference: &Reference, method: &str) -> Vec<f64> {
    let words: Vec<_> = reference
        .sequences
        .last()
        .unwrap()
        .target
        .iter()
        .map(u32::to_string)
        .collect();
    let example = Example::new(1, &words[0]).with_generated_text(&words.join(" "));
    let spec: AttributionSpec = serde_json::from_value(json!({
        "method": {"name": method},
        "aggregators": [],
        "skip_special_tokens": true,
    }))
    .unwrap();
    let attribution = attribute(engine, &spec, &[example], 0).remove(0);
    let steps = attribution
        .steps
        .iter()
        .filter_map(|step| step.target.as_ref());
    steps.flat_map(by_layer).collect()
}

/// Returns one number per token and layer: the mean over heads, if there are several.
fn by_layer(rows: &ScoreRows) -> Vec<f64> {
    let heads = rows.row_shape.get(1).copied().unwrap_or(1);
    let cells = rows.values.chunks_exact(heads);
    cells
        .map(|heads| heads.iter().copied().map(f64::from).sum::<f64>() / heads.len() as f64)
        .collect()
}

fn largest_difference(found: &[f64], truth: &Tensor) -> f64 {
    let truth: Vec<f64> = truth.flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(found.len(), truth.len());
    let differences = found.iter().zip(truth).map(|(a, b)| (a - b).abs());
    differences.fold(0.0_f64, |a, b| if a.is_nan() || b <= a { a } else { b })
}
