//! Tokenizers without a `tokenizer.json`: the ids of transformers, and of SentencePiece itself where
//! transformers' re-implementation of it differs (on blanks at the end of a text, and one string of
//! T5's).

use std::collections::HashMap;

use serde_json::json;
use whence_engine::Error;
use whence_engine::model::ModelFiles;
use whence_engine::text::Tokenizer;

use super::{assert_ids, golden, here};

fn load(name: &str) -> Tokenizer {
    let files = ModelFiles::open(&here("models").join(name)).unwrap();
    Tokenizer::load(&files, &json!({})).unwrap()
}

fn source(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode_source(text, false).unwrap().ids
}

fn prompt(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode_prompt(text, false).unwrap().ids
}

fn assert_codes(tokenizer: &Tokenizer, name: &str) {
    for (language, id) in golden::<HashMap<String, u32>>(&format!("{name}.codes.json")) {
        let code = tokenizer.language_code(&language).unwrap();
        assert_eq!(code, Some(id), "{language}");
        assert!((id as usize) < tokenizer.size());
    }
}

#[test]
fn t5_numbers_its_blanks_from_the_end() {
    let tokenizer = load("t5");
    assert_ids(&tokenizer, "t5", source);
    assert_eq!(tokenizer.token(499), "<extra_id_0>");
    assert_eq!(tokenizer.size(), 500);
}

#[test]
fn gpt2_is_read_from_its_vocabulary_and_merges() {
    assert_ids(&load("gpt2"), "gpt2", prompt);
}

#[test]
fn m2m100_puts_the_code_of_each_language_before_its_texts() {
    let tokenizer = load("m2m100");
    assert_ids(&tokenizer, "m2m100", source);
    assert_ids(&tokenizer, "m2m100-target", |tokenizer, text| {
        tokenizer.encode_target(text, false).unwrap().ids
    });
    assert_codes(&tokenizer, "m2m100");
}

#[test]
fn mbart50_puts_its_codes_behind_its_pieces() {
    let tokenizer = load("mbart50");
    assert_ids(&tokenizer, "mbart50", source);
    assert_codes(&tokenizer, "mbart50");
}

#[test]
fn mbart_puts_the_code_behind_its_texts() {
    let tokenizer = load("mbart");
    assert_ids(&tokenizer, "mbart", source);
    assert_codes(&tokenizer, "mbart");
}

#[test]
fn nllb_puts_the_code_before_its_texts() {
    let tokenizer = load("nllb");
    assert_ids(&tokenizer, "nllb", source);
    assert_codes(&tokenizer, "nllb");
}

#[test]
fn llama_falls_back_to_bytes() {
    assert_ids(&load("llama"), "llama", prompt);
}

#[test]
fn bart_is_read_from_its_vocabulary_and_merges() {
    assert_ids(&load("bart"), "bart", source);
}

#[test]
fn languages_are_chosen_by_their_codes() {
    let tokenizer = load("mbart50");
    let plain = tokenizer.encode_source("Select", true).unwrap().ids;
    let code = |language| tokenizer.language_code(language).unwrap().unwrap();
    let chosen = tokenizer.speaking(Some("de_DE"), Some("ro_RO")).unwrap();
    let framed = |code| [&[code], plain.as_slice(), &[2]].concat();
    assert_eq!(source(&chosen, "Select"), framed(code("de_DE")));
    assert_eq!(
        chosen.encode_target("Select", false).unwrap().ids,
        framed(code("ro_RO"))
    );
    for (source, target) in [(Some("xx_XX"), None), (None, Some("xx_XX"))] {
        let error = tokenizer.speaking(source, target).unwrap_err();
        assert!(matches!(error, Error::Specification { .. }), "{error}");
        assert!(error.to_string().contains("xx_XX"), "{error}");
    }
    assert!(load("t5").speaking(Some("de_DE"), None).is_err());
}
