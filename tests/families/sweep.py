"""Makes models with one or several configuration switches changed at random, to test how we read them.

    .venv/bin/python tests/families/sweep.py FOLDER [--seed 1] [--combined 4] [FAMILY ...]
    WHENCE_SWEEP=FOLDER cargo test -p whence-tests --test families a_sweep

A switch is any field that transformers' code of the family reads from its configuration and that
can change what a model computes; `SWITCHES` has the values that are worth trying. Fields that the
code does not read are changed too: we must not read them either. The last model of a family has a
`config.json` without the fields that have transformers' defaults. Configurations that transformers
itself cannot run are left out.

A model that reveals a difference becomes a row of `FAMILIES` in `generate.py` once the defect is fixed.
"""

import argparse
import contextlib
import importlib
import inspect
import io
import json
import pathlib
import random
import re

import torch
import transformers

import generate
from generate import DECODER, FAMILIES, LLAMA3, LONGROPE, YARN

# The first model of each type shows the names of the family's size fields.
BASES = {}
for _name, (_type, _fields) in FAMILIES.items():
    BASES.setdefault(_type, _fields)

# Fields for training, other heads, the wrapping of outputs, or sizes.
IRRELEVANT = re.compile(
    r"drop|jitter|init|label|problem_type|aux_loss|output_|return_dict|use_cache|dtype|summary|attn_impl|_name"
    r"|model_type|architectures|vocab_size|chunk_size|transformers_version|is_encoder_decoder|router_logits"
    r"|^(hidden_size|d_model|n_embd|num_.*layers?|n_layers?|.*_layers|.*ffn_dim|intermediate_size|n_inner|d_ff"
    r"|n_positions|n_ctx|max_position_embeddings|max_seq_len|cross_attention_hidden_size|add_cross_attention)$"
)
ACTIVATIONS = ["gelu", "gelu_new", "gelu_fast", "relu", "swish", "gelu_python", "linear", "gelu_accurate"]
IDS = [0, 1, 3, 7, 17, 31, 47, None]
ROPES = [
    {"rope_type": "default", "rope_theta": 100.0},
    {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    {"rope_type": "linear", "rope_theta": 500.0, "factor": 3.0},
    {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 2.0},
    LLAMA3, YARN, YARN | {"attention_factor": 0.7}, YARN | {"mscale": 0.7, "mscale_all_dim": 0.4},
    YARN | {"truncate": False}, YARN | {"beta_slow": 0.5, "partial_rotary_factor": 0.5},
    LLAMA3 | {"rope_theta": 77.0, "partial_rotary_factor": 0.5},
    LONGROPE, LONGROPE | {"attention_factor": 1.3}, LONGROPE | {"factor": 4.0},
]
SWITCHES = {
    "rope_parameters": ROPES,
    "sliding_window": [1, 3, 5, None],
    "attention_window": [3],
    "window_size": [1, 2, 9],
    "max_window_layers": [0, 1, 2, 7],
    "layer_types": [["sliding_attention", "full_attention"], ["full_attention", "sliding_attention"], ["full_attention"] * 2],
    "no_rope_layers": [[1, 1], [0, 1], [0, 0]],
    "no_rope_layer_interval": [1, 2, 3],
    "num_key_value_heads": [1, 4, None],
    "num_kv_heads": [1, 4],
    "head_dim": [4, 6, 8, 10, None],
    "rotary_dim": [2, 6, 8, None],
    "rotary_pct": [0.25, 1.0],
    "partial_rotary_factor": [0.25, 1.0],
    "clip_qkv": [0.3],
    "attention_types": [[[["local", "global"], 1]], [[["local"], 2]], [[["global"], 2]]],
    "attn_config": [
        {"alibi": False}, {"alibi_bias_max": 4}, {"qk_ln": True}, {"clip_qkv": 0.2, "softmax_scale": 0.4},
        {"prefix_lm": True}, {"attn_uses_sequence_id": True}, {"attn_type": "multiquery_attention"},
    ],
    "feed_forward_proj": ["relu", "gated-gelu", "gated-silu", "gelu", "gated-relu", "gelu_new", "silu"],
    "dense_act_fn": ["relu", "silu"],
    "num_experts_per_tok": [1, 3],
    "num_local_experts": [2, 5],
    "logit_scale": [0.3, 2.0],
    "norm_type": ["low_precision_layernorm", "rmsnorm"],
    "word_embed_proj_dim": [16],
    "ffn_hidden_size": [24, 56],
    "pretraining_tp": [2],
    "query_pre_attn_scalar": [4, 9, 13.5],
    "attn_logit_softcapping": [0.8, None],
    "final_logit_softcapping": [2.0, None],
    "relative_attention_num_buckets": [4, 6, 16],
    "relative_attention_max_distance": [5, 16, 128],
    "expansion_ratio": [2],
    "activation": ACTIVATIONS,
    "activation_function": ACTIVATIONS,
    "hidden_act": ACTIVATIONS,
    "hidden_activation": ACTIVATIONS,
    "d_kv": [4, 8],
}
# Fields that transformers 5.23 does not read, but that occur in files.
UNREAD = {
    "normalize_before": [True, False], "normalize_embedding": [True, False], "add_final_layer_norm": [True, False],
    "add_bias_logits": [True], "extra_pos_embeddings": [1], "static_position_embeddings": [True, False],
    "force_bos_token_to_be_generated": [True], "gradient_checkpointing": [True], "n_ctx": [8], "use_parallel_residual": [True, False],
}


def values_of(name, default):
    """Returns the values worth trying for a field with this default."""
    if name in SWITCHES:
        return SWITCHES[name]
    if name.endswith("token_id"):
        return IDS
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, float):
        return [default * 0.4 + 0.07, default * 1.9 + 0.11] if default > 0.01 else [1e-2, 1e-3]
    return []


