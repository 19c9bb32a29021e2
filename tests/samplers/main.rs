//! Samplers: masked language models that propose tokens, compared with transformers and used in a
//! method.
//!
//! The models and the results of transformers come from `tests/samplers/generate.py`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a suite stops where a fixture is not what it must be, and hands numbers to its parent"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use whence_engine::model::ModelFiles;
use whence_engine::sampler::{Proposal, Sampler, SamplerSource};
use whence_engine::sides::Side;
use whence_engine::text::Tokenizer;
use whence_engine::{Attribution, Engine, Error, ErrorScope, Example};
use whence_schemas::AttributionSpec;
use whence_schemas::job::Dtype;
use whence_tests::fixtures::{attribute, copy_files};

const SAMPLERS: [&str; 3] = ["roberta", "xlm-roberta", "bert"];

/// Tolerance of a logit against transformers in double precision. Logits are about 1 in size, and
/// result from some hundred roundings.
const NEAR: f64 = 1e-5;

#[derive(Deserialize)]
struct Reference {
    texts: Vec<ReferenceText>,
    proposals: Vec<ReferenceProposals>,
}

#[derive(Deserialize)]
struct ReferenceText {
    before: String,
    after: String,
}

#[derive(Deserialize)]
struct ReferenceProposals {
    attributed: String,
    tokens: Vec<u32>,
    positions: Vec<Vec<(u32, f64)>>,
}

#[test]
fn logits_of_a_mask_are_those_of_transformers() {
    for name in SAMPLERS {
        let sampler = load(&sampler_folder(name), "gpt2-random").unwrap();
        let bytes = fs::read(sampler_folder(name).join("reference.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        for (index, text) in reference(name).texts.iter().enumerate() {
            let truth = tensors.tensor(&index.to_string()).unwrap();
            let truth = truth.data().chunks_exact(8);
            let truth = truth.map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()));
            let ours = sampler.logits(&text.before, &text.after).unwrap();
            assert_eq!(ours.len(), truth.len());
            let distances = ours
                .iter()
                .zip(truth)
                .map(|(ours, truth)| (f64::from(*ours) - truth).abs());
            let largest = distances.fold(0.0, f64::max);
            assert!(largest <= NEAR, "{name} `{}`: {largest:e}", text.before);
        }
    }
}

#[test]
fn proposals_are_what_stands_for_the_same_text_in_the_other_vocabulary() {
    for name in SAMPLERS {
        for truth in reference(name).proposals {
            let sampler = load(&sampler_folder(name), &truth.attributed).unwrap();
            let count = truth.positions.iter().map(Vec::len).max().unwrap();
            let proposals = sampler.propose(Side::Target, &truth.tokens, count).unwrap();
            assert_eq!(proposals.len(), truth.positions.len());
            for (ours, truth) in proposals.iter().zip(&truth.positions) {
                let tokens: Vec<_> = ours.iter().map(|proposal| proposal.token).collect();
                let expected: Vec<_> = truth.iter().map(|(token, _)| *token).collect();
                assert_eq!(tokens, expected);
                let is_near = |(ours, (_, logit)): (&Proposal, &(u32, f64))| {
                    (f64::from(ours.logit) - logit).abs() <= NEAR
                };
                assert!(
                    ours.iter().zip(truth).all(is_near),
                    "{ours:?}, not {truth:?}"
                );
            }
        }
    }
}

