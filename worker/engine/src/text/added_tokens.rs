//! Tokens that were added to a vocabulary: special tokens, language codes, a model's own markers.
//!
//! Several files of a model can define them, and some models have only one of those files. Added
//! tokens are split off a text before the tokenizer's own model (BPE, unigram, …) sees it.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use crate::Error;
use crate::model::config::ConfigFile;

/// How many `<extra_id_…>` tokens T5 adds when no file gives the number.
const T5_EXTRA_IDS: usize = 100;

/// Fields that each hold a single special token.
const NAMES: &[&str] = &[
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
];

/// The added tokens of a tokenizer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AddedTokens {
    ids: HashMap<String, u32>,
    special: Vec<u32>,
}

/// One part of a split text: an added token, or the text between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'t> {
    /// Byte offset of the part in the text.
    pub(super) start: usize,
    pub(super) text: &'t str,
    /// Id of the added token; `None` for text.
    pub(super) token: Option<u32>,
}

impl Part<'_> {
    /// Returns the part's byte range in the text: its start, and its end (exclusive).
    pub(super) fn range(&self) -> (usize, usize) {
        (self.start, self.start + self.text.len())
    }
}

impl AddedTokens {
    /// Collects those of `tokens` for which `id_of` finds an id, and marks them as special.
    pub(super) fn special(tokens: &[&str], id_of: impl Fn(&str) -> Option<u32>) -> Self {
        let known = |token: &&str| Some(((*token).to_owned(), id_of(token)?));
        let ids: HashMap<_, _> = tokens.iter().filter_map(known).collect();
        Self {
            special: ids.values().copied().collect(),
            ids,
        }
    }

    /// Reads the tokens that the files in `folder` add to the vocabulary `ids`. Tokens without an
    /// id get the next free ones from `next` on, in the order they are listed.
    pub(super) fn read(
        folder: &Path,
        ids: &HashMap<String, u32>,
        mut next: u32,
    ) -> Result<Self, Error> {
        let config = ConfigFile::read_optional(folder, "tokenizer_config.json")?;
        let map = ConfigFile::read_optional(folder, "special_tokens_map.json")?;
        let own = ConfigFile::read_optional(folder, "added_tokens.json")?;
        let mut added = Self::numbered(&config, &own)?;
        for token in in_order(folder, &config, &map)? {
            let known = ids.get(&token).or_else(|| added.ids.get(&token)).copied();
            let id = known.unwrap_or(next);
            next = next.max(id + 1);
            added.ids.insert(token, id);
            added.special.push(id);
        }
        Ok(added)
    }

    /// Reads the tokens that are listed with their ids, in `added_tokens.json` and in the
    /// `added_tokens_decoder` of `tokenizer_config.json`.
    fn numbered(config: &ConfigFile, own: &ConfigFile) -> Result<Self, Error> {
        let mut added = Self::default();
        let numbered = own.fields().iter().map(|(token, id)| (token.as_str(), id));
        for (token, id) in numbered {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or_else(|| own.refused(format!("`{token}` has no number")))?;
            added.ids.insert(token.to_owned(), id);
        }
        if let Some(Value::Object(decoder)) = config.fields().get("added_tokens_decoder") {
            for (id, token) in decoder {
                if let (Ok(id), Some(content)) = (id.parse(), token["content"].as_str()) {
                    added.ids.insert(content.to_owned(), id);
                    if token["special"] == Value::Bool(true) {
                        added.special.push(id);
                    }
                }
            }
        }
        Ok(added)
    }

