//! The architectures that write a text from another one, by the `model_type` of their configuration.

use super::architecture::Architecture;
use super::{bart, bigbird_pegasus, seamless, t5, t5gemma};

/// The table, sorted by name.
pub(super) const TABLE: &[Architecture] = &[
    Architecture {
        name: "bart",
        summary: "encoder-decoder: post-norm, learned positions, GELU (BART)",
        spec: bart::bart,
    },
    Architecture {
        name: "bigbird_pegasus",
        summary: "encoder-decoder: pre-norm, learned positions, GELU (BigBird-Pegasus)",
        spec: bigbird_pegasus::spec,
    },
    Architecture {
        name: "blenderbot",
        summary: "encoder-decoder: pre-norm, learned positions, GELU (Blenderbot)",
        spec: bart::blenderbot,
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
        name: "mvp",
        summary: "encoder-decoder: BART (MVP, MTL)",
        spec: bart::mvp,
    },
    Architecture {
        name: "pegasus",
        summary: "encoder-decoder: pre-norm, sinusoidal positions, ReLU or GELU (Pegasus)",
        spec: bart::pegasus,
    },
    Architecture {
        name: "plbart",
        summary: "encoder-decoder: BART with scaled embeddings (PLBART)",
        spec: bart::plbart,
    },
    Architecture {
        name: "seamless_m4t",
        summary: "encoder-decoder: NLLB (text to text in SeamlessM4T)",
        spec: seamless::spec,
    },
    Architecture {
        name: "seamless_m4t_v2",
        summary: "encoder-decoder: NLLB (text to text in SeamlessM4T v2)",
        spec: seamless::spec,
    },
    Architecture {
        name: "switch_transformers",
        summary: "encoder-decoder: T5 with mixtures of experts (Switch Transformers)",
        spec: t5::switch_transformers,
    },
    Architecture {
        name: "t5",
        summary: "encoder-decoder: RMS norm, relative position buckets (T5, FLAN-T5)",
        spec: t5::t5,
    },
    Architecture {
        name: "t5gemma",
        summary: "encoder-decoder: two Gemma 2 models (T5Gemma)",
        spec: t5gemma::spec,
    },
    Architecture {
        name: "umt5",
        summary: "encoder-decoder: mT5 with position buckets in every layer (UMT5)",
        spec: t5::umt5,
    },
];
