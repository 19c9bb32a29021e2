#!/usr/bin/env python3
"""Makes ``gpt2-random``, ``t5-random`` and ``t5-relu-random``: whole checkpoints, tokenizers included.

    pip install "torch==2.15.*" "transformers==5.23.*"
    python tests/models/make_random.py

Their tokenizers are trained on the help texts of ``tests/data``, their weights are random: what is
proven with them is arithmetic, for which no training is needed. Weights are large enough for
predictions to depend on the inputs, and rounded to half precision, which every precision holds.
"""

from __future__ import annotations

import json
import pathlib

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

ROOT = pathlib.Path(__file__).resolve().parents[2]
VOCABULARY = 320
# Weights this many times as large as the initialisation's, whose models predict nearly the same everywhere.
LARGER = {"gpt2-random": 4.0, "t5-random": 1.0, "t5-relu-random": 1.0}


def main() -> None:
    write("gpt2-random", byte_level(), gpt2(), {"tokenizer_class": "GPT2Tokenizer", "unk_token": "<|endoftext|>",
          "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"})
    t5_tokens = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "unk_token": "<unk>", "eos_token": "</s>",
                 "pad_token": "<pad>"}
    write("t5-random", unigram(), t5("gated-gelu", 48), t5_tokens)
    # The T5 of the paper. Its activation is one that Captum's DeepLIFT knows.
    write("t5-relu-random", unigram(), t5("relu", 24), t5_tokens)


def texts() -> list[str]:
    lines = (ROOT / "tests/data/libreoffice-help-en-fr.train-5000.jsonl").read_text().splitlines()
    return [text for line in lines[:1000] for text in json.loads(line)["translation"].values()]


def byte_level() -> Tokenizer:
    """Returns byte-level BPE, the start and end token last, as GPT-2's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 1, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def unigram() -> Tokenizer:
    """Returns a unigram model that ends each text with ``</s>``, as T5's."""
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


def write(name: str, tokenizer: Tokenizer, model: torch.nn.Module, settings: dict) -> None:
    folder = ROOT / "tests/models" / name
    assert tokenizer.get_vocab_size() <= VOCABULARY, "the model has a row for each token"
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            # Biases and norms are constant at the start; here they matter too.
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter += 0.1 * noise
            else:
                parameter.copy_(noise * parameter.std() * LARGER[name])
    model.half().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