    /// Returns every added token with its id.
    pub(super) fn ids(&self) -> impl Iterator<Item = (String, u32)> + '_ {
        self.ids.iter().map(|(token, id)| (token.clone(), *id))
    }

    /// Returns whether a token has a special meaning instead of standing for text.
    pub(super) fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// Returns the ids of the tokens with a special meaning.
    pub(super) fn special_ids(&self) -> Vec<u32> {
        self.special.clone()
    }

    /// Splits a text at its added tokens. If several begin at the same place, the longest wins.
    pub(super) fn split<'t>(&self, text: &'t str) -> Vec<Part<'t>> {
        let mut parts = Vec::new();
        let mut done = 0;
        loop {
            let rest = &text[done..];
            let first = self
                .ids
                .iter()
                .filter(|(token, _)| !token.is_empty())
                .filter_map(|(token, id)| Some((rest.find(token.as_str())?, token, id)))
                .min_by_key(|(start, token, _)| (*start, usize::MAX - token.len()));
            let Some((start, token, id)) = first else {
                break;
            };
            if start > 0 {
                parts.push(Part {
                    start: done,
                    text: &rest[..start],
                    token: None,
                });
            }
            parts.push(Part {
                start: done + start,
                text: &rest[start..start + token.len()],
                token: Some(*id),
            });
            done += start + token.len();
        }
        if done < text.len() {
            parts.push(Part {
                start: done,
                text: &text[done..],
                token: None,
            });
        }
        parts
    }
}

/// Returns the tokens that are listed without an id, in the order in which transformers assigns
/// ids.
fn in_order(folder: &Path, config: &ConfigFile, map: &ConfigFile) -> Result<Vec<String>, Error> {
    let mut named: Vec<String> = Vec::new();
    for file in [map, config] {
        named.extend(single(file, NAMES));
        named.extend(listed(file));
    }
    // fairseq puts the mask token after the language codes.
    named.extend(single(map, &["mask_token"]));
    named.extend(single(config, &["mask_token"]));
    if folder.join("spiece.model").exists() && !named.iter().any(|t| t.contains("extra_id")) {
        let count = config.optional_size("extra_ids")?.unwrap_or(T5_EXTRA_IDS);
        named.extend((0..count).rev().map(|index| format!("<extra_id_{index}>")));
        return Ok(named);
    }
    // T5 numbers its `<extra_id_…>` tokens backwards: the last one gets the lowest id.
    let (extra, mut others): (Vec<_>, Vec<_>) = named
        .into_iter()
        .partition(|token| token.starts_with("<extra_id_"));
    others.extend(extra.into_iter().rev());
    Ok(others)
}

/// Returns the tokens in the fields `names` of a file, skipping fields the file does not have.
fn single(file: &ConfigFile, names: &[&str]) -> Vec<String> {
    let token = |name: &&str| Some(content(file.fields().get(*name)?)?.to_owned());
    names.iter().filter_map(token).collect()
}

/// Returns the tokens in a file's `additional_special_tokens` and `extra_special_tokens`.
pub(super) fn listed(file: &ConfigFile) -> Vec<String> {
    let mut tokens = Vec::new();
    for name in ["additional_special_tokens", "extra_special_tokens"] {
        let list: Vec<&Value> = match file.fields().get(name) {
            Some(Value::Array(list)) => list.iter().collect(),
            // Files of transformers 5 may map a name to each token.
            Some(Value::Object(named)) => named.values().collect(),
            _ => continue,
        };
        tokens.extend(list.into_iter().filter_map(content).map(str::to_owned));
    }
    tokens
}

/// Returns the text of a token that is written either as a string or as an object with its text in
/// `content`.
pub(super) fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_the_first_added_tokens_is_split_off() {
        let ids = [("<s>", 1), ("<s>x", 2), ("</s>", 3)];
        let added = AddedTokens {
            ids: ids.map(|(token, id)| (token.to_owned(), id)).into(),
            special: Vec::new(),
        };
        let part = |start, text, token| Part { start, text, token };
        assert_eq!(
            added.split("a<s>xb</s><s>"),
            [
                part(0, "a", None),
                part(1, "<s>x", Some(2)),
                part(5, "b", None),
                part(6, "</s>", Some(3)),
                part(10, "<s>", Some(1)),
            ]
        );
    }
}
