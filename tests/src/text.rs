//! Compares tokenizers and small models with what transformers gives for them.
//!
//! The goldens are in `tests/text/goldens`, and `tests/text/generate.py` makes them.

use std::path::{Path, PathBuf};

use candle_core::DType;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use whence_engine::generate::{self, Prompt, Settings};
use whence_engine::model::{self, ExplainedToken, ModelFiles};
use whence_engine::sides::Side;
use whence_engine::text::Tokenizer;
use whence_schemas::GenerationSpec;

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

/// Returns a path below `tests/text`.
pub fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("text")
        .join(path)
}

/// Reads one of the goldens.
pub fn golden<T: DeserializeOwned>(name: &str) -> T {
    let path = here("goldens").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Loads the tokenizer of a model.
pub fn tokenizer(model: &Path) -> Tokenizer {
    let files = ModelFiles::open(model).unwrap();
    Tokenizer::load(&files, &files.config().unwrap().to_value()).unwrap()
}

/// Returns the 64-bit FNV-1a hash of ids, as `generate.py` computes it.
pub fn id_hash(ids: &[u32]) -> String {
    let hash = ids.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, &id| {
        (hash ^ u64::from(id)).wrapping_mul(0x0100_0000_01B3)
    });
    format!("{hash:016x}")
}

/// Checks that every sample string gets the same ids as in transformers.
pub fn assert_ids(
    tokenizer: &Tokenizer,
    name: &str,
    encode: impl Fn(&Tokenizer, &str) -> Vec<u32>,
) {
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

/// Checks for equal ids of all sample strings, equal greedy texts, and logits within the tolerance.
pub fn assert_model(path: &Path, name: &str) {
    let tokenizer = tokenizer(path);
    assert_encodes(&tokenizer, name);
    let model = model::load(path, DType::F32).unwrap();
    let files = ModelFiles::open(path).unwrap();
    assert_continues(&model, &tokenizer, &files, name);
}

/// Checks for equal ids of all sample strings.
pub fn assert_encodes(tokenizer: &Tokenizer, name: &str) {
    assert_ids(tokenizer, name, |tokenizer, text| {
        tokenizer.encode_prompt(text, false).unwrap().ids
    });
}

/// Checks for equal greedy texts, and for logits within the tolerance.
pub fn assert_continues(
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
    let logits = logits.to_candle().unwrap().squeeze(0).unwrap();
    let logits = logits.to_vec1::<f32>().unwrap();
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
