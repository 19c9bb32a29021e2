//! `vocab.json`, alone or with the `merges.txt` of a byte-level BPE.

use std::collections::HashMap;
use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::BPE;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

use super::added_tokens::AddedTokens;
use super::class::TokenizerClass;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::disk;

/// Tokenizer classes that read `vocab.json` and `merges.txt` as GPT-2 does. Others split texts
/// differently before they merge: Qwen by another regular expression, `BioGPT` with Moses' rules.
pub(super) const CLASSES: &[&str] = &[
    "GPT2Tokenizer",
    "CodeGenTokenizer",
    "BartTokenizer",
    "RobertaTokenizer",
    "LongformerTokenizer",
];

/// Those of them that put texts between `<s>` and `</s>`.
const FRAMED: &[&str] = &["BartTokenizer", "RobertaTokenizer", "LongformerTokenizer"];

/// Reads a vocabulary: tokens and their ids.
pub(super) fn read(path: &Path) -> Result<HashMap<String, u32>, Error> {
    let text = disk::read_text(path)?;
    serde_json::from_str(&text).map_err(|error| Error::ModelContent {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Builds the byte-level tokenizer of `class` in a folder with `vocab.json` and `merges.txt`.
///
/// Fails if one of them is damaged.
pub(super) fn byte_level(folder: &Path, class: &TokenizerClass) -> Result<Tokenizer, Error> {
    let ids = read(&folder.join("vocab.json"))?;
    let path = folder.join("merges.txt");
    let merges = merges(&path)?;
    let config = ConfigFile::read_optional(folder, "tokenizer_config.json")?;
    let next = ids.values().max().map_or(0, |largest| largest + 1);
    let added = AddedTokens::read(folder, &ids, next)?;
    let with_blank = config.flag_or("add_prefix_space", false)?;
    let (starts, ends) = frame(&config, class)?;
    let damaged = |error: tokenizers::Error| Error::ModelContent {
        path: path.clone(),
        reason: error.to_string(),
    };
    let model = BPE::builder()
        .vocab_and_merges(
            ids.into_iter().collect::<tokenizers::models::bpe::Vocab>(),
            merges,
        )
        .build()
        .map_err(damaged)?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(with_blank, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    let mut tokens: Vec<_> = added.ids().collect();
    tokens.sort_unstable_by_key(|(_, id)| *id);
    for (token, id) in tokens {
        let token = AddedToken::from(token, added.is_special(id)).normalized(false);
        if added.is_special(id) {
            tokenizer.add_special_tokens([token]).map_err(damaged)?;
        } else {
            tokenizer.add_tokens([token]).map_err(damaged)?;
        }
    }
    if starts.is_some() || ends.is_some() {
        let template = template(&tokenizer, starts.as_deref(), ends.as_deref());
        tokenizer.with_post_processor(Some(template.map_err(|reason| config.refused(reason))?));
    }
    Ok(tokenizer)
}

/// Reads merges, highest priority first, skipping the format's `#version` lines.
fn merges(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let text = disk::read_text(path)?;
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let pair = |line: &str| {
        let pair = line.split_once(' ').ok_or_else(|| Error::ModelContent {
            path: path.to_owned(),
            reason: format!("`{line}` is not a pair of tokens"),
        })?;
        Ok((pair.0.to_owned(), pair.1.to_owned()))
    };
    lines.map(pair).collect()
}

/// Returns the tokens that go before and after a text.
fn frame(
    config: &ConfigFile,
    class: &TokenizerClass,
) -> Result<(Option<String>, Option<String>), Error> {
    let is_framed = FRAMED.contains(&class.name());
    let token = |name: &str, usual: &str| {
        let value = config.fields().get(name);
        let own = value.and_then(super::added_tokens::content);
        own.unwrap_or(usual).to_owned()
    };
    let starts = is_framed || config.flag_or("add_bos_token", false)?;
    let ends = is_framed || config.flag_or("add_eos_token", false)?;
    let usual = |framed: &'static str| if is_framed { framed } else { "<|endoftext|>" };
    Ok((
        starts.then(|| token("bos_token", usual("<s>"))),
        ends.then(|| token("eos_token", usual("</s>"))),
    ))
}

fn template(
    tokenizer: &Tokenizer,
    starts: Option<&str>,
    ends: Option<&str>,
) -> Result<TemplateProcessing, String> {
    let mut special = Vec::new();
    for token in starts.into_iter().chain(ends) {
        let id = tokenizer.token_to_id(token);
        let id = id.ok_or_else(|| format!("its vocabulary has no `{token}`"))?;
        special.push((token.to_owned(), id));
    }
    let sequence: Vec<_> = starts.into_iter().chain(["$A"]).chain(ends).collect();
    TemplateProcessing::builder()
        .try_single(sequence)?
        .special_tokens(special)
        .build()
        .map_err(|error| error.to_string())
}
