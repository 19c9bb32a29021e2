//! Granite: Llama with extra factors on embeddings, scores, layer outputs and logits.
//!
//! Source: IBM Research 2024, "Granite 3.0 Language Models".

use super::llama::{self, DEFAULTS};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::ModelSpec;

/// Reads the specification of a Granite model.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let factor =
        |field: &str| -> Result<f64, Error> { Ok(config.optional_number(field)?.unwrap_or(1.0)) };
    let mut layers = llama::layers(config, DEFAULTS)?;
    for layer in &mut layers {
        layer.attention.scale = factor("attention_multiplier")?;
        layer.scale = factor("residual_multiplier")?;
    }
    let mut model = llama::model(config, DEFAULTS, layers)?;
    model.decoder.input_scale = factor("embedding_multiplier")?;
    model.head.scale = 1.0 / factor("logits_scaling")?;
    Ok(model)
}