/// Compares the logits themselves, because a difference in the last bit would rarely change a draw.
/// Each number of threads needs its own process: candle reads it from the environment.
#[test]
fn logits_have_the_same_bits_on_any_number_of_threads() {
    const NAME: &str = "logits_have_the_same_bits_on_any_number_of_threads";
    const IS_CHILD: &str = "WHENCE_TEST_PRINTS_LOGITS";
    if std::env::var_os(IS_CHILD).is_some() {
        for name in SAMPLERS {
            let sampler = load(&sampler_folder(name), "gpt2-random").unwrap();
            let tokens: Vec<_> = (40..120).collect();
            let proposals = sampler.propose(Side::Target, &tokens, 3).unwrap();
            let bits: Vec<_> = proposals
                .iter()
                .flatten()
                .map(|p| p.logit.to_bits())
                .collect();
            assert!(bits.len() > 100);
            println!("bits {bits:?}");
        }
        return;
    }
    let printed = ["1", "2", "3", "8"].map(|threads| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", NAME, "--nocapture"]);
        child.env(IS_CHILD, "1").env("RAYON_NUM_THREADS", threads);
        let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
        let bits = output.lines().filter(|line| line.contains("bits ["));
        bits.map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(printed[0].len(), SAMPLERS.len());
    assert!(printed.iter().all(|bits| *bits == printed[0]));
}

#[test]
fn a_mask_of_the_texts_own_is_not_the_one_that_is_asked_for() {
    let sampler = load(&sampler_folder("roberta"), "gpt2-random").unwrap();
    let first = sampler.logits("Click", " the <mask> tab").unwrap();
    let second = sampler.logits("Click<mask> the", " tab").unwrap();
    let alone = sampler.logits("Click one the", " tab").unwrap();
    assert_ne!(first, second);
    assert_ne!(second, alone);
}

#[test]
fn a_method_draws_the_same_alone_and_in_a_batch_and_other_tokens_from_another_seed() {
    for model in ["gpt2-random", "t5-random"] {
        let engine = engine(model);
        let examples: Vec<_> = [
            ("Click the", "Click the tab"),
            ("Enter a name", "Enter a name and OK"),
        ]
        .iter()
        .enumerate()
        .map(|(id, (input, target))| Example::new(id as i64, input).with_generated_text(target))
        .collect();
        for name in SAMPLERS {
            let spec = reagent(&json!({"sampler": sampler_folder(name)}));
            let together = attribute(&engine, &spec, &examples, 7);
            for (example, together) in examples.iter().zip(&together) {
                let alone = attribute(&engine, &spec, std::slice::from_ref(example), 7);
                assert_eq!(bits(&alone[0]), bits(together), "{model} {name}");
            }
            let others = attribute(&engine, &spec, &examples, 8);
            assert_ne!(bits(&others[0]), bits(&together[0]), "{model} {name}");
            let near = attribute(&engine, &reagent(&json!({})), &examples, 7);
            assert_ne!(bits(&near[0]), bits(&together[0]), "{model} {name}");
        }
    }
}

#[test]
fn a_sampler_is_loaded_once_for_all_that_ask_for_it() {
    let folder = copy_of("roberta");
    let engine = engine("gpt2-random");
    let spec = reagent(&json!({"sampler": folder.path()}));
    engine.prepare(&spec).unwrap();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    engine.prepare(&spec).unwrap();
    engine
        .prepare(&reagent(&json!({"sampler": sampler_folder("bert")})))
        .unwrap();
    assert!(engine.prepare(&spec).is_err());
}

#[test]
fn what_cannot_propose_is_refused_with_its_reason() {
    let refused = |change: &dyn Fn(&Path), expected: &str| {
        let folder = copy_of("bert");
        change(folder.path());
        let error = load(folder.path(), "gpt2-random").unwrap_err();
        assert_eq!(error.scope(), ErrorScope::Model, "{error}");
        assert!(
            error.to_string().contains(expected),
            "{error} has no {expected}"
        );
    };
    for (field, value, expected) in [
        ("model_type", json!("gpt2"), "it is a `gpt2` model"),
        ("is_decoder", json!(true), "`is_decoder`"),
        (
            "position_embedding_type",
            json!("relative_key"),
            "`relative_key`",
        ),
        ("hidden_act", json!("silu"), "`hidden_act`"),
        (
            "hidden_size",
            json!(16),
            "embeddings.word_embeddings.weight",
        ),
        ("intermediate_size", json!(24), "intermediate.dense.weight"),
    ] {
        let change = |folder: &Path| set(folder, "config.json", field, &value);
        refused(&change, expected);
    }
    for (mask, expected) in [
        (Value::Null, "`mask_token`"),
        (json!("<gap>"), "`<gap>` in one token"),
    ] {
        let change = |folder: &Path| set(folder, "tokenizer_config.json", "mask_token", &mask);
        refused(&change, expected);
    }
    refused(
        &|folder| fs::remove_dir_all(folder).unwrap(),
        "no such folder",
    );
    refused(&without_head, "cls.predictions.transform.dense.weight");
}

#[test]
fn a_sampler_with_layers_its_configuration_does_without_is_refused() {
    for name in ["bert", "roberta"] {
        let folder = copy_of(name);
        let layers = &json!(1);
        set(folder.path(), "config.json", "num_hidden_layers", layers);
        let spec = reagent(&json!({"sampler": folder.path()}));
        let error = engine("gpt2-random")
            .prepare(&spec)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(".layer.1.") && error.contains("does without"),
            "{error}"
        );
    }
}

