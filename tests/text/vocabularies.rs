//! Tokenizers without a `tokenizer.json` give the same ids as transformers. Where transformers'
//! reimplementation of SentencePiece differs from SentencePiece itself (for blanks at the end of a
//! text, and for one string with T5), the ids are those of SentencePiece.

use std::collections::HashMap;

use serde_json::json;
use whence_engine::Error;
use whence_engine::model::ModelFiles;
use whence_engine::sides::Side;
use whence_engine::text::{Encoding, Tokenizer};
use whence_tests::separate_marian;
use whence_tests::text::{assert_ids, golden, here, tokenizer};

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
        assert!((id as usize) < tokenizer.of(Side::Target).size());
    }
}

#[test]
fn t5_numbers_its_blanks_from_the_end() {
    let tokenizer = load("t5");
    assert_ids(&tokenizer, "t5", source);
    assert_eq!(tokenizer.of(Side::Target).token(499), "<extra_id_0>");
    assert_eq!(tokenizer.of(Side::Target).size(), 500);
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

/// The source's ids are assigned as in `generate.py`.
#[test]
fn marian_may_have_a_vocabulary_a_side() {
    const LAST: u32 = 7111;
    let own = |id| {
        if id < 2 || id == LAST {
            id
        } else {
            LAST + 1 - id
        }
    };
    let folder = separate_marian::make(|id| (id % 7 != 3).then(|| own(id))).unwrap();
    let tokenizer = tokenizer(folder.path());
    assert_ids(&tokenizer, "marian-source", source);
    let target = |tokenizer: &Tokenizer, text: &str| tokenizer.encode_target(text, false).unwrap();
    assert_ids(&tokenizer, "marian-target", |tokenizer, text| {
        target(tokenizer, text).ids
    });
    assert_ids(&tokenizer, "marian-decoded", |tokenizer, text| {
        let ids = target(tokenizer, text).ids;
        let decoded = tokenizer.of(Side::Target).decode(&ids, true);
        decoded.chars().map(u32::from).collect()
    });
    // The same id is a different token on the other side.
    let token = |side, id| tokenizer.of(side).token(id);
    assert_eq!(token(Side::Target, 7), token(Side::Source, LAST + 1 - 7));
    assert_ne!(token(Side::Target, 7), token(Side::Source, 7));
}

#[test]
fn special_tokens_are_those_of_their_own_vocabulary() {
    const LAST: u32 = 7111;
    let folder = separate_marian::make(|id| Some(LAST - id)).unwrap();
    let tokenizer = tokenizer(folder.path());
    let special = |side| tokenizer.of(side).special().clone();
    let (source, target) = (special(Side::Source), special(Side::Target));
    assert_eq!(
        (source.eos, source.unk, source.pad),
        (vec![LAST], LAST - 1, 0)
    );
    assert_eq!((source.bos, source.decoder_start), (None, None));
    assert_eq!((target.eos, target.unk, target.pad), (vec![0], 1, LAST));
    assert_eq!(target.decoder_start, Some(LAST));
    let ids = |encoding: Encoding| encoding.ids.last().copied();
    assert_eq!(
        ids(tokenizer.encode_source("Select", false).unwrap()),
        Some(LAST)
    );
    assert_eq!(
        ids(tokenizer.encode_target("Select", false).unwrap()),
        Some(0)
    );
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

#[test]
fn tokens_without_text_are_those_that_transformers_tokenizers_call_special() {
    for (folder, special) in golden::<HashMap<String, Vec<u32>>>("special.json") {
        let path = here("..").join(&folder);
        let files = ModelFiles::open(&path).unwrap();
        // Special tokens of the model's configuration must not change those of the tokenizer.
        let tokenizer =
            Tokenizer::load(&files, &json!({"eos_token_id": 0, "bos_token_id": 5})).unwrap();
        assert_eq!(tokenizer.of(Side::Source).textless(), special, "{folder}");
    }
}
