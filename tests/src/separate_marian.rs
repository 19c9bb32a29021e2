//! The translation model with a vocabulary and an embedding a side, made of the committed one.
//!
//! It is the same model: only the numbers of its source tokens are others, and where a token is left
//! out, the source knows it no more.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, safetensors};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixtures;

/// Rows of the source's embedding behind those of its tokens, so that the tables differ in size.
const SPARE_ROWS: u32 = 8;

/// What is in rows without a token: far from every token, so that none has them for a neighbour.
const FAR: f32 = 50.0;

/// Makes the model whose source calls `number(token)` what the target calls `token`.
///
/// # Errors
///
/// If the committed model is missing or damaged, or the folder cannot be written.
pub fn make(number: impl Fn(u32) -> Option<u32>) -> Result<TempDir> {
    let original = fixtures::marian();
    let folder = tempfile::tempdir()?;
    for file in ["generation_config.json", "source.spm", "target.spm"] {
        fs::copy(original.join(file), folder.path().join(file))?;
    }
    fs::copy(
        original.join("vocab.json"),
        folder.path().join("target_vocab.json"),
    )?;
    let target: BTreeMap<String, u32> = read(&original.join("vocab.json"))?;
    let known = |(token, id): (&String, &u32)| Some((token.clone(), number(*id)?));
    let source: BTreeMap<_, _> = target.iter().filter_map(known).collect();
    write(&folder.path().join("vocab.json"), &json!(source))?;
    let mut config: Value = read(&original.join("tokenizer_config.json"))?;
    config["separate_vocabs"] = json!(true);
    write(&folder.path().join("tokenizer_config.json"), &config)?;

    let last = source.values().max().context("the source has no tokens")?;
    let of_target = u32::try_from(target.len())?;
    // Row `of_target` is the far one.
    let mut rows = vec![of_target; (last + 1 + SPARE_ROWS) as usize];
    for id in target.values() {
        if let Some(own) = number(*id) {
            rows[own as usize] = *id;
        }
    }
    let mut config: Value = read(&original.join("config.json"))?;
    config["share_encoder_decoder_embeddings"] = json!(false);
    config["vocab_size"] = json!(rows.len());
    write(&folder.path().join("config.json"), &config)?;
    separate_tables(&original, folder.path(), rows)?;
    Ok(folder)
}

/// Writes the weights with `rows` of the shared table as the source's.
fn separate_tables(original: &Path, folder: &Path, rows: Vec<u32>) -> Result<()> {
    const WEIGHTS: &str = "model.safetensors";
    let mut tensors = safetensors::load(original.join(WEIGHTS), &Device::Cpu)?;
    let shared = tensors.remove("model.shared.weight");
    let shared = shared.context("the model has no embedding")?;
    let far = Tensor::full(FAR, (1, shared.dim(1)?), &Device::Cpu)?.to_dtype(DType::F16)?;
    let source = Tensor::cat(&[&shared, &far], 0)?;
    let source = source.index_select(&Tensor::new(rows, &Device::Cpu)?, 0)?;
    tensors.insert("model.encoder.embed_tokens.weight".to_owned(), source);
    tensors.insert("model.decoder.embed_tokens.weight".to_owned(), shared);
    Ok(safetensors::save(&tensors, folder.join(WEIGHTS))?)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn write(path: &Path, value: &Value) -> Result<()> {
    Ok(fs::write(path, value.to_string())?)
}
