"""Makes the tiny random models of `tests/families/models`, and the reference results of transformers.

Environment (CPU only):

    python3 -m venv .venv && .venv/bin/pip install torch==2.15.* transformers==5.23.* safetensors
    .venv/bin/python tests/families/generate.py            # all of them
    .venv/bin/python tests/families/generate.py gpt2 t5    # some
    .venv/bin/python tests/families/generate.py --maps     # only the maps, for existing models
    .venv/bin/python tests/families/generate.py --list     # only the model types of transformers

Each folder has `config.json`, `model.safetensors` (weights are bfloat16 numbers, so that they are
small, and exact in every precision), and the truth, computed in float64 with eager attention:

* `reference.json`: token ids of the sequences, the explained steps, and what greedy search adds;
* `reference.safetensors`: `logits.I` of every position of target I, `target_gradient.I` and
  `source_gradient.I` of the probability of a token with respect to the embeddings of target and
  source I.

* `maps.safetensors`, if `MAPS` lists the model: the scores of the methods `attention` and `value_zeroing`
  for the last target, each step from a pass over its own prefix. `attention` is the mean over
  heads. `value_zeroing` compares the hidden states of passes in which attention finds zeros for the
  values of one token in one layer. `[prefix tokens, layers]`, step after step.

`transformers.json` beside this script lists the model types with which transformers generates text. The
value is the `model_type` in the configuration, which differs for those that are another family's models.

transformers rounds to single precision inside norms, softmaxes and heads, whatever the model's
precision; `in_double_precision` removes these roundings. Only the rotary and sinusoidal angles stay in
single precision, as in training. Their powers, sines and cosines are rounded from
double precision, so that the truth does not depend on the vector library torch was built with.
"""

import contextlib
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file

MODELS = pathlib.Path(__file__).parent / "models"
VOCABULARY = 48
NEW_TOKENS = 12
START = 2
TARGETS = [[3, 17, 42], [5, 9, 33, 40, 2, 21, 8], [11, 30, 7, 29, 44, 13, 46, 4, 38, 26, 15]]
SOURCES = [[12, 6, 45, 31, 23, 9, 37, 40, 18], [30, 8], [27, 14, 25, 36, 10, 47]]

