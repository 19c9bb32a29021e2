#!/usr/bin/env python3
"""Makes the models ``…-random`` in this folder: whole checkpoints, including tokenizers.

    pip install "torch==2.15.*" "transformers==5.23.*"
    python tests/models/make_random.py            # all of them
    python tests/models/make_random.py gpt2-random

Their tokenizers are trained on the help texts of ``tests/data``. Their weights are random, because they
only test arithmetic, for which no training is needed. Weights are large enough for
predictions to depend on the inputs, and rounded to half precision, so that every precision holds them.
"""

from __future__ import annotations

import json
import pathlib
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Phi3Config,
    Phi3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    XGLMConfig,
    XGLMForCausalLM,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
VOCABULARY = 320
# Factors by which weights are enlarged. With the initial weights, predictions would hardly depend on the input.
LARGER = {"gpt2-random": 4.0, "xglm-random": 4.0, "phi3-random": 8.0}
GPT2_TOKENS = {"tokenizer_class": "GPT2Tokenizer", "unk_token": "<|endoftext|>", "bos_token": "<|endoftext|>",
               "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
T5_TOKENS = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "unk_token": "<unk>", "eos_token": "</s>",
             "pad_token": "<pad>"}


def main() -> None:
    # Always make all of them in this order, whichever are written: weights depend on the draws before.
    models = {
        "gpt2-random": (byte_level(), gpt2(), GPT2_TOKENS),
        "t5-random": (unigram(), t5("gated-gelu", 48), T5_TOKENS),
        # T5 as in the paper. Captum's DeepLIFT has a rule for its activation.
        "t5-relu-random": (unigram(), t5("relu", 24), T5_TOKENS),
        "xglm-random": (byte_level(), xglm(), GPT2_TOKENS),
        "phi3-random": (byte_level(), phi3(), GPT2_TOKENS),
    }
    for name in sys.argv[1:] or models:
        write(name, *models[name])


def texts() -> list[str]:
    lines = (ROOT / "tests/data/libreoffice-help-en-fr.train-5000.jsonl").read_text().splitlines()
    return [text for line in lines[:1000] for text in json.loads(line)["translation"].values()]


def byte_level() -> Tokenizer:
    """Returns a byte-level BPE like GPT-2's, with the start and end token last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 1, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def unigram() -> Tokenizer:
    """Returns a unigram model like T5's, which ends each text with ``</s>``."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def gpt2() -> GPT2LMHeadModel:
    last = VOCABULARY - 1
    shape = dict(vocab_size=VOCABULARY, n_embd=48, n_layer=2, n_head=4, n_positions=128)
    return GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=last, eos_token_id=last))


def t5(feed_forward: str, width: int) -> T5ForConditionalGeneration:
    shape = dict(vocab_size=VOCABULARY, d_model=width, d_kv=width // 4, d_ff=2 * width, num_layers=2, num_heads=4)
    tokens = dict(decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)
    return T5ForConditionalGeneration(T5Config(**shape, **tokens, feed_forward_proj=feed_forward))


def xglm() -> XGLMForCausalLM:
    """Returns an XGLM with more rows than tokens, whose configuration has its own ids for special tokens."""
    shape = dict(vocab_size=VOCABULARY + 8, d_model=24, ffn_dim=24, num_layers=2, attention_heads=4)
    return XGLMForCausalLM(XGLMConfig(**shape, max_position_embeddings=64))


def phi3() -> Phi3ForCausalLM:
    """Returns a Phi-3 that uses its long-RoPE factors for texts with more than eight tokens."""
    last = VOCABULARY - 1
    shape = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=24, num_hidden_layers=2,
                 num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
    rope = dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.1, 1.3, 1.7],
                long_factor=[2.0, 3.0, 4.0, 5.0])
    return Phi3ForCausalLM(Phi3Config(
        **shape, original_max_position_embeddings=8, rope_parameters=rope, pad_token_id=last, bos_token_id=last,
        eos_token_id=last))


def in_older_words(path: pathlib.Path) -> None:
    """Rewrites the rotation fields so that transformers 4 understands them too: it makes the goldens of value zeroing."""
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope["rope_theta"]
    config["rope_scaling"] = {"type": "longrope", **{k: rope[k] for k in ("short_factor", "long_factor")}}
    path.write_text(json.dumps(config, indent=2) + "\n")


def write(name: str, tokenizer: Tokenizer, model: torch.nn.Module, settings: dict) -> None:
    folder = ROOT / "tests/models" / name
    assert tokenizer.get_vocab_size() <= VOCABULARY, "the model has a row for each token"
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            # Biases and norms are initially constant. Noise makes them matter in the tests too.
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter += 0.1 * noise
            else:
                parameter.copy_(noise * parameter.std() * LARGER.get(name, 1.0))
    model.half().save_pretrained(folder)
    if name == "phi3-random":
        in_older_words(folder / "config.json")
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
