//! Generation gives the same tokens as transformers, for single prompts and in batches.
//!
//! Goldens are made by `generate.py` beside this file, one prompt at a time.

#![allow(
    clippy::unwrap_used,
    reason = "a suite stops where a fixture is not what it must be"
)]

use std::path::{Path, PathBuf};

use candle_core::DType;
use serde::Deserialize;
use whence_engine::generate::{self, Prompt, Settings};
use whence_engine::model::{self, ModelFiles, Transformer};
use whence_schemas::GenerationSpec;

#[derive(Deserialize)]
struct Case {
    source: Vec<u32>,
    prompt: Vec<u32>,
    options: GenerationSpec,
    sequences: Vec<Vec<u32>>,
}

/// A model with its generation defaults.
struct Model {
    transformer: Transformer,
    defaults: GenerationSpec,
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

impl Model {
    fn load(folder: &Path) -> Self {
        let files = ModelFiles::open(folder).unwrap();
        Self {
            transformer: model::load_files(&files, DType::F32, None).unwrap(),
            defaults: generate::choices_of(&files).unwrap(),
        }
    }

    fn generate(&self, prompts: &[Prompt], options: &GenerationSpec) -> Vec<Vec<Vec<u32>>> {
        let settings = Settings::new(options, &self.defaults, &[]).unwrap();
        let continued = generate::generate(&self.transformer, prompts, &settings);
        continued.into_iter().map(Result::unwrap).collect()
    }
}

fn prompt(case: &Case, id: i64) -> Prompt {
    Prompt {
        source: case.source.clone(),
        ids: case.prompt.clone(),
        seed: (0, id),
    }
}

fn cases(name: &str) -> Vec<Case> {
    let path = here().join("generate/goldens").join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Checks the tokens of every golden twice: alone, and in a batch of all prompts with the same
/// options.
fn assert_goldens(name: &str, folder: &Path) {
    let model = Model::load(folder);
    let cases = cases(name);
    let mut wrong = Vec::new();
    for case in &cases {
        let alike: Vec<_> = cases
            .iter()
            .filter(|other| other.options == case.options)
            .collect();
        let prompts: Vec<_> = alike.iter().map(|case| prompt(case, 0)).collect();
        let own = alike.iter().position(|other| std::ptr::eq(*other, case));
        let together = model
            .generate(&prompts, &case.options)
            .swap_remove(own.unwrap());
        let alone = model.generate(&[prompt(case, 0)], &case.options).remove(0);
        if alone != case.sequences || together != case.sequences {
            let options = serde_json::to_string(&case.options).unwrap();
            wrong.push(format!(
                "{options} behind {:?}:\n  alone        {alone:?}\n  together     {together:?}\n  transformers {:?}",
                case.prompt, case.sequences
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{name}: {} of {} cases\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn marian_generates_what_transformers_generates() {
    assert_goldens("lo-en-fr-tiny", &here().join("models/lo-en-fr-tiny"));
}

#[test]
fn llama_generates_what_transformers_generates() {
    assert_goldens("glass-en", &here().join("models/glass-en"));
}

/// Families differ in what generation carries over from step to step: positions, biases, windows,
/// experts.
#[test]
fn tiny_models_of_many_families_generate_what_transformers_generates() {
    for name in [
        "t5", "bart", "m2m_100", "gpt2", "bloom", "gemma2", "mistral", "mixtral", "qwen3",
    ] {
        let folder = here().join("families/models").join(name);
        assert_goldens(&format!("family-{name}"), &folder);
    }
}

#[test]
fn what_is_drawn_depends_on_the_seed_and_the_example_alone() {
    let model = Model::load(&here().join("models/glass-en"));
    let case = &cases("glass-en")[0];
    let options: GenerationSpec = serde_json::from_str(
        r#"{"do_sample": true, "num_return_sequences": 3, "temperature": 1.5, "max_new_tokens": 12}"#,
    )
    .unwrap();
    let drawn = |ids: &[i64]| {
        let prompts: Vec<_> = ids.iter().map(|&id| prompt(case, id)).collect();
        model.generate(&prompts, &options)
    };
    let together = drawn(&[1, 2, 3]);
    assert_eq!(together[1], drawn(&[2])[0]);
    assert_eq!(together, drawn(&[1, 2, 3]));
    assert_ne!(together[0], together[1]);
    assert_ne!(together[0][0], together[0][1]);
}

#[test]
fn drawing_from_one_token_is_greedy_and_drawn_beams_are_sequences() {
    let model = Model::load(&here().join("models/glass-en"));
    let case = &cases("glass-en")[0];
    let with = |options: &str| {
        let options = serde_json::from_str(options).unwrap();
        model.generate(&[prompt(case, 5)], &options).remove(0)
    };
    assert_eq!(
        with(r#"{"do_sample": true, "top_k": 1, "max_new_tokens": 9}"#),
        with(r#"{"max_new_tokens": 9}"#)
    );
    let beams = with(
        r#"{"do_sample": true, "num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 9}"#,
    );
    assert_eq!(beams.len(), 2);
    assert!(beams.iter().all(|beam| beam.len() <= 9) && beams[0] != beams[1]);
}