def switches(model_type):
    """Returns the fields of a family that can be changed, with their values."""
    with silence():
        config = transformers.AutoConfig.for_model(model_type)
    known = config.to_dict()
    module = importlib.import_module(type(config).__module__.replace("configuration", "modeling"))
    read = set(re.findall(r"config\.([A-Za-z_0-9]+)", inspect.getsource(module))) | set(known) | {"sliding_window"}
    found = {}
    for name in sorted(read):
        if IRRELEVANT.search(name) or name.startswith("_"):
            continue
        default = known.get(name, getattr(config, name, None))
        if values := values_of(name, default):
            found[name] = values
    return found | UNREAD


def silence():
    return contextlib.redirect_stderr(io.StringIO())


def turned(model_type, combined, choice):
    """Yields the names and fields of a family's models."""
    base = dict(BASES[model_type])
    all_switches = switches(model_type)
    for name, values in all_switches.items():
        for index, value in enumerate(values):
            yield f"{name}-{index}", base | {name: value}
    for number in range(combined):
        several = choice.sample(sorted(all_switches), min(len(all_switches), choice.randint(3, 6)))
        yield f"combined-{number}", base | {name: choice.choice(all_switches[name]) for name in several}


def strip_defaults(folder, model_type):
    """Removes the fields of a `config.json` that have transformers' defaults."""
    path = folder / "config.json"
    fields = json.loads(path.read_text())
    with silence():
        default = transformers.AutoConfig.for_model(model_type).to_dict()
    kept = {k: v for k, v in fields.items() if k == "model_type" or k not in default or default[k] != v}
    path.write_text(json.dumps(kept, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(BASES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--combined", type=int, default=4, help="models of a family with several switches turned")
    arguments = parser.parse_args()
    choice = random.Random(arguments.seed)
    for model_type in arguments.families or BASES:
        cases = [*turned(model_type, arguments.combined, choice), ("stripped", BASES[model_type])]
        for name, fields in cases:
            folder = arguments.folder / f"{model_type}.{name}"
            try:
                with silence(), contextlib.redirect_stdout(io.StringIO()):
                    generate.write(folder, model_type, fields)
                if name == "stripped":
                    strip_defaults(folder, model_type)
            except Exception as error:
                print(f"left out {folder.name}: {type(error).__name__}: {str(error).splitlines()[0][:90]}")
                for file in folder.iterdir() if folder.exists() else []:
                    file.unlink()
                if folder.exists():
                    folder.rmdir()
        print(f"{model_type}: {len(cases)} tried", flush=True)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    # One thread: the models are so small that several would only wait for each other.
    torch.set_num_threads(1)
    generate.NEW_TOKENS = 6
    main()
