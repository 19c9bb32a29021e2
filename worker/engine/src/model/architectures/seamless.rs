//! The text-to-text translation of `SeamlessM4T`: NLLB with other names. Speech is neither read nor
//! written.
//!
//! Sources: Seamless Communication 2023, <https://arxiv.org/abs/2308.11596> and
//! <https://arxiv.org/abs/2312.05187>.

use super::{bart, renaming};
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::spec::ModelSpec;

/// Beginnings of the names of tensors that only speech goes through.
const OF_SPEECH: &[&str] = &["speech_encoder.", "t2u_model.", "vocoder."];

/// Parts of names in NLLB and here.
const RENAMED: &[(&str, &str)] = &[
    ("model.encoder.", "text_encoder."),
    ("model.decoder.", "text_decoder."),
    ("model.shared.", "shared."),
    (".encoder_attn", ".cross_attention"),
    (".final_layer_norm", ".ffn_layer_norm"),
    (".fc", ".ffn.fc"),
];

/// Reads the specification of the part that translates text to text.
pub(super) fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let mut spec = bart::seamless(config)?;
    renaming::rename(&mut spec, &|name| {
        let renamed = RENAMED.iter();
        renamed.fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
    });
    let skipped = OF_SPEECH.iter().map(|&name| name.to_owned());
    spec.surroundings.skipped = skipped.collect();
    Ok(spec)
}
