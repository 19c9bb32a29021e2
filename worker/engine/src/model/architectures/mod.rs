//! The architectures we can load: one file each, or one for a family that differs in fields only.
//!
//! A file reads `config.json` into a [`ModelSpec`], with transformers' defaults for what the file
//! leaves out, and refuses by name what it cannot serve. `fields` reads what many of them share.

mod fields;
mod rope;

mod gpt2;
mod llama;

mod bart;
mod t5;

use super::config::ConfigFile;
use super::spec::ModelSpec;
use crate::Error;

/// A family of models we can load.
pub struct Architecture {
    /// `model_type` of its `config.json`.
    pub name: &'static str,
    /// One line for `whence list models`.
    pub summary: &'static str,
    spec: fn(&ConfigFile) -> Result<ModelSpec, Error>,
}

/// Every architecture, in the order `whence list models` shows them.
pub const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "gpt2",
        summary: "decoder-only: layer norm, learned positions, GELU (GPT-2, DistilGPT-2)",
        spec: gpt2::spec,
    },
    Architecture {
        name: "llama",
        summary: "decoder-only: RMS norm, rotary positions, grouped-query attention, SwiGLU (Llama, SmolLM2)",
        spec: llama::spec,
    },
    Architecture {
        name: "bart",
        summary: "encoder-decoder: post-norm, learned positions, GELU (BART)",
        spec: bart::bart,
    },
    Architecture {
        name: "m2m_100",
        summary: "encoder-decoder: pre-norm, sinusoidal positions, ReLU (M2M-100, NLLB)",
        spec: bart::m2m_100,
    },
    Architecture {
        name: "marian",
        summary: "encoder-decoder: post-norm, sinusoidal positions, swish (OPUS-MT)",
        spec: bart::marian,
    },
    Architecture {
        name: "mbart",
        summary: "encoder-decoder: pre-norm, learned positions, GELU (mBART, mBART-50)",
        spec: bart::mbart,
    },
    Architecture {
        name: "mt5",
        summary: "encoder-decoder: T5 with gated GELU and a head of its own (mT5)",
        spec: t5::mt5,
    },
    Architecture {
        name: "pegasus",
        summary: "encoder-decoder: pre-norm, sinusoidal positions, ReLU or GELU (Pegasus)",
        spec: bart::pegasus,
    },
    Architecture {
        name: "t5",
        summary: "encoder-decoder: RMS norm, relative position buckets (T5, FLAN-T5)",
        spec: t5::t5,
    },
    Architecture {
        name: "umt5",
        summary: "encoder-decoder: mT5 with position buckets in every layer (UMT5)",
        spec: t5::umt5,
    },
];

/// Reads the specification of the model whose `config.json` is `config`.
///
/// Fails if its `model_type` is not in [`ARCHITECTURES`], or a field is missing or means what we
/// do not have.
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
