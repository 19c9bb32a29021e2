//! The text part of models for images and text: Gemma 3 and Mistral 3.
//!
//! The configuration of that model is the object `text_config`. The names of its tensors begin
//! differently, and the tensors of the image encoder are skipped.
//!
//! Sources: Gemma team 2025, <https://arxiv.org/abs/2503.19786>; Mistral AI 2025,
//! <https://mistral.ai/news/mistral-small-3-1>.

use super::{gemma, mistral};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::{HeadWeight, ModelSpec, Surroundings};

/// Beginnings of names, as in a model of text alone and as the releases of transformers write them.
const RENAMED: &[(&str, &str)] = &[
    ("model.", "language_model.model."),
    ("model.", "model.language_model."),
    ("lm_head.", "language_model.lm_head."),
];

/// Beginnings of the names of tensors that only images go through.
const OF_IMAGES: &[&str] = &[
    "vision_tower.",
    "multi_modal_projector.",
    "model.vision_tower.",
    "model.multi_modal_projector.",
];

/// Reads the specification of a model of text.
type Read = fn(&ConfigFile) -> Result<ModelSpec, Error>;

/// Reads the specification of the text part of a Gemma 3 model.
pub(super) fn gemma3(config: &ConfigFile) -> Result<ModelSpec, Error> {
    text_part(config, &[("gemma3_text", gemma::gemma3)])
}

/// Reads the specification of the text part of a Mistral 3 model.
pub(super) fn mistral3(config: &ConfigFile) -> Result<ModelSpec, Error> {
    text_part(
        config,
        &[
            ("mistral", mistral::mistral),
            ("ministral3", mistral::ministral3),
        ],
    )
}

/// Reads the model of text, whose `model_type` has to be one of `served`.
fn text_part(config: &ConfigFile, served: &[(&str, Read)]) -> Result<ModelSpec, Error> {
    let Some(text) = config.object("text_config")? else {
        return Err(config.refused("`text_config` is missing".to_owned()));
    };
    let model_type = text.text("model_type")?;
    let Some((_, read)) = served.iter().find(|(name, _)| *name == model_type) else {
        return Err(config.refused(format!(
            "`text_config` describes a `{model_type}`, which is not supported inside this model"
        )));
    };
    let mut model = read(&text)?;
    // The outer configuration decides whether the head is the embedding. Also where it does, a
    // separate head that the checkpoint has is used, as in transformers.
    model.head.weight = match (
        model.head.weight,
        config.flag_or("tie_word_embeddings", true)?,
    ) {
        (HeadWeight::Own(name) | HeadWeight::OwnOrTied(name), true) => HeadWeight::OwnOrTied(name),
        (HeadWeight::Own(name) | HeadWeight::OwnOrTied(name), false) => HeadWeight::Own(name),
    };
    model.surroundings = Surroundings {
        skipped: OF_IMAGES.iter().map(|&name| name.to_owned()).collect(),
        renamed: RENAMED.to_vec(),
    };
    Ok(model)
}
