//! Makes a translation model with a separate vocabulary and embedding per side from the committed
//! one, which shares them.
//!
//! It is the same model, but its source tokens have other ids. A token can also be left out, and is
//! then unknown to the source.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, safetensors};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixtures;

/// Unused rows at the end of the source's embedding, so that the two tables differ in size.
const SPARE_ROWS: u32 = 8;

/// The value that fills rows without a token. It is far from every token's embedding, so these rows
/// are never a nearest neighbor.
const FAR: f32 = 50.0;

/// Makes the model. The token with id `token` on the target side has the id `number(token)` on the
/// source side; for `None` it is left out there.
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
    // Index `of_target`, one past the shared table, stands for the row of `FAR` values.
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

/// Writes the weights. The source's table consists of the rows `rows` of the shared table.
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
