//! The architectures that continue a text, by the `model_type` of their configuration.

use super::architecture::Architecture;
use super::{
    bloom, cohere, dbrx, deepseek, deepseek_style, ernie, exaone, fairseq, falcon, gemma, glm,
    gpt_neo, gpt_neox, gpt2, gptj, granite, granite_moe, hunyuan, llama, mistral, mpt, olmo, olmoe,
    openai_gpt, opt, phi, phi3, qwen, qwen_moe, relatives, smollm3, stablelm, starcoder2, ungated,
    wrappers,
};

/// The table, sorted by name.
pub(super) const TABLE: &[Architecture] = &[
    Architecture {
        name: "arcee",
        summary: "decoder-only: Llama with an ungated network (Arcee AFM)",
        spec: ungated::arcee,
    },
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
        name: "codegen",
        summary: "decoder-only: GPT-J with stacked projections (CodeGen)",
        spec: gptj::codegen,
    },
    Architecture {
        name: "cohere",
        summary: "decoder-only: parallel, layer norm, rotary positions, SwiGLU, scaled logits (Command R)",
        spec: cohere::cohere,
    },
    Architecture {
        name: "cohere2",
        summary: "decoder-only: Cohere with windows, no positions in some layers (Command R7B, Command A)",
        spec: cohere::cohere2,
    },
    Architecture {
        name: "cwm",
        summary: "decoder-only: Llama with windows in most layers (Code World Model)",
        spec: relatives::cwm,
    },
    Architecture {
        name: "dbrx",
        summary: "decoder-only: Llama with layer norms and a mixture of experts (DBRX)",
        spec: dbrx::spec,
    },
    Architecture {
        name: "deepseek_v2",
        summary: "decoder-only: Llama with latent vectors, experts and shared ones (DeepSeek-V2)",
        spec: deepseek::v2,
    },
    Architecture {
        name: "deepseek_v3",
        summary: "decoder-only: DeepSeek-V2 with another choice of experts (DeepSeek-V3, R1, Moonlight)",
        spec: deepseek::v3,
    },
    Architecture {
        name: "dots1",
        summary: "decoder-only: Qwen 3 with experts in groups and a shared one (dots.llm1)",
        spec: deepseek_style::dots1,
    },
    Architecture {
        name: "ernie4_5",
        summary: "decoder-only: Llama with another rotation (ERNIE 4.5)",
        spec: ernie::ernie4_5,
    },
    Architecture {
        name: "ernie4_5_moe",
        summary: "decoder-only: ERNIE 4.5 with experts and a shared one",
        spec: ernie::ernie4_5_moe,
    },
    Architecture {
        name: "exaone4",
        summary: "decoder-only: OLMo 2 with windows, no positions in some layers (EXAONE 4)",
        spec: exaone::spec,
    },
    Architecture {
        name: "exaone_moe",
        summary: "decoder-only: EXAONE with experts in groups and a shared one (K-EXAONE)",
        spec: deepseek_style::exaone_moe,
    },
    Architecture {
        name: "falcon",
        summary: "decoder-only: parallel, layer norm, rotary positions or slopes, GELU (Falcon)",
        spec: falcon::spec,
    },
    Architecture {
        name: "flex_olmo",
        summary: "decoder-only: OLMo 2 with a mixture of experts (FlexOlmo)",
        spec: olmoe::flex_olmo,
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
        name: "gemma3",
        summary: "decoder-only: the text part of a model of images and text (Gemma 3)",
        spec: wrappers::gemma3,
    },
    Architecture {
        name: "gemma3_text",
        summary: "decoder-only: Gemma 2 with normalized queries and keys (Gemma 3, text)",
        spec: gemma::gemma3,
    },
    Architecture {
        name: "glm",
        summary: "decoder-only: Llama with partly rotated heads, stacked projections (GLM 4)",
        spec: glm::glm,
    },
    Architecture {
        name: "glm4",
        summary: "decoder-only: GLM with norms on both sides (GLM 4 0414, GLM Z1)",
        spec: glm::glm4,
    },
    Architecture {
        name: "glm4_moe",
        summary: "decoder-only: Llama with experts in groups and a shared one (GLM 4.5)",
        spec: deepseek_style::glm4_moe,
    },
    Architecture {
        name: "glm4_moe_lite",
        summary: "decoder-only: DeepSeek-V3 (GLM 4.7 Flash)",
        spec: deepseek::glm4_moe_lite,
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
        spec: gptj::gptj,
    },
    Architecture {
        name: "granite",
        summary: "decoder-only: Llama with multipliers (Granite)",
        spec: granite::granite,
    },
    Architecture {
        name: "granitemoe",
        summary: "decoder-only: Granite with a mixture of experts (Granite 3 MoE, PowerMoE)",
        spec: granite_moe::granitemoe,
    },
    Architecture {
        name: "granitemoehybrid",
        summary: "decoder-only: Granite 4 without recurrent layers",
        spec: granite_moe::granitemoehybrid,
    },
    Architecture {
        name: "granitemoeshared",
        summary: "decoder-only: Granite with experts and a shared one",
        spec: granite_moe::granitemoeshared,
    },
    Architecture {
        name: "helium",
        summary: "decoder-only: Llama with another rotation (Helium)",
        spec: relatives::helium,
    },
    Architecture {
        name: "hunyuan_v1_dense",
        summary: "decoder-only: Llama with normalized queries and keys (Hunyuan)",
        spec: hunyuan::dense,
    },
    Architecture {
        name: "hunyuan_v1_moe",
        summary: "decoder-only: Hunyuan with experts and a shared one (Hunyuan A13B)",
        spec: hunyuan::moe,
    },
    Architecture {
        name: "hy_v3",
        summary: "decoder-only: Qwen 3 with experts and a shared one (Hunyuan 3)",
        spec: deepseek_style::hy_v3,
    },
    Architecture {
        name: "hyperclovax",
        summary: "decoder-only: Granite with norms on both sides (HyperCLOVA X)",
        spec: granite::hyperclovax,
    },
    Architecture {
        name: "internlm3",
        summary: "decoder-only: Llama (InternLM 3)",
        spec: relatives::internlm3,
    },
    Architecture {
        name: "iquestcoder",
        summary: "decoder-only: Llama (IQuest-Coder)",
        spec: relatives::iquestcoder,
    },
    Architecture {
        name: "jais2",
        summary: "decoder-only: Llama with layer norms, biases, an ungated network (Jais 2)",
        spec: ungated::jais2,
    },
    Architecture {
        name: "llama",
        summary: "decoder-only: RMS norm, rotary positions, grouped-query attention, SwiGLU (Llama, SmolLM2)",
        spec: llama::spec,
    },
    Architecture {
        name: "mellum",
        summary: "decoder-only: Qwen 3 with experts and two rotations (Mellum 2)",
        spec: qwen_moe::mellum,
    },
    Architecture {
        name: "minicpm3",
        summary: "decoder-only: Llama with latent vectors and multipliers (MiniCPM 3)",
        spec: deepseek::minicpm3,
    },
    Architecture {
        name: "minimax_m2",
        summary: "decoder-only: Llama with normalized queries and keys, experts (MiniMax M2)",
        spec: deepseek_style::minimax_m2,
    },
    Architecture {
        name: "ministral",
        summary: "decoder-only: Mistral with a window in some layers (Ministral)",
        spec: mistral::ministral,
    },
    Architecture {
        name: "ministral3",
        summary: "decoder-only: Mistral with a longer rotation (Ministral 3)",
        spec: mistral::ministral3,
    },
    Architecture {
        name: "mistral",
        summary: "decoder-only: Llama with a window (Mistral)",
        spec: mistral::mistral,
    },
    Architecture {
        name: "mistral3",
        summary: "decoder-only: the text part of a model of images and text (Mistral Small 3.1)",
        spec: wrappers::mistral3,
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
        name: "nemotron",
        summary: "decoder-only: Llama with layer norms, an ungated network (Nemotron, Minitron)",
        spec: ungated::nemotron,
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
        name: "olmo3",
        summary: "decoder-only: OLMo 2 with windows in most layers (OLMo 3)",
        spec: olmo::olmo3,
    },
    Architecture {
        name: "olmoe",
        summary: "decoder-only: Llama with normalized queries and keys, experts (OLMoE)",
        spec: olmoe::olmoe,
    },
    Architecture {
        name: "openai-gpt",
        summary: "decoder-only: post-norm, learned positions, GELU (the first GPT)",
        spec: openai_gpt::spec,
    },
    Architecture {
        name: "opt",
        summary: "decoder-only: layer norm, learned positions, ReLU (OPT)",
        spec: opt::spec,
    },
    Architecture {
        name: "persimmon",
        summary: "decoder-only: layer norm, rotary positions, an ungated network (Persimmon)",
        spec: ungated::persimmon,
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
        name: "qwen2_moe",
        summary: "decoder-only: Qwen 2 with experts and a shared one (Qwen 1.5 MoE, Qwen 2 MoE)",
        spec: qwen_moe::qwen2_moe,
    },
    Architecture {
        name: "qwen3",
        summary: "decoder-only: Llama with normalized queries and keys (Qwen 3)",
        spec: qwen::qwen3,
    },
    Architecture {
        name: "qwen3_moe",
        summary: "decoder-only: Qwen 3 with a mixture of experts",
        spec: qwen_moe::qwen3_moe,
    },
    Architecture {
        name: "seed_oss",
        summary: "decoder-only: Llama with biases (Seed-OSS)",
        spec: relatives::seed_oss,
    },
    Architecture {
        name: "smollm3",
        summary: "decoder-only: Llama without positions in some layers (SmolLM 3)",
        spec: smollm3::spec,
    },
    Architecture {
        name: "solar_open",
        summary: "decoder-only: Llama with experts and a shared one (Solar Open)",
        spec: deepseek_style::solar_open,
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
        name: "vaultgemma",
        summary: "decoder-only: Gemma 2 without norms behind attention and network (VaultGemma)",
        spec: gemma::vaultgemma,
    },
    Architecture {
        name: "xglm",
        summary: "decoder-only: layer norm, sinusoidal positions, scaled embeddings, GELU (XGLM)",
        spec: fairseq::xglm,
    },
    Architecture {
        name: "youtu",
        summary: "decoder-only: Llama with latent vectors (Youtu LLM)",
        spec: deepseek::youtu,
    },
];
