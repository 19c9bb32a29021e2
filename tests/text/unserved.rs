//! Unsupported tokenizers: the error says what kind they are, and how to make one that is
//! supported.

use std::fs;

use whence_engine::model::ModelFiles;
use whence_engine::text::Tokenizer;
use whence_engine::{Error, ErrorScope};
use whence_tests::text::here;

/// Returns the error and next step of loading a tokenizer from a folder with `files`.
fn refusal(files: &[(&str, &str)], copied: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for file in copied {
        let name = file.rsplit('/').next().unwrap();
        fs::copy(here("models").join(file), folder.path().join(name)).unwrap();
    }
    let error = load(folder.path()).unwrap_err();
    assert_eq!(error.scope(), ErrorScope::Model, "{error}");
    format!("{error}; {}", error.next_step().unwrap_or_default())
}

fn load(folder: &std::path::Path) -> Result<Tokenizer, Error> {
    let files = ModelFiles::open(folder)?;
    Tokenizer::load(&files, &serde_json::json!({"eos_token_id": 0}))
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(
            message.contains(part),
            "`{part}` is missing from: {message}"
        );
    }
}

#[test]
fn wordpiece_is_called_that() {
    let class = r#"{"tokenizer_class": "BertTokenizer"}"#;
    let files = [
        ("vocab.txt", "[PAD]\n[UNK]\nthe\n"),
        ("tokenizer_config.json", class),
    ];
    let message = refusal(&files, &[]);
    assert_says(
        &message,
        &[
            "WordPiece",
            "`vocab.txt`",
            "AutoTokenizer",
            "save_pretrained",
        ],
    );
}

#[test]
fn tiktoken_is_called_that_whatever_its_file() {
    for file in ["tokenizer.model", "qwen.tiktoken"] {
        let message = refusal(&[(file, "IQ== 0\nIg== 1\n")], &[]);
        assert_says(
            &message,
            &["tiktoken", file, "pip install tiktoken", "save_pretrained"],
        );
    }
    let message = refusal(&[("tekken.json", "{}")], &[]);
    assert_says(&message, &["Tekken"]);
}

#[test]
fn merges_are_read_only_for_classes_that_merge_bytes() {
    let gpt2 = ["gpt2/vocab.json", "gpt2/merges.txt"];
    for (name, config) in [
        ("config.json", r#"{"model_type": "biogpt"}"#),
        (
            "tokenizer_config.json",
            r#"{"tokenizer_class": "Qwen2Tokenizer"}"#,
        ),
        ("config.json", r#"{"model_type": "qwen2"}"#),
    ] {
        let message = refusal(&[(name, config)], &gpt2);
        assert_says(&message, &["merges.txt", "Tokenizer`", "tokenizer.json"]);
    }
    let message = refusal(&[("config.json", r#"{"model_type": "biogpt"}"#)], &gpt2);
    assert_says(
        &message,
        &["BioGptTokenizer", "no tokenizer.json of this class"],
    );
}

#[test]
fn pieces_are_read_only_for_classes_that_number_them_so() {
    for (class, file) in [
        ("PegasusTokenizer", "t5/spiece.model"),
        ("XLNetTokenizer", "t5/spiece.model"),
        ("XGLMTokenizer", "mbart/sentencepiece.bpe.model"),
        ("XLMRobertaTokenizer", "mbart/sentencepiece.bpe.model"),
        ("GemmaTokenizer", "llama/tokenizer.model"),
    ] {
        let config = format!(r#"{{"tokenizer_class": "{class}"}}"#);
        let message = refusal(&[("tokenizer_config.json", &config)], &[file]);
        assert_says(&message, &["SentencePiece", class, "save_pretrained"]);
    }
}

#[test]
fn a_model_without_any_says_what_is_missing() {
    let message = refusal(&[("config.json", r#"{"model_type": "llama"}"#)], &[]);
    assert_says(&message, &["no tokenizer", "`tokenizer.json`"]);
    let marian = [("config.json", r#"{"model_type": "marian"}"#)];
    let message = refusal(&marian, &[]);
    assert_says(
        &message,
        &["Marian needs `source.spm`, `target.spm` and `vocab.json`"],
    );
    let message = refusal(&marian, &["../../models/lo-en-fr-tiny/source.spm"]);
    assert_says(&message, &["has no `target.spm`", "`vocab.json`"]);
}

#[test]
fn a_git_lfs_pointer_is_called_one() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";
    for file in [
        "tokenizer.json",
        "spiece.model",
        "tokenizer.model",
        "tokenizer_config.json",
    ] {
        let message = refusal(&[(file, pointer)], &[]);
        assert_says(&message, &[file, "Git LFS pointer", "lfs pull"]);
    }
}

#[test]
fn llama_frames_texts_as_its_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let copy = here("models/llama/tokenizer.model");
    fs::copy(copy, folder.path().join("tokenizer.model")).unwrap();
    let ids = |config: &str| {
        fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        let tokenizer = load(folder.path()).unwrap();
        tokenizer.encode_prompt("the old house", false).unwrap().ids
    };
    let usual = ids(r#"{"tokenizer_class": "LlamaTokenizer"}"#);
    let bare = ids(r#"{"tokenizer_class": "LlamaTokenizer", "add_bos_token": false}"#);
    assert_eq!(usual[1..], bare);
    let ended = ids(r#"{"tokenizer_class": "LlamaTokenizer", "add_eos_token": true}"#);
    assert_eq!(ended[..usual.len()], usual);
    assert_eq!(ended.len(), usual.len() + 1);
}
