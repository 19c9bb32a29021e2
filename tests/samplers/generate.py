#!/usr/bin/env python3
"""Makes the tiny masked language models of `tests/samplers/models`, and transformers' results for them.

    pip install "torch==2.15.*" "transformers==5.23.*"
    python tests/samplers/generate.py

Run it after `tests/models/make_random.py`. An existing tokenizer is kept, because trainers break ties in an
order that differs from run to run. Each folder has a whole checkpoint of random weights, in half
precision, its tokenizer, trained on the help texts of `tests/data`, and `reference.json`:

* `texts`: the parts before and after a mask, with the token ids of the whole text, and
  `reference.safetensors` with the logits at its mask, in double precision;
* `proposals`: for tokens of attributed models, the most likely other tokens at each position, mapped from the
  masked language model's tokens by their text. This is a second implementation, with transformers alone.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM
from transformers import RobertaConfig, RobertaForMaskedLM, XLMRobertaConfig, XLMRobertaForMaskedLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = pathlib.Path(__file__).parent / "models"
VOCABULARY = 400
POSITIONS = 48
SHAPE = dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)
# Factor by which weights are enlarged, so that predictions depend on the context.
LARGER = 8.0
COUNT = 6

TEXTS = [
    ("Click the", " to close the dialog."),
    ("", " a name and click OK."),
    ("Choose Format - ", ""),
    ("The page", " is printed, then the cell is em"),
    ("Gr\u00fc\u00dfe an ", " na\u00efve (test)"),
    # Too long for the model, so it is cut around the mask.
    ("The text is long. " * 12 + "It has a", " in its middle." + " More of it is behind." * 9),
]
PROPOSED = {
    "gpt2-random": ["Enter a name and click OK.", "Choose Format - Bullets"],
    "t5-random": ["Enter a name and click OK.", "Cliquez sur l'onglet."],
}


def main() -> None:
    torch.manual_seed(0)
    roberta = RobertaConfig(**SHAPE, max_position_embeddings=POSITIONS + 2, type_vocab_size=1, pad_token_id=1,
                            bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5)
    write("roberta", byte_level, RobertaForMaskedLM(roberta), {
        "tokenizer_class": "RobertaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>",
        "sep_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"})
    xlm = XLMRobertaConfig(**roberta.to_diff_dict())
    write("xlm-roberta", unigram, XLMRobertaForMaskedLM(xlm), {
        "tokenizer_class": "XLMRobertaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>",
        "sep_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"})
    bert = BertConfig(**SHAPE, max_position_embeddings=POSITIONS, pad_token_id=0)
    write("bert", word_piece, BertForMaskedLM(bert), {
        "tokenizer_class": "BertTokenizer", "do_lower_case": False, "cls_token": "[CLS]", "sep_token": "[SEP]",
        "unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"})


def help_texts() -> list[str]:
    lines = (ROOT / "tests/data/libreoffice-help-en-fr.train-5000.jsonl").read_text().splitlines()
    return [json.loads(line)["translation"]["en"] for line in lines[:1000]]


def byte_level() -> Tokenizer:
    """Returns a byte-level BPE like RoBERTa's: between ``<s>`` and ``</s>``, with a mask that absorbs the blank before it."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(help_texts(), trainer)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def unigram() -> Tokenizer:
    """Returns a unigram model like XLM-RoBERTa's, between ``<s>`` and ``</s>``."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=VOCABULARY - 1, special_tokens=special, unk_token="<unk>",
                                      show_progress=False)
    tokenizer.train_from_iterator(help_texts(), trainer)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


def word_piece() -> Tokenizer:
    """Returns a WordPiece model like BERT's, between ``[CLS]`` and ``[SEP]``."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(help_texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def write(name: str, train: Callable[[], Tokenizer], model: torch.nn.Module, settings: dict) -> None:
    folder = MODELS / name
    path = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path)) if path.exists() else train()
    assert tokenizer.get_vocab_size() <= VOCABULARY, "the model has a row for each token"
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            # Biases and norms are initially constant. Noise makes them matter in the tests too.
            if parameter.dim() == 1:
                parameter += 0.3 * noise
            else:
                parameter.copy_(noise * 0.02 * LARGER)
    model.half().save_pretrained(folder)
    tokenizer.save(str(path))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    write_reference(folder)


def write_reference(folder: pathlib.Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts, tensors = [], {}
    for index, (before, after) in enumerate(TEXTS):
        ids, mask = masked(tokenizer, before, after)
        texts.append({"before": before, "after": after, "ids": ids, "mask": mask})
        tensors[str(index)] = logits(model.double(), ids, mask)
    proposals = [
        proposed(tokenizer, model.float(), attributed, text) for attributed, texts in PROPOSED.items() for text in texts
    ]
    save_file(tensors, folder / "reference.safetensors")
    reference = {"texts": texts, "proposals": proposals}
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")


def masked(tokenizer, before: str, after: str) -> tuple[list[int], int]:
    """Returns the ids of a text with a mask, and the mask's position. A text that is too long is cut around the mask."""
    ids = tokenizer(before + tokenizer.mask_token + after)["input_ids"]
    mask = ids.index(tokenizer.mask_token_id)
    if len(ids) > POSITIONS:
        room = POSITIONS - 2
        start = min(max(mask - room // 2, 1), len(ids) - 1 - room)
        ids = ids[:1] + ids[start : start + room] + ids[-1:]
        mask = ids.index(tokenizer.mask_token_id)
    return ids, mask


@torch.no_grad()
def logits(model, ids: list[int], mask: int) -> torch.Tensor:
    return model(torch.tensor([ids])).logits[0, mask].contiguous()


def proposed(tokenizer, model, attributed: str, text: str) -> dict:
    """Returns the proposals for each token of ``text``, as tokens of an attributed model."""
    reader = Tokenizer.from_file(str(ROOT / "tests/models" / attributed / "tokenizer.json"))
    tokens = reader.encode(text).ids
    # If two tokens have the same text, the first one counts.
    counterparts = {behind_another(reader, id): id for id in reversed(range(reader.get_vocab_size()))}
    counterparts[None] = None
    own = tokenizer.backend_tokenizer
    pairs = {id: counterparts.get(behind_another(own, id)) for id in range(own.get_vocab_size())}
    positions = []
    for index, token in enumerate(tokens):
        before, through = reader.decode(tokens[:index]), reader.decode(tokens[: index + 1])
        found = []
        if len(through) > len(before):
            scores = logits(model, *masked(tokenizer, before, reader.decode(tokens)[len(through) :]))
            for id in scores.argsort(descending=True, stable=True).tolist():
                other = pairs.get(id)
                if other is not None and other != token and other not in [known for known, _ in found]:
                    found.append((other, scores[id].item()))
        positions.append(found[:COUNT])
    return {"attributed": attributed, "tokens": tokens, "positions": positions}


def behind_another(tokenizer: Tokenizer, id: int) -> str | None:
    """Returns the text of a token after the text "a", including its blank; ``None`` for special tokens."""
    first = tokenizer.encode("a", add_special_tokens=False).ids
    text = tokenizer.decode(first + [id]).removeprefix("a")
    return None if not text or "\ufffd" in text else text


if __name__ == "__main__":
    main()
