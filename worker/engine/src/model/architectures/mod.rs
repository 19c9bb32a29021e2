//! The supported architectures: one file each, or one for a family that differs only in fields.
//!
//! Each file turns a `config.json` into a [`ModelSpec`], with transformers' defaults for absent
//! fields. Whatever it cannot handle is refused by name. `fields` reads what many of them share.
//! `decoders` and `encoder_decoders` are the tables.

mod alibi;
mod architecture;
pub(crate) mod classes;
mod decoders;
mod encoder_decoders;
mod experts;
mod fields;
mod layer;
mod renaming;
mod rope;

mod bloom;
mod fairseq;
mod falcon;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod gptj;
mod mpt;
mod openai_gpt;
mod opt;
mod phi;

mod llama;

mod cohere;
mod dbrx;
mod deepseek;
mod deepseek_style;
mod ernie;
mod exaone;
mod gemma;
mod glm;
mod granite;
mod granite_moe;
mod hunyuan;
mod mistral;
mod olmo;
mod olmoe;
mod phi3;
mod qwen;
mod qwen_moe;
mod relatives;
mod smollm3;
mod stablelm;
mod starcoder2;
mod ungated;
mod wrappers;

mod bart;
mod bigbird_pegasus;
mod seamless;
mod t5;
mod t5gemma;

pub use architecture::Architecture;

use super::config::ConfigFile;
use super::spec::ModelSpec;
use crate::Error;

/// Every architecture, in the order `whence list models` shows them.
pub const ARCHITECTURES: &[Architecture] = &joined();

/// Joins the tables of both kinds.
const fn joined() -> [Architecture; decoders::TABLE.len() + encoder_decoders::TABLE.len()] {
    let mut all = [decoders::TABLE[0]; decoders::TABLE.len() + encoder_decoders::TABLE.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = if index < decoders::TABLE.len() {
            decoders::TABLE[index]
        } else {
            encoder_decoders::TABLE[index - decoders::TABLE.len()]
        };
        index += 1;
    }
    all
}

/// Reads the specification of the model whose `config.json` is `config`.
///
/// Fails if its `model_type` is not in [`ARCHITECTURES`], or if a field is missing or asks for
/// something that is not supported.
pub fn spec(config: &ConfigFile) -> Result<ModelSpec, Error> {
    let model_type = config.text("model_type")?;
    let Some(architecture) = ARCHITECTURES
        .iter()
        .find(|architecture| architecture.name == model_type)
    else {
        let (path, model_type) = (config.path().to_owned(), model_type.to_owned());
        return Err(Error::UnknownArchitecture { path, model_type });
    };
    (architecture.spec)(config)
}
