//! GGUF files, and SmolLM2 from safetensors, compared with the same models loaded by transformers.

use std::path::{Path, PathBuf};

use candle_core::DType;
use serde::Deserialize;
use whence_engine::generate::{self, Prompt, Settings};
use whence_engine::model::{self, ExplainedToken, ModelFiles};
use whence_engine::sides::Side;
use whence_engine::text::Tokenizer;
use whence_schemas::GenerationSpec;

use super::{assert_ids, golden, here, tokenizer};

/// Tolerance relative to the largest logit, since float32 sums of a few hundred terms are taken in
/// another order.
const LOGITS_TOLERANCE: f64 = 2e-5;

/// One prompt of `*.greedy.json`.
#[derive(Deserialize)]
struct Case {
    prompt: String,
    ids: Vec<u32>,
    continuation: Vec<u32>,
    text: String,
    /// Some of the logits after the prompt, evenly spaced over the vocabulary.
    #[serde(default)]
    logits: Vec<f64>,
}

#[test]
fn a_file_of_many_quantisations_gives_what_transformers_gives() {
    assert_model(&here("models/tiny-gguf/tiny.gguf"), "tiny-gguf");
}

#[test]
fn halves_of_a_file_may_stay_halves() {
    let path = here("models/tiny-gguf/tiny.gguf");
    let files = ModelFiles::open(&path).unwrap();
    let kept = model::load_files(&files, DType::F32, Some(0)).unwrap();
    assert_continues(&kept, &tokenizer(&path), &files, "tiny-gguf");
}

#[test]
fn a_folder_stands_for_the_one_file_in_it() {
    let folder = here("models/tiny-gguf");
    let (file, of_folder) = (folder.join("tiny.gguf"), ModelFiles::open(&folder).unwrap());
    let of_file = ModelFiles::open(&file).unwrap();
    assert_eq!(
        of_folder.config().unwrap().to_value(),
        of_file.config().unwrap().to_value()
    );
}

#[test]
fn smollm2_gives_what_transformers_gives() {
    if let Some(path) = unpacked("smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") {
        assert_model(&path, "smollm2");
    }
}

#[test]
fn smollm2_from_safetensors_gives_what_transformers_gives() {
    let Some(path) = unpacked("smollm2-safetensors/model.safetensors") else {
        return;
    };
    let folder = path.parent().unwrap();
    let files = ModelFiles::open(folder).unwrap();
    let tokenizer = tokenizer(folder);
    assert_encodes(&tokenizer, "smollm2");
    // First with weights widened to float32, then kept in the bfloat16 they are stored in.
    for free in [None, Some(0)] {
        let model = model::load_files(&files, DType::F32, free).unwrap();
        assert_continues(&model, &tokenizer, &files, "smollm2-safetensors");
    }
}

/// Returns the path of a model that `unpack_smollm2.py` unpacks; `None` if it has not been run.
fn unpacked(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../.models")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: `{}` is not there", path.display());
    None
}

/// Checks for equal ids of all sample strings, equal greedy texts, and logits within the tolerance.
fn assert_model(path: &Path, name: &str) {
    let tokenizer = tokenizer(path);
    assert_encodes(&tokenizer, name);
    let model = model::load(path, DType::F32).unwrap();
    let files = ModelFiles::open(path).unwrap();
    assert_continues(&model, &tokenizer, &files, name);
}

fn assert_encodes(tokenizer: &Tokenizer, name: &str) {
    assert_ids(tokenizer, name, |tokenizer, text| {
        tokenizer.encode_prompt(text, false).unwrap().ids
    });
}

fn assert_continues(
    model: &model::Transformer,
    tokenizer: &Tokenizer,
    files: &ModelFiles,
    name: &str,
) {
    let cases: Vec<Case> = golden(&format!("{name}.greedy.json"));
    let options = GenerationSpec {
        max_new_tokens: cases.iter().map(|case| case.continuation.len()).max(),
        ..GenerationSpec::default()
    };
    let defaults = generate::choices_of(files).unwrap();
    let settings = Settings::new(
        &options,
        &defaults,
        &tokenizer.of(Side::Target).special().eos,
    )
    .unwrap();
    let prompt = |case: &Case| Prompt {
        source: Vec::new(),
        ids: case.ids.clone(),
        seed: (0, 0),
    };
    let prompts: Vec<_> = cases.iter().map(prompt).collect();
    let continued = generate::generate(model, &prompts, &settings);
    let continued = continued.into_iter().flat_map(Result::unwrap);
    for (case, new) in cases.iter().zip(continued) {
        assert_eq!(new, case.continuation, "{:?}", case.prompt);
        let whole = [case.ids.as_slice(), &new].concat();
        assert_eq!(tokenizer.of(Side::Target).decode(&whole, true), case.text);
    }
    for case in &cases {
        assert_eq!(
            tokenizer.encode_prompt(&case.prompt, false).unwrap().ids,
            case.ids
        );
        if !case.logits.is_empty() {
            assert_logits(model, case);
        }
    }
}

fn assert_logits(model: &model::Transformer, case: &Case) {
    let trace = model
        .forward(&model::Inputs {
            source: None,
            target: model
                .embed(Side::Target, [case.ids.as_slice()].into_iter())
                .unwrap(),
        })
        .unwrap();
    let last = ExplainedToken {
        sequence: 0,
        position: case.ids.len() - 1,
    };
    let logits = model
        .logits(&model.hidden(&trace, &[last]).unwrap())
        .unwrap();
    let logits = logits.squeeze(0).unwrap().to_vec1::<f32>().unwrap();
    let step = (logits.len() / 256).max(1);
    let largest = case
        .logits
        .iter()
        .fold(0.0_f64, |most, value| most.max(value.abs()));
    let ours: Vec<_> = logits
        .iter()
        .step_by(step)
        .map(|&value| f64::from(value))
        .collect();
    assert_eq!(ours.len(), case.logits.len());
    for (index, (ours, theirs)) in ours.iter().zip(&case.logits).enumerate() {
        assert!(
            (ours - theirs).abs() <= LOGITS_TOLERANCE * largest,
            "{:?}, logit {}: {ours}, transformers has {theirs}",
            case.prompt,
            index * step
        );
    }
}
