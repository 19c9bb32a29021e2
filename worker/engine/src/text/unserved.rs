//! Explains why a model's tokenizer cannot be read, and how to convert it into one that can.

use std::path::Path;

use super::class::TokenizerClass;
use crate::Error;
use crate::model::disk;

/// Files of tokenizers that only transformers reads: a file name or extension, and a description.
const KINDS: &[(&str, &str)] = &[
    ("vocab.txt", "a WordPiece vocabulary"),
    (".tiktoken", "a tiktoken vocabulary"),
    ("tekken.json", "a Tekken vocabulary"),
    ("tokenizer.model", "a SentencePiece model"),
    ("spiece.model", "a SentencePiece model"),
    ("sentencepiece.bpe.model", "a SentencePiece model"),
    ("merges.txt", "the merges of a byte-pair encoding"),
    ("vocab.json", "a vocabulary without merges"),
];

/// Classes for which transformers cannot produce a `tokenizer.json`.
const WITHOUT_JSON: &[&str] = &[
    "BioGptTokenizer",
    "CTRLTokenizer",
    "GPTSw3Tokenizer",
    "XLMTokenizer",
];

/// Returns the error for a folder without a tokenizer that whence can read.
pub(super) fn error(folder: &Path, class: &TokenizerClass) -> Error {
    let is_marian = class.name() == "MarianTokenizer";
    match kind_of(folder) {
        Some((file, kind)) if !is_marian => of_kind(folder, &file, kind, class),
        _ => Error::ModelRefused {
            path: folder.to_owned(),
            reason: if is_marian {
                "has no tokenizer: Marian needs `source.spm`, `target.spm` and `vocab.json`"
                    .to_owned()
            } else {
                "has no tokenizer: `tokenizer.json` is missing".to_owned()
            },
            next: "copy the tokenizer's files from where the model is from".to_owned(),
        },
    }
}

/// Returns the error for a folder whose tokenizer, in `file`, is a tiktoken vocabulary.
pub(super) fn tiktoken(folder: &Path, file: &str) -> Error {
    let reason = format!(
        "has a tiktoken vocabulary as its tokenizer (`{file}`), which whence does not read"
    );
    Error::ModelRefused {
        path: folder.to_owned(),
        reason,
        next: format!("pip install tiktoken, then {}", how_to_make(folder)),
    }
}

/// Returns whether `bytes` are a tiktoken vocabulary, whose lines are a token in base64 and its
/// rank.
pub(super) fn is_tiktoken(bytes: &[u8]) -> bool {
    let line = bytes
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let Some((token, rank)) = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.trim_end().split_once(' '))
    else {
        return false;
    };
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    !token.is_empty() && token.chars().all(is_base64) && rank.parse::<u32>().is_ok()
}

fn of_kind(folder: &Path, file: &str, kind: &str, class: &TokenizerClass) -> Error {
    // Llama 3's original files use the same name, `tokenizer.model`, as Llama 2's SentencePiece
    // model.
    let holds_tiktoken = || disk::read(&folder.join(file)).is_ok_and(|bytes| is_tiktoken(&bytes));
    if file.ends_with(".tiktoken") || (file == "tokenizer.model" && holds_tiktoken()) {
        return tiktoken(folder, file);
    }
    let of_class = match class.name() {
        "" => String::new(),
        class => format!(" of `{class}`"),
    };
    let next = if WITHOUT_JSON.contains(&class.name()) {
        "transformers has no tokenizer.json of this class either; take a model with one".to_owned()
    } else {
        format!("make a tokenizer.json: {}", how_to_make(folder))
    };
    Error::ModelRefused {
        path: folder.to_owned(),
        reason: format!(
            "has {kind}{of_class} as its tokenizer (`{file}`), which whence does not read"
        ),
        next,
    }
}

fn how_to_make(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "python -c \"from transformers import AutoTokenizer as T; \
         T.from_pretrained('{folder}').save_pretrained('{folder}')\""
    )
}

/// Returns the first file that is recognizable by name as a tokenizer that only transformers
/// reads, and what kind it is.
fn kind_of(folder: &Path) -> Option<(String, &'static str)> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    KINDS.iter().find_map(|&(end, kind)| {
        let is_it = |name: &&String| *name == end || (end.starts_with('.') && name.ends_with(end));
        let name = names.iter().find(is_it)?;
        Some((name.clone(), kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tiktoken_vocabulary_is_told_from_a_sentencepiece_model() {
        assert!(is_tiktoken(b"IQ== 0\nIg== 1\n"));
        assert!(is_tiktoken(b"IQ== 0\r\n"));
        assert!(!is_tiktoken(b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02"));
        assert!(!is_tiktoken(b""));
        assert!(!is_tiktoken(b"the old house"));
    }
}
