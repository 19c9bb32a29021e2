//! Derives the `config.json` that a GGUF file replaces.

use serde_json::{Map, Value, json};

use super::Metadata;
use super::architecture::GgufArchitecture;
use crate::Error;

/// Derives the configuration from a file's metadata. `has_tensor` tells whether the file has a
/// tensor.
///
/// Fails if a value is missing, or if the file scales positions in a way that is not supported.
pub(super) fn derive(
    architecture: &GgufArchitecture,
    metadata: &Metadata<'_>,
    has_tensor: impl Fn(&str) -> bool,
) -> Result<Map<String, Value>, Error> {
    // Llama 3 scales planes individually, and only this tensor holds the factors.
    if has_tensor("rope_freqs.weight") {
        return Err(metadata.refused(
            "its rotation is scaled by the tensor `rope_freqs.weight`; take the model's safetensors"
                .to_owned(),
        ));
    }
    let size = |name: &str| metadata.size(&architecture.key(name));
    let optional_size = |name: &str| metadata.optional_size(&architecture.key(name));
    let tokens = metadata.optional_texts("tokenizer.ggml.tokens")?;
    let vocabulary = match optional_size("vocab_size")? {
        Some(size) => Some(size),
        None => tokens.map(|tokens| tokens.len()),
    };
    let id = |name: &str| metadata.optional_size(&format!("tokenizer.ggml.{name}_token_id"));
    let head_dim = match optional_size("attention.key_length")? {
        Some(size) => Some(size),
        None => optional_size("rope.dimension_count")?,
    };
    let config = json!({
        "model_type": architecture.model_type,
        "hidden_size": size("embedding_length")?,
        "intermediate_size": size("feed_forward_length")?,
        "num_hidden_layers": size("block_count")?,
        "num_attention_heads": architecture.heads(metadata)?,
        "num_key_value_heads": architecture.kv_heads(metadata)?,
        "head_dim": head_dim,
        "max_position_embeddings": size("context_length")?,
        "vocab_size": vocabulary,
        "hidden_act": "silu",
        "rms_norm_eps": metadata.optional_number(&architecture.key("attention.layer_norm_rms_epsilon"))?,
        "rope_theta": metadata.optional_number(&architecture.key("rope.freq_base"))?,
        "rope_scaling": rope_scaling(architecture, metadata)?,
        // llama.cpp stores the output projection only if it differs from the embedding.
        "tie_word_embeddings": !has_tensor("output.weight"),
        "bos_token_id": id("bos")?,
        "eos_token_id": id("eos")?,
        "pad_token_id": id("padding")?,
    });
    let Value::Object(fields) = config else {
        return Ok(Map::new());
    };
    Ok(fields)
}

/// Returns the scaling of the rotation in the form of `rope_scaling`, or `None` if there is none.
fn rope_scaling(
    architecture: &GgufArchitecture,
    metadata: &Metadata<'_>,
) -> Result<Option<Value>, Error> {
    let kind = metadata.optional_text(&architecture.key("rope.scaling.type"))?;
    let Some(kind) = kind.filter(|kind| *kind != "none") else {
        return Ok(None);
    };
    let factor = metadata.optional_number(&architecture.key("rope.scaling.factor"))?;
    let original =
        metadata.optional_size(&architecture.key("rope.scaling.original_context_length"))?;
    Ok(Some(json!({
        "rope_type": kind,
        "factor": factor,
        "original_max_position_embeddings": original,
    })))
}