#[test]
fn a_job_holds_its_sampler_to_what_it_was() {
    let folder = copy_of("roberta");
    let mut spec = reagent(&json!({"sampler": folder.path()}));
    assert!(
        whence_engine::check_pinned(&spec)
            .unwrap_err()
            .to_string()
            .contains("digest")
    );
    whence_engine::pin(&mut spec).unwrap();
    whence_engine::check_pinned(&spec).unwrap();
    engine("gpt2-random").prepare(&spec).unwrap();
    set(
        folder.path(),
        "tokenizer_config.json",
        "model_max_length",
        &json!(512),
    );
    let error = engine("gpt2-random").prepare(&spec).unwrap_err();
    assert!(matches!(error, Error::Sampler { .. }), "{error}");
    assert!(
        error.to_string().contains("submit the job again"),
        "{error}"
    );
    let before = spec.clone();
    whence_engine::pin(&mut spec).unwrap();
    assert_eq!(spec, before, "what is pinned stays so");
}

#[test]
fn given_draws_and_a_sampler_exclude_each_other() {
    let engine = engine("gpt2-random");
    let params = json!({"sampler": sampler_folder("bert"), "samples": []});
    let error = engine.prepare(&reagent(&params)).unwrap_err();
    assert!(error.to_string().contains("leave out `sampler`"), "{error}");
}

/// Removes the language-model head from a checkpoint.
fn without_head(folder: &Path) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let body = tensors
        .tensors()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("cls"));
    safetensors::serialize_to_file(body, None, &path.with_extension("new")).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

/// Sets a field of a JSON file.
fn set(folder: &Path, file: &str, field: &str, value: &Value) {
    let path = folder.join(file);
    let mut fields: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    fields[field] = value.clone();
    fs::write(path, fields.to_string()).unwrap();
}

/// Returns a specification of `reagent` with few trials, and with the parameters in `params`.
fn reagent(params: &Value) -> AttributionSpec {
    let small = json!({"num_probes": 3, "max_probe_steps": 4, "n_neighbors": 5});
    let mut all: Map<_, _> = small.as_object().unwrap().clone();
    all.extend(params.as_object().unwrap().clone());
    serde_json::from_value(json!({"method": {"name": "reagent", "params": all}})).unwrap()
}

fn bits(attribution: &Attribution) -> Vec<u32> {
    let steps = attribution.steps.iter();
    let rows = steps
        .flat_map(|step| [&step.source, &step.target])
        .flatten();
    rows.flat_map(|rows| &rows.values)
        .map(|value| value.to_bits())
        .collect()
}

fn load(folder: &Path, attributed: &str) -> Result<Sampler, Error> {
    let files = ModelFiles::open(&model_folder(attributed)).unwrap();
    let reader = Tokenizer::load(&files, &files.config().unwrap().to_value()).unwrap();
    let source = SamplerSource::Folder(folder.to_str().unwrap().to_owned());
    Sampler::load(&source, &reader)
}

fn engine(model: &str) -> Engine {
    Engine::load(&model_folder(model), Dtype::Float32).unwrap()
}

fn reference(name: &str) -> Reference {
    let bytes = fs::read(sampler_folder(name).join("reference.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn copy_of(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_files(&sampler_folder(name), folder.path());
    folder
}

fn sampler_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("samplers/models")
        .join(name)
}

fn model_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("models")
        .join(name)
}