DECODER = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=32,
)
GPT = dict(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_inner=40, n_positions=32)
BART = dict(
    vocab_size=VOCABULARY,
    d_model=32,
    encoder_layers=2,
    decoder_layers=2,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=24,
    decoder_ffn_dim=24,
    max_position_embeddings=32,
    scale_embedding=True,
    decoder_start_token_id=START,
)
T5 = dict(
    vocab_size=VOCABULARY,
    d_model=32,
    d_kv=6,
    d_ff=24,
    num_layers=2,
    num_heads=4,
    relative_attention_num_buckets=8,
    relative_attention_max_distance=7,
)
HALF = {"rope_theta": 10000.0, "rope_type": "default", "partial_rotary_factor": 0.5}
LLAMA3 = {
    "rope_theta": 10000.0,
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {
    "rope_theta": 10000.0,
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 2.0,
}
# Two of the targets exceed the long-RoPE threshold while they are continued; one exceeds it from the start.
LONGROPE = {
    "rope_theta": 10000.0,
    "rope_type": "longrope",
    "short_factor": [1.0, 1.1, 1.3, 1.7],
    "long_factor": [2.0, 3.0, 4.0, 5.0],
    "original_max_position_embeddings": 8,
}

# Name of the folder: model type, and the fields that differ from transformers' defaults.
FAMILIES = {
    "gpt2": ("gpt2", GPT),
    "gpt2-relu-scaled": (
        "gpt2",
        GPT
        | dict(activation_function="relu", n_inner=24, scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False),
    ),
    "llama": ("llama", DECODER),
    "llama-biased-llama3": (
        "llama",
        DECODER | dict(attention_bias=True, mlp_bias=True, head_dim=6, rope_parameters=LLAMA3, tie_word_embeddings=True),
    ),
    "llama-yarn": ("llama", DECODER | dict(rope_parameters=YARN, max_position_embeddings=64)),
    "llama-linear": (
        "llama",
        DECODER | dict(rope_parameters={"rope_theta": 500.0, "rope_type": "linear", "factor": 3.0}),
    ),
    "mistral": ("mistral", DECODER | dict(sliding_window=4, head_dim=8)),
    "mixtral": ("mixtral", DECODER | dict(num_local_experts=4, intermediate_size=16)),
    "qwen2": ("qwen2", DECODER | dict(use_sliding_window=True, sliding_window=4, max_window_layers=1)),
    "qwen3": ("qwen3", DECODER | dict(head_dim=6)),
    "gemma": ("gemma", DECODER | dict(head_dim=6)),
    "gemma2": (
        "gemma2",
        DECODER
        | dict(
            head_dim=6,
            sliding_window=4,
            query_pre_attn_scalar=9,
            attn_logit_softcapping=1.5,
            final_logit_softcapping=4.0,
        ),
    ),
    "gemma3_text": (
        "gemma3_text",
        DECODER
        | dict(
            head_dim=6,
            sliding_window=4,
            query_pre_attn_scalar=9,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters={
                "full_attention": {"rope_type": "linear", "rope_theta": 1000.0, "factor": 2.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            },
        ),
    ),
    "phi3": ("phi3", DECODER | dict(sliding_window=5, pad_token_id=0)),
    "phi3-longrope": (
        "phi3",
        DECODER
        | dict(
            pad_token_id=0,
            max_position_embeddings=64,
            original_max_position_embeddings=8,
            rope_parameters=LONGROPE,
        ),
    ),
    "stablelm": ("stablelm", DECODER | dict(rope_parameters=HALF)),
    "stablelm-parallel": (
        "stablelm",
        DECODER | dict(use_qkv_bias=True, qk_layernorm=True, use_parallel_residual=True, rope_parameters=HALF),
    ),
    "starcoder2": ("starcoder2", DECODER | dict(sliding_window=4)),
    "olmo": ("olmo", DECODER),
    "olmo-clipped": ("olmo", DECODER | dict(clip_qkv=0.75)),
    "olmo2": ("olmo2", DECODER),
    "granite": (
        "granite",
        DECODER
        | dict(
            embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.7, attention_multiplier=0.2
        ),
    ),
    "cohere": ("cohere", DECODER | dict(logit_scale=0.25)),
    "cohere-normed": ("cohere", DECODER | dict(use_qk_norm=True)),
    "smollm3": ("smollm3", DECODER | dict(no_rope_layers=[1, 0], pad_token_id=0)),
    "phi": ("phi", DECODER),
    "phi-normed": ("phi", DECODER | dict(qk_layernorm=True)),
    "gpt_neox": ("gpt_neox", DECODER | dict(rope_parameters=HALF)),
    "gpt_neox-sequential": ("gpt_neox", DECODER | dict(use_parallel_residual=False, rope_parameters=HALF)),
    "gptj": ("gptj", GPT | dict(rotary_dim=4)),
    "gpt_neo": (
        "gpt_neo",
        dict(
            vocab_size=VOCABULARY,
            hidden_size=32,
            num_layers=2,
            num_heads=4,
            intermediate_size=24,
            window_size=4,
            max_position_embeddings=32,
            attention_types=[[["global", "local"], 1]],
        ),
    ),
    "gpt_bigcode": ("gpt_bigcode", GPT | dict(n_inner=None)),
    "gpt_bigcode-heads": ("gpt_bigcode", GPT | dict(multi_query=False)),
    "opt": ("opt", DECODER | dict(ffn_dim=24, word_embed_proj_dim=32)),
    "opt-post-norm": ("opt", DECODER | dict(ffn_dim=24, word_embed_proj_dim=32, do_layer_norm_before=False)),
    # Shaped like OPT-350M, which projects its embeddings.
    "opt-projected": ("opt", DECODER | dict(ffn_dim=24, word_embed_proj_dim=16, do_layer_norm_before=False)),
    "bloom": ("bloom", dict(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4)),
    "bloom-six-heads": ("bloom", dict(vocab_size=VOCABULARY, hidden_size=24, n_layer=2, n_head=6)),
    "bloom-carried": (
        "bloom",
        dict(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, apply_residual_connection_post_layernorm=True),
    ),
    "mpt": ("mpt", dict(vocab_size=VOCABULARY, d_model=32, n_layers=2, n_heads=4, max_seq_len=32)),
    "mpt-six-heads": ("mpt", dict(vocab_size=VOCABULARY, d_model=24, n_layers=2, n_heads=6, max_seq_len=32)),
    "mpt-clipped": (
        "mpt",
        dict(vocab_size=VOCABULARY, d_model=32, n_layers=2, n_heads=4, max_seq_len=32, attn_config=dict(clip_qkv=0.5)),
    ),
    "falcon": ("falcon", DECODER),
    # Eager attention in transformers 5.23 adds Falcon's ALiBi slopes twice; the default attention does not.
    "falcon-slopes": ("falcon", DECODER | dict(alibi=True, parallel_attn=False, multi_query=False, bias=True, attn_implementation="sdpa")),
    "falcon-new": ("falcon", DECODER | dict(new_decoder_architecture=True, num_kv_heads=2)),
    "xglm": (
        "xglm",
        dict(
            vocab_size=VOCABULARY, d_model=32, ffn_dim=24, num_layers=2, attention_heads=4, max_position_embeddings=32
        ),
    ),
    "biogpt": ("biogpt", DECODER),
    "bart": ("bart", BART),
    "mbart": ("mbart", BART | dict(activation_function="relu")),
    "pegasus": ("pegasus", BART | dict(activation_function="relu")),
    "m2m_100": ("m2m_100", BART),
    "marian": (
        "marian",
        BART | dict(activation_function="swish", pad_token_id=1, decoder_vocab_size=VOCABULARY),
    ),
    "marian-separate": (
        "marian",
        BART
        | dict(
            activation_function="swish",
            pad_token_id=1,
            vocab_size=VOCABULARY + 8,
            decoder_vocab_size=VOCABULARY,
            share_encoder_decoder_embeddings=False,
        ),
    ),
    "t5": ("t5", T5),
    "t5-gated-unscaled": ("t5", T5 | dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
    "mt5": ("mt5", T5),
    "umt5": ("umt5", T5),
}

# Nonlinearities that are no architecture's default.
SMALL_GPT = GPT | dict(n_embd=16, n_layer=1, n_inner=24)
SMALL_DECODER = DECODER | dict(hidden_size=16, num_hidden_layers=1)
for activation in ("gelu_10", "laplace", "leaky_relu", "mish", "quick_gelu", "relu2", "relu6", "sqrtsoftplus"):
    FAMILIES[f"gpt2-{activation}"] = ("gpt2", SMALL_GPT | dict(activation_function=activation))
for activation in ("hardswish", "sigmoid", "tanh"):
    FAMILIES[f"llama-{activation}"] = ("llama", SMALL_DECODER | dict(hidden_act=activation))

# Families with a switch of their configuration changed.
FAMILIES |= {
    "gpt2-unscaled": ("gpt2", GPT | dict(scale_attn_weights=False)),
    "opt-bare": ("opt", DECODER | dict(ffn_dim=24, word_embed_proj_dim=32, enable_bias=False, layer_norm_elementwise_affine=False)),
    "gpt_neox-unbiased": ("gpt_neox", DECODER | dict(attention_bias=False, rope_parameters=HALF)),
    "starcoder2-unbiased": ("starcoder2", DECODER | dict(use_bias=False)),
    "xglm-unscaled": ("xglm", FAMILIES["xglm"][1] | dict(scale_embedding=False)),
    "mpt-scaled": ("mpt", FAMILIES["mpt"][1] | dict(attn_config=dict(softmax_scale=0.3))),
    "phi3-partial": ("phi3", DECODER | dict(rope_parameters=HALF, pad_token_id=0)),
    "qwen3-biased": (
        "qwen3", DECODER | dict(head_dim=6, attention_bias=True, use_sliding_window=True, sliding_window=4, max_window_layers=1)),
    "falcon-heads": ("falcon", DECODER | dict(multi_query=False, bias=True)),
    "smollm3-window": (
        "smollm3", DECODER | dict(no_rope_layers=[1, 0], use_sliding_window=True, sliding_window=4, pad_token_id=0)),
    "gemma3_text-capped": (
        "gemma3_text", FAMILIES["gemma3_text"][1] | dict(final_logit_softcapping=4.0)),
    "mixtral-window": ("mixtral", FAMILIES["mixtral"][1] | dict(sliding_window=4, num_experts_per_tok=3)),
    "granite-biased": ("granite", DECODER | dict(attention_bias=True, mlp_bias=True)),
    "cohere-biased": ("cohere", DECODER | dict(attention_bias=True)),
    # transformers would derive another value for this field, but the one in the file takes precedence.
    "t5-named-activation": ("t5", T5 | dict(dense_act_fn="silu")),
    # `gelu` and `gelu_python` name the same function, but Gemma replaces only `gelu` by the tanh form.
    "gemma-erf": ("gemma", DECODER | dict(head_dim=6, hidden_act="gelu_python")),
    # Positions are counted from the padding row, or one of them is missing there.
    "m2m_100-pad-0": ("m2m_100", BART | dict(pad_token_id=0)),
    "m2m_100-pad-19": ("m2m_100", BART | dict(pad_token_id=19, max_position_embeddings=64)),
    "xglm-pad-0": ("xglm", FAMILIES["xglm"][1] | dict(pad_token_id=0)),
    "xglm-pad-5": ("xglm", FAMILIES["xglm"][1] | dict(pad_token_id=5)),
    "xglm-pad-none": ("xglm", FAMILIES["xglm"][1] | dict(pad_token_id=None)),
    "opt-projected-pre-norm": ("opt", DECODER | dict(ffn_dim=24, word_embed_proj_dim=16)),
    "bart-unscaled": ("bart", BART | dict(scale_embedding=False)),
}

LOCAL_AND_GLOBAL = {
    "full_attention": YARN,
    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
}
ALPHA = {"rope_type": "dynamic", "rope_theta": 100.0, "alpha": 3.0, "factor": 1.0}
LONGER = YARN | {"mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}
# Experts of a layer, with one layer that has a plain network where the family allows it.
EXPERTS = dict(hidden_size=32, intermediate_size=16, moe_intermediate_size=8, num_experts_per_tok=2)
GROUPS = EXPERTS | dict(
    n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2, n_group=4, topk_group=2, first_k_dense_replace=1
)

# Relatives of Llama, and mixtures of experts.
FAMILIES |= {
    "arcee": ("arcee", DECODER),
    "arcee-biased": ("arcee", SMALL_DECODER | dict(mlp_bias=True, attention_bias=True, tie_word_embeddings=True)),
    "codegen": ("codegen", GPT | dict(rotary_dim=4)),
    "codegen-eight-heads": ("codegen", SMALL_GPT | dict(n_head=8, rotary_dim=2, n_inner=None)),
    "cohere2": ("cohere2", DECODER | dict(sliding_window=4, layer_types=["sliding_attention", "full_attention"])),
    "cohere2-biased": ("cohere2", DECODER | dict(sliding_window=3, sliding_window_pattern=2, attention_bias=True, logit_scale=0.3)),
    "cwm": ("cwm", DECODER | dict(head_dim=6, sliding_window=4, rope_parameters=LLAMA3)),
    "cwm-tied": ("cwm", SMALL_DECODER | dict(head_dim=4, rope_parameters=HALF | {"partial_rotary_factor": 1.0}, tie_word_embeddings=True)),
    "dbrx": (
        "dbrx",
        dict(
            vocab_size=VOCABULARY,
            d_model=32,
            n_heads=4,
            n_layers=2,
            max_seq_len=32,
            attn_config=dict(kv_n_heads=2, clip_qkv=0.5, rope_theta=10000.0),
            ffn_config=dict(ffn_hidden_size=8, moe_num_experts=4, moe_top_k=2),
        ),
    ),
    "dbrx-undivided": (
        "dbrx",
        dict(
            vocab_size=VOCABULARY,
            d_model=24,
            n_heads=3,
            n_layers=1,
            max_seq_len=32,
            attn_config=dict(kv_n_heads=1, clip_qkv=9.0, rope_theta=500.0),
            rope_parameters={"rope_type": "default", "rope_theta": 500.0},
            ffn_config=dict(
                ffn_hidden_size=10, moe_num_experts=3, moe_top_k=2, moe_normalize_expert_weights=None, ffn_act_fn={"name": "gelu"}
            ),
        ),
    ),
    "dots1": ("dots1", DECODER | GROUPS),
    "dots1-window": (
        "dots1",
        DECODER | GROUPS | dict(n_group=1, topk_group=1, sliding_window=4, max_window_layers=1, norm_topk_prob=True, attention_bias=True),
    ),
    "ernie4_5": ("ernie4_5", DECODER | dict(head_dim=6)),
    "ernie4_5-biased": ("ernie4_5", SMALL_DECODER | dict(head_dim=8, use_bias=True, tie_word_embeddings=False)),
    "ernie4_5_moe": ("ernie4_5_moe", DECODER | EXPERTS | dict(moe_num_experts=4, moe_k=2, head_dim=8)),
    "ernie4_5_moe-unshared": (
        "ernie4_5_moe",
        SMALL_DECODER | EXPERTS | dict(hidden_size=16, moe_num_experts=5, moe_k=3, moe_num_shared_experts=0, moe_layer_start_index=0),
    ),
    "exaone4": ("exaone4", DECODER | dict(sliding_window=4, layer_types=["sliding_attention", "full_attention"])),
    "exaone4-unwindowed": ("exaone4", SMALL_DECODER | dict(sliding_window=None, layer_types=["full_attention"], tie_word_embeddings=True)),
    "exaone_moe": (
        "exaone_moe",
        DECODER | GROUPS | dict(num_experts=8, num_shared_experts=1, sliding_window=4, layer_types=["sliding_attention", "full_attention"]),
    ),
    "exaone_moe-listed": (
        "exaone_moe",
        SMALL_DECODER
        | EXPERTS
        | dict(hidden_size=16, num_experts=4, sliding_window=4, layer_types=["sliding_attention"], mlp_layer_types=["sparse"]),
    ),
    "flex_olmo": ("flex_olmo", DECODER | EXPERTS | dict(num_experts=4, pad_token_id=0)),
    "flex_olmo-divided": ("flex_olmo", SMALL_DECODER | dict(num_experts=3, num_experts_per_tok=2, norm_topk_prob=True, pad_token_id=0)),
    "glm": ("glm", DECODER | dict(head_dim=8, pad_token_id=0)),
    "glm-unbiased": ("glm", SMALL_DECODER | dict(head_dim=8, attention_bias=False, tie_word_embeddings=True, pad_token_id=0)),
    "glm4": ("glm4", DECODER | dict(head_dim=8, pad_token_id=0)),
    "glm4-unbiased": ("glm4", SMALL_DECODER | dict(head_dim=8, attention_bias=False, pad_token_id=0, rope_parameters=HALF)),
    "glm4_moe": ("glm4_moe", DECODER | GROUPS | dict(head_dim=8, use_qk_norm=True, routed_scaling_factor=2.5)),
    "glm4_moe-plain": (
        "glm4_moe",
        SMALL_DECODER
        | EXPERTS
        | dict(hidden_size=16, n_routed_experts=4, first_k_dense_replace=0, norm_topk_prob=False, attention_bias=True),
    ),
    "granitemoe": (
        "granitemoe",
        DECODER
        | EXPERTS
        | dict(num_local_experts=4, embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.7, attention_multiplier=0.2),
    ),
    "granitemoe-tied": ("granitemoe", SMALL_DECODER | dict(num_local_experts=3, attention_bias=True, tie_word_embeddings=True)),
    "granitemoeshared": ("granitemoeshared", DECODER | EXPERTS | dict(num_local_experts=4, shared_intermediate_size=12)),
    "granitemoeshared-unshared": ("granitemoeshared", SMALL_DECODER | dict(num_local_experts=3, shared_intermediate_size=0)),
    "granitemoehybrid": (
        "granitemoehybrid",
        DECODER
        | dict(
            layer_types=["full_attention"] * 2,
            num_local_experts=0,
            shared_intermediate_size=24,
            position_embedding_type="rope",
            attention_multiplier=0.2,
            mamba_n_heads=2,
        ),
    ),
    "granitemoehybrid-experts": (
        "granitemoehybrid",
        SMALL_DECODER
        | dict(layer_types=["full_attention"], num_local_experts=3, shared_intermediate_size=12, attention_bias=True, mamba_n_heads=2),
    ),
    "helium": ("helium", DECODER | dict(head_dim=8)),
    "helium-biased": ("helium", SMALL_DECODER | dict(head_dim=4, attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    "hunyuan_v1_dense": ("hunyuan_v1_dense", DECODER | dict(head_dim=8, rope_parameters=ALPHA)),
    "hunyuan_v1_dense-biased": ("hunyuan_v1_dense", SMALL_DECODER | dict(head_dim=6, attention_bias=True, tie_word_embeddings=True)),
    "hunyuan_v1_moe": ("hunyuan_v1_moe", DECODER | dict(head_dim=8, intermediate_size=12, num_experts=4, moe_topk=2, rope_parameters=ALPHA)),
    "hunyuan_v1_moe-listed": ("hunyuan_v1_moe", SMALL_DECODER | dict(head_dim=4, num_experts=3, moe_topk=[1])),
    "hyperclovax": (
        "hyperclovax",
        DECODER | dict(embedding_multiplier=3.0, logits_scaling=0.5, residual_multiplier=0.7, attention_multiplier=0.2),
    ),
    "hyperclovax-unscaled": ("hyperclovax", SMALL_DECODER | dict(use_post_norm=False, tie_word_embeddings=True)),
    "internlm3": ("internlm3", DECODER | dict(head_dim=6)),
    "internlm3-biased": ("internlm3", SMALL_DECODER | dict(head_dim=4, attention_bias=True, mlp_bias=True)),
    "iquestcoder": ("iquestcoder", SMALL_DECODER | dict(head_dim=6)),
    "jais2": ("jais2", DECODER),
    "jais2-unbiased": ("jais2", SMALL_DECODER | dict(attention_bias=False, mlp_bias=False, tie_word_embeddings=True)),
    "minimax_m2": ("minimax_m2", DECODER | dict(head_dim=8, intermediate_size=8, num_local_experts=4, num_experts_per_tok=2, rotary_dim=4)),
    "minimax_m2-whole": ("minimax_m2", SMALL_DECODER | dict(head_dim=6, num_local_experts=3, num_experts_per_tok=2)),
    "ministral": ("ministral", DECODER | dict(head_dim=8, sliding_window=4, layer_types=["full_attention", "sliding_attention"])),
    "ministral-unlisted": ("ministral", SMALL_DECODER | dict(sliding_window=5, head_dim=6)),
    "ministral3": ("ministral3", DECODER | dict(head_dim=8, rope_parameters=LONGER | {"original_max_position_embeddings": 32}, max_position_embeddings=128)),
    "ministral3-window": (
        "ministral3",
        SMALL_DECODER | dict(head_dim=6, sliding_window=4, rope_parameters=LONGER | {"original_max_position_embeddings": 24, "mscale": 0.5}),
    ),
    "nemotron": ("nemotron", DECODER),
    "nemotron-biased": ("nemotron", SMALL_DECODER | dict(head_dim=8, attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    "olmo3": (
        "olmo3",
        DECODER | dict(sliding_window=4, layer_types=["sliding_attention", "full_attention"], rope_parameters=LOCAL_AND_GLOBAL),
    ),
    "olmo3-biased": ("olmo3", SMALL_DECODER | dict(sliding_window=4, attention_bias=True, tie_word_embeddings=True)),
    "olmoe": ("olmoe", DECODER | EXPERTS | dict(num_experts=4)),
    "olmoe-divided": ("olmoe", SMALL_DECODER | dict(num_experts=5, num_experts_per_tok=3, norm_topk_prob=True, attention_bias=True)),
    "openai-gpt": ("openai-gpt", dict(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=32)),
    "openai-gpt-relu": (
        "openai-gpt",
        dict(vocab_size=VOCABULARY, n_embd=24, n_layer=1, n_head=3, n_positions=32, afn="relu", tie_word_embeddings=False),
    ),
    "persimmon": ("persimmon", DECODER),
    "persimmon-unnormed": ("persimmon", SMALL_DECODER | dict(qk_layernorm=False, tie_word_embeddings=True)),
    "qwen2_moe": (
        "qwen2_moe", DECODER | EXPERTS | dict(num_experts=4, shared_expert_intermediate_size=12, mlp_only_layers=[0])),
    "qwen2_moe-window": (
        "qwen2_moe",
        DECODER
        | EXPERTS
        | dict(
            num_experts=3,
            shared_expert_intermediate_size=12,
            norm_topk_prob=True,
            qkv_bias=False,
            use_sliding_window=True,
            sliding_window=4,
            max_window_layers=2,
            decoder_sparse_step=2,
        ),
    ),
    "qwen3_moe": ("qwen3_moe", DECODER | EXPERTS | dict(head_dim=6, num_experts=4, norm_topk_prob=True, mlp_only_layers=[1])),
    "qwen3_moe-window": (
        "qwen3_moe", SMALL_DECODER | EXPERTS | dict(hidden_size=16, num_experts=5, num_experts_per_tok=3, use_sliding_window=True, sliding_window=4)),
    "seed_oss": ("seed_oss", DECODER | dict(head_dim=6)),
    "seed_oss-biased": ("seed_oss", SMALL_DECODER | dict(head_dim=4, attention_bias=False, attention_out_bias=True, mlp_bias=True)),
    "solar_open": ("solar_open", DECODER | GROUPS | dict(head_dim=8, routed_scaling_factor=1.5)),
    "solar_open-biased": (
        "solar_open",
        SMALL_DECODER | EXPERTS | dict(hidden_size=16, head_dim=4, n_routed_experts=4, attention_bias=True),
    ),
    "vaultgemma": (
        "vaultgemma",
        DECODER | dict(head_dim=6, sliding_window=4, query_pre_attn_scalar=9, attn_logit_softcapping=1.5, final_logit_softcapping=4.0),
    ),
    "vaultgemma-uncapped": (
        "vaultgemma", SMALL_DECODER | dict(head_dim=8, attn_logit_softcapping=None, final_logit_softcapping=None, sliding_window=3)),
}

# Models of text inside models of images and text.
IMAGES = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4, head_dim=8)
FAMILIES |= {
    "gemma3": (
        "gemma3", dict(text_config=FAMILIES["gemma3_text"][1], vision_config=IMAGES, mm_tokens_per_image=1)),
    "mistral3": (
        "mistral3",
        dict(text_config=DECODER | dict(model_type="mistral", head_dim=8, sliding_window=4), vision_config=IMAGES, tie_word_embeddings=False),
    ),
    "mistral3-tied": (
        "mistral3",
        dict(text_config=FAMILIES["ministral3-window"][1] | dict(model_type="ministral3"), vision_config=IMAGES, tie_word_embeddings=True),
    ),
}

# Attention with latent vectors.
LATENT = DECODER | GROUPS | dict(
    num_key_value_heads=4, kv_lora_rank=10, q_lora_rank=12, qk_rope_head_dim=4, qk_nope_head_dim=6, v_head_dim=8
)
FAMILIES |= {
    "deepseek_v2": ("deepseek_v2", LATENT | dict(topk_method="group_limited_greedy", routed_scaling_factor=2.5)),
    "deepseek_v2-greedy": (
        "deepseek_v2",
        LATENT
        | dict(q_lora_rank=None, attention_bias=True, v_head_dim=10, rope_parameters=YARN | {"mscale": 0.7, "mscale_all_dim": 0.4}),
    ),
    "deepseek_v3": ("deepseek_v3", LATENT),
    "deepseek_v3-halves": (
        "deepseek_v3",
        LATENT
        | dict(
            num_hidden_layers=1,
            first_k_dense_replace=0,
            rope_interleave=False,
            attention_bias=True,
            v_head_dim=3,
            norm_topk_prob=False,
            n_group=1,
            topk_group=1,
            rope_parameters=YARN | {"mscale": 1.0, "mscale_all_dim": 1.0},
        ),
    ),
}

SMALL_LATENT = LATENT | dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, kv_lora_rank=6)
FAMILIES |= {
    "glm4_moe_lite": ("glm4_moe_lite", LATENT | dict(v_head_dim=10)),
    "glm4_moe_lite-listed": (
        "glm4_moe_lite", SMALL_LATENT | dict(q_lora_rank=None, mlp_layer_types=["sparse"], rope_interleave=False)),
    "minicpm3": ("minicpm3", LATENT | dict(intermediate_size=12)),
    "minicpm3-unscaled": (
        "minicpm3", SMALL_LATENT | dict(q_lora_rank=None, scale_depth=None, dim_model_base=None, scale_emb=1, tie_word_embeddings=False)),
    "youtu": ("youtu", LATENT | dict(intermediate_size=12)),
    "youtu-halves": (
        "youtu", SMALL_LATENT | dict(q_lora_rank=None, rope_interleave=False, attention_bias=True, tie_word_embeddings=False)),
    "hy_v3": ("hy_v3", DECODER | EXPERTS | dict(head_dim=8, num_experts=4, num_shared_experts=2)),
    "hy_v3-listed": (
        "hy_v3",
        SMALL_DECODER
        | EXPERTS
        | dict(hidden_size=16, head_dim=6, num_experts=3, mlp_layer_types=["sparse"], attention_bias=True, router_scaling_factor=0.7),
    ),
    "mellum": (
        "mellum",
        DECODER
        | EXPERTS
        | dict(
            head_dim=8,
            num_experts=4,
            sliding_window=4,
            layer_types=["sliding_attention", "full_attention"],
            mlp_layer_types=["dense", "sparse"],
            rope_parameters=LOCAL_AND_GLOBAL,
        ),
    ),
    "mellum-undivided": (
        "mellum", SMALL_DECODER | EXPERTS | dict(hidden_size=16, head_dim=6, num_experts=3, norm_topk_prob=False, attention_bias=True)),
}

# T5 with experts.
SWITCH = T5 | dict(num_decoder_layers=2, num_experts=4, num_sparse_encoder_layers=1, num_sparse_decoder_layers=1)
FAMILIES |= {
    "switch_transformers": ("switch_transformers", SWITCH),
    "switch_transformers-biased": (
        "switch_transformers",
        SWITCH
        | dict(
            num_layers=1,
            num_decoder_layers=1,
            num_experts=3,
            num_sparse_encoder_layers=0,
            router_bias=True,
            dense_act_fn="gelu",
        ),
    ),
}

PAIRED = DECODER | dict(
    head_dim=6, sliding_window=30, query_pre_attn_scalar=9, attn_logit_softcapping=1.5, final_logit_softcapping=4.0, pad_token_id=0
)
FAMILIES |= {
    "t5gemma": ("t5gemma", dict(vocab_size=VOCABULARY, encoder=PAIRED, decoder=PAIRED | dict(sliding_window=4))),
    "t5gemma-uncapped": (
        "t5gemma",
        dict(
            vocab_size=VOCABULARY,
            tie_word_embeddings=False,
            encoder=SMALL_DECODER | dict(head_dim=4, attn_logit_softcapping=None, pad_token_id=0, layer_types=["full_attention"]),
            decoder=SMALL_DECODER | dict(head_dim=8, attn_logit_softcapping=None, final_logit_softcapping=None, pad_token_id=0),
        ),
    ),
}

# Relatives of BART.
SHORT_BART = BART | dict(encoder_layers=1, decoder_layers=1)
SMALL_BART = SHORT_BART | dict(d_model=24, encoder_attention_heads=3, decoder_attention_heads=3)
FAMILIES |= {
    "bigbird_pegasus": ("bigbird_pegasus", SHORT_BART | dict(block_size=4)),
    "bigbird_pegasus-biased": (
        "bigbird_pegasus", SMALL_BART | dict(attention_type="original_full", use_bias=True, scale_embedding=False)),
    "blenderbot": ("blenderbot", SHORT_BART),
    "blenderbot-unscaled": ("blenderbot", SMALL_BART | dict(scale_embedding=False, activation_function="relu")),
    "mvp": ("mvp", SHORT_BART | dict(scale_embedding=False)),
    "mvp-relu": ("mvp", SMALL_BART | dict(scale_embedding=False, activation_function="relu")),
    "seamless_m4t": ("seamless_m4t", SHORT_BART | dict(hidden_size=32)),
    "seamless_m4t-pad-5": ("seamless_m4t", SMALL_BART | dict(hidden_size=24, scale_embedding=False, pad_token_id=5)),
    "seamless_m4t_v2": ("seamless_m4t_v2", SMALL_BART | dict(hidden_size=24)),
    "plbart": ("plbart", SHORT_BART),
    "plbart-unscaled": ("plbart", SMALL_BART | dict(scale_embedding=False)),
}

# One model for each arrangement of norms, heads and rotations around attention.
MAPS = (
    "biogpt", "cohere", "deepseek_v3", "gemma2", "gpt2", "gpt_neox", "gpt_neox-sequential", "granite", "hunyuan_v1_dense", "llama", "mistral", "olmo2",
    "opt", "opt-post-norm", "opt-projected", "opt-projected-pre-norm", "phi", "phi3-longrope", "qwen3", "stablelm-parallel",
)

SEED_OF_WEIGHTS = 20261125
SINGLE = torch.float32
in_angles = False


def rounded_from_double(function):
    """Returns `function` computed in double precision, with single-precision results rounded from that."""

    def patched(*arguments, **keywords):
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        if any(t.dtype == SINGLE for t in tensors):
            arguments = [a.double() if isinstance(a, torch.Tensor) else a for a in arguments]
            result = function(*arguments, **keywords)
            return result.to(torch.complex64 if result.is_complex() else SINGLE)
        return function(*arguments, **keywords)

    return patched


@contextlib.contextmanager
def patched(owner, name, make):
    original = getattr(owner, name)
    setattr(owner, name, make(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextlib.contextmanager
def exact_tables():
    with contextlib.ExitStack() as stack:
        for owner in (torch, torch.Tensor):
            for name in ("sin", "cos", "exp", "log", "pow"):
                stack.enter_context(patched(owner, name, rounded_from_double))
        stack.enter_context(patched(torch.Tensor, "__rpow__", rounded_from_double))
        stack.enter_context(patched(torch, "polar", rounded_from_double))
        yield


def stays_double(tensor, *arguments, **keywords):
    asked = [*arguments, keywords.get("dtype")]
    return tensor.dtype == torch.float64 and SINGLE in asked and not in_angles


@contextlib.contextmanager
def in_double_precision():
    """Removes transformers' roundings to single precision, except for the angles of positions."""

    def to(original):
        return lambda self, *a, **k: self if stays_double(self, *a, **k) else original(self, *a, **k)

    def to_single(original):
        return lambda self: self if stays_double(self, SINGLE) else original(self)

    def softmax(original):
        def patched_softmax(x, dim=None, dtype=None, **k):
            return original(x, dim=dim, dtype=None if x.dtype == torch.float64 else dtype)

        return patched_softmax

    with contextlib.ExitStack() as stack:
        stack.enter_context(patched(torch.Tensor, "to", to))
        stack.enter_context(patched(torch.Tensor, "type", to))
        stack.enter_context(patched(torch.Tensor, "type", to))
        stack.enter_context(patched(torch.Tensor, "float", to_single))
        stack.enter_context(patched(torch.nn.functional, "softmax", softmax))
        stack.enter_context(patched(torch, "softmax", softmax))
        stack.enter_context(patched(torch.Tensor, "softmax", softmax))
        # XGLM takes the lowest number for its mask from the default precision.
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(SINGLE)


def keep_angles_single(model):
    """Lets rotary modules round to single precision, as they do in single-precision models."""
    for module in model.modules():
        if "RotaryEmbedding" not in type(module).__name__:
            continue

        def forward(*arguments, original=module.forward, **keywords):
            global in_angles
            in_angles = True
            try:
                return original(*arguments, **keywords)
            finally:
                in_angles = False

        module.forward = forward


def compute_experts_in_turn(model):
    """Makes mixtures of experts call one expert after another, which works in double precision too."""
    config = model.config
    if hasattr(config, "num_local_experts") or hasattr(config, "num_experts"):
        model.set_experts_implementation("eager")


def build(model_type, fields):
    attention = fields.get("attn_implementation", "eager")
    config = transformers.AutoConfig.for_model(model_type, **fields)
    is_encoder_decoder = config.is_encoder_decoder
    auto = transformers.AutoModelForSeq2SeqLM if is_encoder_decoder else transformers.AutoModelForCausalLM
    if hasattr(config, "vision_config"):
        auto = transformers.AutoModelForImageTextToText
    model = auto.from_config(config, attn_implementation=attention, dtype=SINGLE)
    compute_experts_in_turn(model)
    model.eval()
    noise = torch.Generator().manual_seed(SEED_OF_WEIGHTS)
    tensors = dict(model.named_parameters())
    if hasattr(model, "final_logits_bias"):
        tensors["final_logits_bias"] = model.final_logits_bias
    # Trained, although no gradient leads there.
    tensors |= {name: buffer for name, buffer in model.named_buffers() if name.endswith("e_score_correction_bias")}
    fixed = {id(p) for m in model.modules() if "Sinusoidal" in type(m).__name__ for p in m.parameters()}
    with torch.no_grad():
        for tensor in tensors.values():
            if id(tensor) in fixed:
                continue
            # Norm weights and biases too: if they were ones and zeros, leaving them out would go unnoticed.
            values = 0.2 * torch.randn(tensor.shape, generator=noise)
            tensor.copy_((tensor + values if tensor.ndim == 1 else values).bfloat16())
    return model, config, is_encoder_decoder


def steps_of(target):
    """Returns the explained row and token of a sequence: a row in the middle, and a token that does not occur there."""
    return len(target) * 2 // 3, (target[0] * 5 + 1) % VOCABULARY


def truth(model, is_encoder_decoder):
    tensors, sequences = {}, []
    embedding = of_source = model.get_input_embeddings()
    if not getattr(model.config, "share_encoder_decoder_embeddings", model.config.model_type != "t5gemma"):
        embedding = model.get_decoder().embed_tokens
    for index, target in enumerate(TARGETS):
        source = SOURCES[index] if is_encoder_decoder else None
        if is_encoder_decoder:
            # generate() would add the start token in front of any other.
            target = [START, *target[1:]]
        row, token = steps_of(target)
        ids = lambda values: torch.tensor([values])
        embedded = embedding(ids(target)).detach().requires_grad_()
        leaves = {"target": embedded}
        if is_encoder_decoder:
            # The decoders of Marian and Pegasus scale the embeddings they are given, their encoders do not.
            # Attribution refers to the scaled embeddings.
            scale = getattr(model.get_encoder(), "embed_scale", 1.0)
            scale = scale if isinstance(scale, float) else 1.0
            leaves["source"] = (of_source(ids(source)) * scale).detach().requires_grad_()
            leaves["target"] = (embedded * scale).detach().requires_grad_()
            inputs = dict(inputs_embeds=leaves["source"], decoder_inputs_embeds=leaves["target"] / scale)
            prompt = dict(inputs=ids(source), decoder_input_ids=ids(target))
        else:
            inputs = dict(inputs_embeds=leaves["target"])
            prompt = dict(inputs=ids(target))
        logits = model(**inputs, use_cache=False).logits[0]
        probability = logits[row].softmax(-1)[token]
        gradients = torch.autograd.grad(probability, list(leaves.values()))
        tensors[f"logits.{index}"] = logits.detach().contiguous()
        for side, gradient in zip(leaves, gradients):
            tensors[f"{side}_gradient.{index}"] = gradient[0].contiguous()
        generated = model.generate(prompt.pop("inputs"), **prompt, max_new_tokens=NEW_TOKENS, do_sample=False)
        new = generated[0].tolist()[-NEW_TOKENS:]
        sequences.append(dict(source=source, target=target, row=row, token=token, generated=new))
    return tensors, sequences


def generate(name):
    folder = MODELS / name
    stored = write(folder, *FAMILIES[name])
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {stored} tensors, {size / 1000:.0f} kB")


def write(folder, model_type, fields):
    """Makes a model and its reference. Returns the number of its tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    with exact_tables():
        model, config, is_encoder_decoder = build(model_type, fields)
        model.generation_config = transformers.GenerationConfig(
            pad_token_id=0, eos_token_id=None, bos_token_id=1, decoder_start_token_id=START
        )
        stored = {k: v.detach() for k, v in model.state_dict().items()}
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink()
        shrink(folder)
        model = model.double()
        keep_angles_single(model)
        for module in model.modules():
            if hasattr(module, "classifier") and hasattr(module, "dtype"):
                # Switch Transformers name the precision of their routers.
                module.dtype = torch.float64
        with in_double_precision():
            tensors, sequences = truth(model, is_encoder_decoder)
    save_file(tensors, folder / "reference.safetensors")
    (folder / "reference.json").write_text(json.dumps(dict(sequences=sequences), indent=1) + "\n")
    return len(stored)


def write_maps(name):
    """Computes the scores of `attention` and `value_zeroing` for an existing model."""
    folder = MODELS / name
    with exact_tables():
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=SINGLE)
        compute_experts_in_turn(model)
        model = model.double().eval()
        keep_angles_single(model)
        with in_double_precision(), torch.no_grad():
            prefixes = [TARGETS[-1][:length] for length in range(1, len(TARGETS[-1]))]
            passes = [(model(torch.tensor([p]), output_attentions=True, output_hidden_states=True)) for p in prefixes]
            # [keys, layers] of the last row
            attention = [torch.stack([layer[0, :, -1].mean(0) for layer in out.attentions], -1) for out in passes]
            zeroing = [moved(model, prefix, out.hidden_states) for prefix, out in zip(prefixes, passes)]
    maps = dict(attention=torch.cat(attention), value_zeroing=torch.cat(zeroing))
    save_file(maps, folder / "maps.safetensors")
    print(f"{name}: maps")


def write_list():
    """Writes which model types generate text from text alone, and which from the output of an encoder."""
    auto = transformers.models.auto
    modeling, configuration = auto.modeling_auto, auto.configuration_auto
    listed = {"version": transformers.__version__}
    for key, classes in [
        ("decoder_only", modeling.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
        ("encoder_decoder", modeling.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES),
    ]:
        listed[key] = {name: configuration.CONFIG_MAPPING[name].model_type for name in sorted(classes)}
    path = MODELS.parent / "transformers.json"
    path.write_text(json.dumps(listed, indent=1) + "\n")


def moved(model, prefix, clean):
    """Returns how far each layer's output at the last row moves if one token's value is zeroed. `[keys, layers]`"""
    module = sys.modules[type(model).__module__]
    layers = []
    for layer in range(model.config.num_hidden_layers):
        distances = []
        for key in range(len(prefix)):

            def without_value(original, layer=layer, key=key):
                def forward(attention, query, keys, value, *arguments, **keywords):
                    if attention.layer_idx == layer:
                        value = value.clone()
                        value[:, :, key] = 0
                    return original(attention, query, keys, value, *arguments, **keywords)

                return forward

            with patched(module, "eager_attention_forward", without_value):
                zeroed = model(torch.tensor([prefix]), output_hidden_states=True).hidden_states
            a, b = clean[layer + 1][0, -1], zeroed[layer + 1][0, -1]
            distances.append(1 - torch.nn.functional.cosine_similarity(a, b, dim=0))
        distances = torch.stack(distances)
        distances = torch.where(distances < 1e-5, 0.0, distances)
        layers.append(distances / distances.sum().clamp_min(1e-300))
    return torch.stack(layers, -1)


def shrink(folder):
    """Stores tensors in bfloat16 if that loses nothing."""
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    small = {k: v.bfloat16() if torch.equal(v, v.bfloat16().to(v.dtype)) else v for k, v in tensors.items()}
    save_file({k: v.contiguous() for k, v in small.items()}, path, metadata={"format": "pt"})


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    names = sys.argv[1:]
    if "--list" in names:
        write_list()
        sys.exit()
    if "--maps" not in names:
        for family in names or FAMILIES:
            generate(family)
    for family in MAPS:
        if not set(names) - {"--maps"} or family in names:
            write_maps(family)
