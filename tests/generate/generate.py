"""Makes the goldens of generation: how transformers' `generate` continues prompts of the small models.

Environment: Python 3.11, torch 2.15, transformers 5.23.

    python3 -m venv .venv && .venv/bin/pip install "torch==2.15.*" "transformers==5.23.*" sentencepiece
    .venv/bin/python tests/generate/generate.py

Each prompt is continued alone, in float32. Sampling is not compared, because transformers draws from torch's generator.
"""

import json
import pathlib

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

HERE = pathlib.Path(__file__).parent
MODELS = HERE.parent / "models"
DATA = HERE.parent / "data" / "libreoffice-help-en-fr.test.jsonl"

OPTIONS = [
    {}, {"max_new_tokens": 8}, {"max_length": 12}, {"min_new_tokens": 15, "max_new_tokens": 24},
    {"repetition_penalty": 1.3}, {"no_repeat_ngram_size": 2, "max_new_tokens": 24}, {"num_beams": 2}, {"num_beams": 4, "max_new_tokens": 24},
    {"num_beams": 4, "length_penalty": 2.0, "max_new_tokens": 24}, {"num_beams": 4, "length_penalty": -1.0, "max_new_tokens": 24},
    {"num_beams": 4, "early_stopping": True, "max_new_tokens": 24}, {"num_beams": 3, "early_stopping": "never", "max_new_tokens": 16},
    {"num_beams": 4, "num_return_sequences": 3, "max_new_tokens": 12}, {"num_beams": 3, "no_repeat_ngram_size": 3, "max_new_tokens": 24},
    {"num_beams": 3, "repetition_penalty": 1.2, "min_new_tokens": 6, "max_new_tokens": 12},
]


def case(model, source, prompt, options):
    """Continues one prompt. The golden is the continuation, without padding."""
    inputs = source if source is not None else prompt
    keywords = dict(options)
    if source is not None:
        keywords["decoder_start_token_id"] = prompt[0]
        if len(prompt) > 1:
            keywords["decoder_input_ids"] = torch.tensor([prompt])
    ids = torch.tensor([inputs])
    with torch.no_grad():
        sequences = model.generate(ids, attention_mask=torch.ones_like(ids), **keywords)
    ends = options.get("eos_token_id", model.generation_config.eos_token_id)
    ends = [ends] if isinstance(ends, int) else ends or []
    return {"source": source or [], "prompt": prompt, "options": options,
            "sequences": [until_end(sequence[len(prompt):].tolist(), ends) for sequence in sequences]}


def until_end(ids, ends):
    """Cuts off the padding that `generate` adds to shorter sequences."""
    for index, token in enumerate(ids):
        if token in ends:
            return ids[: index + 1]
    return ids


def marian():
    folder = MODELS / "lo-en-fr-tiny"
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [json.loads(line)["translation"] for line in DATA.read_text(encoding="utf-8").splitlines()]
    rows = sorted(rows, key=lambda row: len(row["en"]))[20:140:20]
    start = model.config.decoder_start_token_id
    cases = []
    for index, row in enumerate(rows):
        source = tokenizer(row["en"]).input_ids
        target = tokenizer(text_target=row["fr"]).input_ids[:-1]
        own = [{"bad_words_ids": [[target[0]], target[:2]], "num_beams": 2}, {"suppress_tokens": target[:2]},
               {"begin_suppress_tokens": target[:1]}, {"forced_bos_token_id": target[-1], "num_beams": 3, "max_new_tokens": 10},
               {"forced_bos_token_id": target[-1], "begin_suppress_tokens": target[:1], "max_new_tokens": 10},
               {"forced_eos_token_id": [0, 5], "max_new_tokens": 5, "num_beams": 2}, {"eos_token_id": [0, 4, 6, 8], "num_beams": 2}]
        # Each option is used with several prompts, but not with all of them.
        for number, options in enumerate(OPTIONS + own):
            if (number + index) % 2 == 0 or not options:
                cases.append(case(model, source, [start], options))
        cases.append(case(model, source, [start, *target[:2]], {"num_beams": 1 + index % 3}))
    return cases


def glass():
    folder = MODELS / "glass-en"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    cases = []
    for index, text in enumerate(["The cat", "Once upon a time there was", "Hello", "What is the colour of the sky? It", "She said that she would"]):
        prompt = tokenizer(text).input_ids
        first = case(model, None, prompt, {})["sequences"][0]
        own = [{"eos_token_id": [first[2], 3]}, {"eos_token_id": [first[3], first[5]], "num_beams": 3}, {"bad_words_ids": [first[:2], [first[4]]]},
               {"max_length": len(prompt) + 3}, {"min_length": len(prompt) + 9, "eos_token_id": first[2]}]
        for number, options in enumerate(OPTIONS + own):
            if (number + index) % 2 == 0 or not options:
                cases.append(case(model, None, prompt, options))
    return cases


FAMILIES = ["t5", "bart", "m2m_100", "gpt2", "bloom", "gemma2", "mistral", "mixtral", "qwen3"]
FAMILY_OPTIONS = [{}, {"num_beams": 3}, {"num_beams": 4, "length_penalty": 2.0, "max_new_tokens": 10}, {"repetition_penalty": 1.3},
                  {"num_beams": 2, "no_repeat_ngram_size": 2, "max_new_tokens": 12}, {"num_beams": 3, "early_stopping": True, "max_new_tokens": 8}]


def family(name):
    """Makes prompts of random tokens for one of the tiny random models."""
    folder = HERE.parent / "families" / "models" / name
    config = AutoConfig.from_pretrained(folder)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    draw = torch.Generator().manual_seed(11)
    cases = []
    for length in (3, 7):
        ids = torch.randint(5, config.vocab_size, (length,), generator=draw).tolist()
        source, prompt = (ids, [getattr(config, "decoder_start_token_id", config.pad_token_id)]) if config.is_encoder_decoder else (None, ids)
        cases += [case(model, source, prompt, options) for options in FAMILY_OPTIONS]
    return cases


def main():
    (HERE / "goldens").mkdir(exist_ok=True)
    small = [(f"family-{name}", family(name)) for name in FAMILIES]
    for name, cases in [("lo-en-fr-tiny", marian()), ("glass-en", glass()), *small]:
        lines = ",\n".join(json.dumps(case) for case in cases)
        (HERE / "goldens" / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(name, len(cases), "cases")


if __name__ == "__main__":
    main()
