//! Offsets of tokens in their texts, compared with SentencePiece itself and with transformers'
//! tokenizers.

use std::path::Path;

use serde_json::json;
use whence_engine::model::ModelFiles;
use whence_engine::sides::Side;
use whence_engine::text::{Encoding, Tokenizer};
use whence_engine::{Engine, Example};
use whence_schemas::AttributionSpec;
use whence_schemas::job::Dtype;
use whence_tests::text::{golden, here, id_hash};

fn load(model: &Path) -> Tokenizer {
    let files = ModelFiles::open(model).unwrap();
    // A SentencePiece model does not store these ids.
    let config = json!({"eos_token_id": 2, "pad_token_id": 1});
    Tokenizer::load(&files, &config).unwrap()
}

/// Checks that for every sample string with a golden hash, the result of `numbers` has that hash.
fn assert_hashes(golden_name: &str, numbers: impl Fn(&str) -> Vec<u32>) {
    let strings: Vec<String> = golden("strings.json");
    let hashes: Vec<Option<String>> = golden(golden_name);
    assert_eq!(strings.len(), hashes.len());
    assert!(hashes.iter().flatten().count() > 750);
    let differs = |(text, hash): (&String, &Option<String>)| {
        let numbers = numbers(text);
        let same = hash.as_ref().is_none_or(|hash| *hash == id_hash(&numbers));
        (!same).then(|| format!("{text:?}: {numbers:?}"))
    };
    let wrong: Vec<_> = strings.iter().zip(&hashes).filter_map(differs).collect();
    let count = wrong.len();
    assert!(count == 0, "{golden_name}, {count}:\n{}", wrong.join("\n"));
}

/// Returns the index of each token's first character in `text`, counted in characters with blanks.
fn starts(text: &str, encoding: &Encoding) -> Vec<u32> {
    let ranges = encoding.ranges.iter().flatten();
    let start = |(start, _): &(usize, usize)| text[..*start].chars().count() as u32;
    ranges.map(start).collect()
}

#[test]
fn pieces_start_where_sentencepiece_says() {
    let own = ["t5", "m2m100", "mbart50", "mbart", "nllb", "llama"];
    let own = own.map(|name| (name, here("models").join(name)));
    let marian = ("marian", here("../models/lo-en-fr-tiny"));
    for (name, folder) in own.into_iter().chain([marian]) {
        let tokenizer = load(&folder);
        assert_hashes(&format!("{name}.starts.json"), |text| {
            starts(text, &tokenizer.encode_source(text, false).unwrap())
        });
    }
}

#[test]
fn tokens_stand_where_transformers_says() {
    let own = ["t5", "mbart50", "mbart", "nllb", "llama", "gpt2", "bart"];
    let described = ["glass-en", "gpt2-random", "t5-random"];
    let own = own.map(|name| (name, here("models").join(name)));
    let described = described.map(|name| (name, here("../models").join(name)));
    for (name, folder) in own.into_iter().chain(described) {
        let tokenizer = load(&folder);
        assert_hashes(&format!("{name}.offsets.json"), |text| {
            let encoding = tokenizer.encode_source(text, false).unwrap();
            let offsets = encoding.offsets(text);
            let tokens = encoding.ids.iter().zip(offsets);
            // Some of transformers' tokenizers give tokens of blanks no place.
            let is_word = |id: u32| {
                tokenizer
                    .of(Side::Source)
                    .token(id)
                    .contains(|mark| !"▁Ġ".contains(mark))
            };
            let tokens = tokens.filter(|(id, _)| is_word(**id));
            let offsets = tokens.filter_map(|(_, offsets)| offsets);
            offsets
                .flat_map(|(start, end)| [start as u32, end as u32])
                .collect()
        });
    }
}

#[test]
fn a_generated_text_has_the_offsets_of_the_same_text_forced() {
    for name in ["glass-en", "lo-en-fr-tiny"] {
        let engine = Engine::load(&here("../models").join(name), Dtype::Float32).unwrap();
        let spec = json!({"method": "dummy", "attributed_fn": "probability", "generation": {"max_new_tokens": 12}});
        let spec: AttributionSpec = serde_json::from_value(spec).unwrap();
        let attributor = engine.prepare(&spec).unwrap();
        let attribute = |example: Example| attributor.attribute(&[example]).remove(0).unwrap();
        let open = Example::new(0, "Select the cells, then click");
        let generated = attribute(open.clone());
        let forced = attribute(open.with_generated_text(&generated.generated_text));
        assert!(generated.target.iter().any(|token| token.offsets.is_some()));
        assert_eq!(generated.source, forced.source, "{name}");
        // For a decoder-only model, a generated end token is not part of the text.
        let shared = generated.target.len().min(forced.target.len());
        assert_eq!(
            generated.target[..shared],
            forced.target[..shared],
            "{name}"
        );
    }
}
