//! The supported architectures: one file each, or one for a family that differs only in fields.
//!
//! Each file turns a `config.json` into a [`ModelSpec`], with transformers' defaults for absent
//! fields. Whatever it cannot handle is refused by name. `fields` reads what many of them share.

mod alibi;
pub(crate) mod classes;
mod fields;
mod layer;
mod rope;

mod bloom;
mod fairseq;
mod falcon;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod gptj;
mod mpt;
mod opt;
mod phi;

mod llama;

mod cohere;
mod gemma;
mod granite;
mod mistral;
mod olmo;
mod phi3;
mod qwen;
mod smollm3;
mod stablelm;
mod starcoder2;

mod bart;
mod t5;

use super::config::ConfigFile;
use super::spec::ModelSpec;
use crate::Error;

/// A family of models that can be loaded.
pub struct Architecture {
    /// The `model_type` in its `config.json`.
    pub name: &'static str,
    /// One line for `whence list models`.
    pub summary: &'static str,
    spec: fn(&ConfigFile) -> Result<ModelSpec, Error>,
}

/// Every architecture, in the order `whence list models` shows them.
pub const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        name: "biogpt",
        summary: "decoder-only: layer norm, learned positions, scaled embeddings, GELU (BioGPT)",
        spec: fairseq::biogpt,
    },
    Architecture {
        name: "bloom",
        summary: "decoder-only: layer norm, slopes over distance, GELU (BLOOM)",
        spec: bloom::spec,
    },
    Architecture {
        name: "cohere",
        summary: "decoder-only: parallel, layer norm, rotary positions, SwiGLU, scaled logits (Command R)",
        spec: cohere::spec,
    },
    Architecture {
        name: "falcon",
        summary: "decoder-only: parallel, layer norm, rotary positions or slopes, GELU (Falcon)",
        spec: falcon::spec,
    },
    Architecture {
        name: "gemma",
        summary: "decoder-only: RMS norm, rotary positions, gated GELU, scaled embeddings (Gemma)",
        spec: gemma::gemma,
    },
    Architecture {
        name: "gemma2",
        summary: "decoder-only: Gemma with norms on both sides, bounded scores, alternating windows (Gemma 2)",
        spec: gemma::gemma2,
    },
    Architecture {
        name: "gemma3_text",
        summary: "decoder-only: Gemma 2 with normalized queries and keys (Gemma 3, text)",
        spec: gemma::gemma3,
    },
    Architecture {
        name: "gpt2",
        summary: "decoder-only: layer norm, learned positions, GELU (GPT-2, DistilGPT-2)",
        spec: gpt2::gpt2,
    },
    Architecture {
        name: "gpt_bigcode",
        summary: "decoder-only: GPT-2 with one key head (StarCoder, SantaCoder)",
        spec: gpt2::gpt_bigcode,
    },
    Architecture {
        name: "gpt_neo",
        summary: "decoder-only: layer norm, learned positions, alternating windows, GELU (GPT-Neo)",
        spec: gpt_neo::spec,
    },
    Architecture {
        name: "gpt_neox",
        summary: "decoder-only: parallel, layer norm, rotary positions, GELU (Pythia, GPT-NeoX)",
        spec: gpt_neox::spec,
    },
    Architecture {
        name: "gptj",
        summary: "decoder-only: parallel, layer norm, rotary positions, GELU (GPT-J)",
        spec: gptj::spec,
    },
    Architecture {
        name: "granite",
        summary: "decoder-only: Llama with multipliers (Granite)",
        spec: granite::spec,
    },
    Architecture {
        name: "llama",
        summary: "decoder-only: RMS norm, rotary positions, grouped-query attention, SwiGLU (Llama, SmolLM2)",
        spec: llama::spec,
    },
    Architecture {
        name: "mistral",
        summary: "decoder-only: Llama with a window (Mistral)",
        spec: mistral::mistral,
    },
    Architecture {
        name: "mixtral",
        summary: "decoder-only: Mistral with a mixture of experts (Mixtral)",
        spec: mistral::mixtral,
    },
    Architecture {
        name: "mpt",
        summary: "decoder-only: layer norm, slopes over distance, GELU, no biases (MPT)",
        spec: mpt::spec,
    },
    Architecture {
        name: "olmo",
        summary: "decoder-only: Llama with layer norms without weights (OLMo)",
        spec: olmo::olmo,
    },
    Architecture {
        name: "olmo2",
        summary: "decoder-only: Llama with norms behind attention and network (OLMo 2)",
        spec: olmo::olmo2,
    },
    Architecture {
        name: "opt",
        summary: "decoder-only: layer norm, learned positions, ReLU (OPT)",
        spec: opt::spec,
    },
    Architecture {
        name: "phi",
        summary: "decoder-only: parallel, layer norm, rotary positions, GELU (Phi 1.5, Phi 2)",
        spec: phi::spec,
    },
    Architecture {
        name: "phi3",
        summary: "decoder-only: Llama with stacked projections (Phi 3, Phi 3.5, Phi 4)",
        spec: phi3::spec,
    },
    Architecture {
        name: "qwen2",
        summary: "decoder-only: Llama with biased queries, keys and values (Qwen 2, Qwen 2.5)",
        spec: qwen::qwen2,
    },
    Architecture {
        name: "qwen3",
        summary: "decoder-only: Llama with normalized queries and keys (Qwen 3)",
        spec: qwen::qwen3,
    },
    Architecture {
        name: "smollm3",
        summary: "decoder-only: Llama without positions in some layers (SmolLM 3)",
        spec: smollm3::spec,
    },
    Architecture {
        name: "stablelm",
        summary: "decoder-only: Llama with layer norms (StableLM)",
        spec: stablelm::spec,
    },
    Architecture {
        name: "starcoder2",
        summary: "decoder-only: layer norm, rotary positions, GELU, a window (StarCoder 2)",
        spec: starcoder2::spec,
    },
    Architecture {
        name: "xglm",
        summary: "decoder-only: layer norm, sinusoidal positions, scaled embeddings, GELU (XGLM)",
        spec: fairseq::xglm,
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
        summary: "encoder-decoder: T5 with gated GELU (mT5)",
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
