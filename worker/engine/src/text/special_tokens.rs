//! Tokens with a special meaning, resolved in Inseq's order.
//!
//! `config.json` takes precedence over the tokenizer's own files. A role that neither names falls
//! back to another special token, so that every model has a token for each role that the methods
//! need.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::added_tokens::{content, listed};
use super::codec::Codec;
use crate::Error;
use crate::model::ModelFiles;
use crate::model::config::ConfigFile;
use crate::sides::Side;

/// The special tokens of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text; in encoder-decoder models the decoder's start token.
    pub bos: Option<u32>,
    /// Each of these ends a text. Where one has to be inserted, it is the first.
    pub eos: Vec<u32>,
    /// The padding token.
    pub pad: u32,
    /// Stands for anything that is not in the vocabulary; the baseline of several methods.
    pub unk: u32,
    /// The token that the decoder of an encoder-decoder model starts from.
    pub decoder_start: Option<u32>,
}

impl SpecialTokens {
    pub(super) fn resolve(
        files: &ModelFiles,
        config: &Value,
        id_of: impl Fn(&str) -> Option<u32>,
    ) -> Result<Self, Error> {
        let folder = files.text_folder();
        let own = ConfigFile::read_optional(folder, "tokenizer_config.json")?.to_value();
        let map = ConfigFile::read_optional(folder, "special_tokens_map.json")?.to_value();
        let named = |role: &str, usual: &[&str]| {
            let name = content(&own[role]).or_else(|| content(&map[role]));
            let usual = || usual.iter().find_map(|token| id_of(token));
            name.and_then(&id_of).or_else(usual)
        };
        let unk = match files.gguf() {
            Some(gguf) => (gguf
                .metadata()
                .optional_size("tokenizer.ggml.unknown_token_id")?)
            .and_then(|id| u32::try_from(id).ok()),
            None => None,
        };
        let unk = unk.or_else(|| named("unk_token", &["<unk>", "[UNK]"]));
        let eos = ids(&config["eos_token_id"]);
        let pad = ids(&config["pad_token_id"])
            .first()
            .copied()
            .or_else(|| named("pad_token", &["<pad>", "[PAD]"]));
        // Many decoder-only models have no padding token and use an end token instead.
        let pad = pad.or_else(|| eos.first().copied());
        let Some(pad) = pad.or_else(|| named("eos_token", &["</s>"])) else {
            return Err(Error::ModelContent {
                path: files.path().to_owned(),
                reason: "neither its configuration nor its tokenizer names an `eos` or `pad` token"
                    .to_owned(),
            });
        };
        let decoder_start = ids(&config["decoder_start_token_id"]).first().copied();
        Ok(Self {
            bos: decoder_start.or_else(|| ids(&config["bos_token_id"]).first().copied()),
            eos: if eos.is_empty() {
                vec![named("eos_token", &["</s>"]).unwrap_or(pad)]
            } else {
                eos
            },
            pad,
            unk: unk.unwrap_or(pad),
            decoder_start,
        })
    }
}

/// Returns the tokens of `codec` that stand for no text, as the tokenizer itself defines them:
/// those that its files name, which are transformers' `all_special_ids`, and `pad` if the files
/// name no padding token.
///
/// `config.json` is ignored on purpose. With a tokenizer that the model was not trained with, an
/// id that `config.json` calls special may be an ordinary token.
pub(super) fn textless(files: &ModelFiles, codec: &dyn Codec, pad: u32) -> Result<Vec<u32>, Error> {
    let named = named(files, |id| codec.token(id))?;
    let mut tokens: Vec<String> = named.values().cloned().collect();
    for file in ["special_tokens_map.json", "tokenizer_config.json"] {
        tokens.extend(listed(&ConfigFile::read_optional(
            files.text_folder(),
            file,
        )?));
    }
    let mut ids: Vec<u32> = tokens.iter().filter_map(|token| codec.id(token)).collect();
    // A `tokenizer.json` may mark more tokens as special than the other files name; Llama 3's
    // marks some hundred reserved ones. They count only if the files name none. Without a
    // `tokenizer.json`, the vocabulary marks the tokens that transformers' classes name.
    if ids.is_empty() || !files.text_folder().join("tokenizer.json").exists() {
        ids.extend(codec.special_ids());
    }
    if !named.contains_key("pad_token") {
        ids.push(pad);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Returns the part of `config` that applies to `side` if each side has its own vocabulary. The
/// model says where a target starts and ends; each vocabulary says the rest.
pub(super) fn of_own_vocabulary(config: &Value, side: Side) -> Value {
    match side {
        Side::Source => Value::Null,
        Side::Target => json!({
            "eos_token_id": config["eos_token_id"],
            "bos_token_id": config["bos_token_id"],
            "decoder_start_token_id": config["decoder_start_token_id"],
        }),
    }
}

/// Returns the special tokens by their names in the tokenizer's configuration, such as
/// `bos_token`. Chat templates use these names.
pub(super) fn named(
    files: &ModelFiles,
    token_of: impl Fn(u32) -> Option<String>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut tokens = BTreeMap::new();
    if let Some(gguf) = files.gguf() {
        for (name, key) in [
            ("bos_token", "bos"),
            ("eos_token", "eos"),
            ("unk_token", "unknown"),
            ("pad_token", "padding"),
        ] {
            let key = format!("tokenizer.ggml.{key}_token_id");
            let id = gguf.metadata().optional_size(&key)?;
            let token = id.and_then(|id| token_of(u32::try_from(id).ok()?));
            tokens.extend(token.map(|token| (name.to_owned(), token)));
        }
    }
    for file in ["special_tokens_map.json", "tokenizer_config.json"] {
        let file = ConfigFile::read_optional(files.text_folder(), file)?;
        let named = file.fields().iter();
        let named = named.filter(|(name, _)| name.ends_with("_token"));
        tokens.extend(
            named.filter_map(|(name, value)| Some((name.clone(), content(value)?.to_owned()))),
        );
    }
    Ok(tokens)
}

/// Returns the ids in a field that holds one id, a list of them, or nothing.
fn ids(value: &Value) -> Vec<u32> {
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(ids) => ids.iter().filter_map(one).collect(),
        value => one(value).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_roles_fall_back_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let files = ModelFiles::open(folder.path()).unwrap();
        let resolve = |config: Value| SpecialTokens::resolve(&files, &config, |_| None);
        let special = resolve(json!({"eos_token_id": [5, 6]})).unwrap();
        assert_eq!(
            (special.eos, special.pad, special.unk, special.bos),
            (vec![5, 6], 5, 5, None)
        );
        let special =
            resolve(json!({"eos_token_id": 0, "pad_token_id": 9, "decoder_start_token_id": 9}))
                .unwrap();
        assert_eq!(
            (special.eos, special.pad, special.unk, special.bos),
            (vec![0], 9, 9, Some(9))
        );
        assert!(resolve(json!({})).is_err());
    }
}
