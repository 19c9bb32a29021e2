"""Makes the models and goldens for the tests of text and weights.

Environment: Python 3.11, torch 2.15, transformers 5.23, tokenizers 0.23, gguf 0.19, accelerate, sentencepiece 0.2.

    python3 -m venv .venv && .venv/bin/pip install "torch==2.15.*" "transformers==5.23.*" gguf accelerate sentencepiece
    .venv/bin/python tests/text/generate.py            # the small models of this folder
    .venv/bin/python tests/text/generate.py --smollm2 .models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    .venv/bin/python tests/text/generate.py --smollm2 .models/smollm2-safetensors

Goldens hold, for each sample string, a hash of the ids a tokenizer gives it; the strings themselves are in strings.json.
"""

import argparse
import io
import json
import pathlib
import re
import shutil
import tempfile

import numpy
import torch
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, MarianTokenizer, PreTrainedTokenizerFast

from strings import sentences, strings

HERE = pathlib.Path(__file__).parent
MODELS = HERE / "models"
GOLDENS = HERE / "goldens"

PROMPTS = [
    "The capital of France is", "Once upon a time, there was a little girl who", "To boil an egg, first",
    "def add(a, b):\n    return", "The three primary colors are", "Water freezes at", "In 1969, Neil Armstrong",
    "The largest planet in the solar system is", "A haiku about the sea:\n", "List of fruits: apple, banana,",
    "<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nName a mammal.<|im_end|>\n<|im_start|>assistant\n", "Photosynthesis is the process by which",
    "My favorite season is winter because", "The opposite of hot is", "Shakespeare wrote", "import numpy as np\n\nx = np.",
    "Dear Sir or Madam,\n\n", "The quick brown fox", "Q: Who painted the Mona Lisa?\nA:",
]


def id_hash(ids):
    """Returns the 64-bit FNV-1a hash of the ids, as the test computes it."""
    value = 0xCBF29CE484222325
    for number in ids:
        value = ((value ^ number) * 0x100000001B3) % 2**64
    return f"{value:016x}"


def tokenizer_golden(name, encode):
    """Writes a hash of the ids for every sample string."""
    write(f"{name}.ids.json", [id_hash(encode(text)) for text in strings()])


def without_blanks(text, start, end):
    """Strips blanks from both sides of the range `start` to `end`. Unlike Python, we do not count control characters as blanks."""
    is_word = lambda index: not text[index].isspace() or text[index] in "\x1c\x1d\x1e\x1f"
    words = [index for index in range(start, end) if is_word(index)]
    return (words[0], words[-1] + 1) if words else (start, end)


def offsets_golden(name, tokenizer, own=None):
    """Writes a hash of the tokens' offsets in transformers, for the strings where the ids and ranges of `own` agree.

    Tokens that consist only of blanks are left out, because some of transformers' tokenizers give them no place.
    """
    goldens = []
    for text in strings():
        encoded = tokenizer(text, return_offsets_mapping=True)
        added = encoded.encodings[0].special_tokens_mask
        ranges = [without_blanks(text, *range) for range, added in zip(encoded.offset_mapping, added) if not added]
        is_word = [token.strip("▁Ġ") != "" for token, added in zip(tokenizer.convert_ids_to_tokens(encoded.input_ids), added) if not added]
        agrees = True
        if own:
            ids, own_ranges = own(text)
            # If a character has several pieces, SentencePiece gives the first of them an empty range.
            same = lambda own, range, is_word: not is_word or own[0] == own[1] or without_blanks(text, *own) == range
            agrees = ids == encoded.input_ids and all(map(same, own_ranges, ranges, is_word))
        flat = [place for range, is_word in zip(ranges, is_word) if is_word for place in range]
        goldens.append(id_hash(flat) if agrees else None)
    print(f"{name}: the offsets are known in {sum(golden is not None for golden in goldens)} of {len(goldens)} strings")
    write(f"{name}.offsets.json", goldens)


def piece_ranges(spm, text, special):
    """Returns the range of each piece according to SentencePiece itself. Special tokens are split off first."""
    ranges, done = [], 0
    for part in re.split("(" + "|".join(map(re.escape, special)) + ")", text):
        characters = lambda end: len(part.encode()[:end].decode())
        if part in special:
            ranges.append((done, done + len(part)))
        else:
            pieces = spm.encode(part, return_type="proto").pieces
            ranges += [(done + characters(piece.begin), done + characters(piece.end)) for piece in pieces]
        done += len(part)
    return ranges


def starts_golden(name, spm, special):
    """Writes a hash of the pieces' start positions according to SentencePiece."""
    write(f"{name}.starts.json", [id_hash([start for start, _ in piece_ranges(spm, text, special)]) for text in strings()])


def write(name, value):
    GOLDENS.mkdir(exist_ok=True)
    (GOLDENS / name).write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def digits_then_bytes():
    """Returns the pre-tokenizer in SmolLM2's own tokenizer.json; its GGUF file only names it `smollm`."""
    return pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])


def model_golden(name, model, tokenizer, prompts, new_tokens):
    """Writes prompts, greedy continuations, and the logits after the first prompts."""
    cases = []
    for index, prompt in enumerate(prompts):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            continued = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens, do_sample=False)
            case = {"prompt": prompt, "ids": ids[0].tolist(), "continuation": continued[0, ids.shape[1]:].tolist()}
            case["text"] = tokenizer.decode(continued[0], skip_special_tokens=True, clean_up_tokenization_spaces=False)
            if index < 3:
                logits = model(ids).logits[0, -1]
                case["logits"] = [round(value, 6) for value in logits[:: max(1, len(logits) // 256)].tolist()]
        cases.append(case)
    write(f"{name}.greedy.json", cases)


def small_vocabulary(size):
    """Returns a byte-level BPE trained on the test translations."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = digits_then_bytes()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(sentences(), trainer)
    return tokenizer


def interleaved(weight, heads):
    """Returns the weight with its rows in the order in which llama.cpp stores query and key projections."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def small_llama(vocabulary):
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
        tie_word_embeddings=True, initializer_range=0.2, bos_token_id=1, eos_token_id=2, pad_token_id=2)
    return LlamaForCausalLM(config).eval()


def write_gguf(path, model, tokenizer):
    """Writes a GGUF file as llama.cpp's converter would, with a different quantization for each kind of tensor."""
    import gguf
    from gguf.quants import quantize

    kinds = {"attn_q": "Q4_1", "attn_k": "Q8_0", "attn_v": "Q5_0", "attn_output": "F16", "ffn_gate": "Q4_0",
             "ffn_up": "Q5_1", "ffn_down": "BF16", "token_embd": "Q8_0"}
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(5000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(config.vocab_size)
    vocabulary = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(vocabulary["vocab"], key=vocabulary["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if index < 3 else 1 for index in range(len(tokens))])
    writer.add_token_merges([" ".join(merge) for merge in vocabulary["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
                             "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
    for name, tensor in model.state_dict().items():
        values = tensor.numpy().astype(numpy.float32)
        parts = name.split(".")
        if name == "lm_head.weight":
            continue
        if name == "model.embed_tokens.weight":
            stored = "token_embd"
        elif name == "model.norm.weight":
            stored = "output_norm"
        else:
            inside = names[".".join(parts[3:-1])]
            stored = f"blk.{parts[2]}.{inside}"
            if inside in ("attn_q", "attn_k"):
                heads = config.num_attention_heads if inside == "attn_q" else config.num_key_value_heads
                values = interleaved(values, heads)
        kind = gguf.GGMLQuantizationType[kinds.get(stored.split(".")[-1], "F32")]
        data = values if kind == gguf.GGMLQuantizationType.F32 else quantize(values, kind)
        writer.add_tensor(f"{stored}.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load_gguf(path):
    folder, name = str(path.parent), path.name
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # transformers splits `smollm` like GPT-2, which keeps the blanks before a digit together.
    tokenizer.backend_tokenizer.pre_tokenizer = digits_then_bytes()
    return model, tokenizer


def gguf_golden(name, path, prompts, new_tokens):
    model, tokenizer = load_gguf(path)
    tokenizer_golden(name, lambda text: tokenizer(text).input_ids)
    model_golden(name, model, tokenizer, prompts, new_tokens)


def tiny_gguf():
    folder = MODELS / "tiny-gguf"
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = small_vocabulary(420)
    path = folder / "tiny.gguf"
    write_gguf(path, small_llama(vocabulary.get_vocab_size()), vocabulary)
    gguf_golden("tiny-gguf", path, PROMPTS[:6], 12)


def pytorch_files():
    """Writes files of torch.save with every kind of tensor, as one file and in shards, and their contents as a golden."""
    torch.manual_seed(5)
    base = torch.randn(6, 4)
    tensors = {
        "single": base.clone(), "half": torch.randn(7).half(), "bfloat": torch.randn(2, 3).bfloat16(), "double": torch.randn(3).double(),
        "turned": base.t(), "part": base[2:4], "strided": base[:, ::2], "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4), "integers": torch.arange(4),
    }
    tensors["tied"] = tensors["single"]
    one, shards = MODELS / "pytorch-one", MODELS / "pytorch-shards"
    for folder in (one, shards):
        folder.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, one / "pytorch_model.bin")
    names, weight_map = list(tensors), {}
    for number, half in enumerate([names[:5], names[5:]], 1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: tensors[name] for name in half}, shards / file)
        weight_map |= dict.fromkeys(half, file)
    (shards / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    write("pytorch.json", {
        name: {"shape": list(tensor.shape), "values": tensor.detach().double().flatten().tolist()}
        for name, tensor in tensors.items() if name != "integers"
    })


def sentencepiece_model(path, size, kind, **extra):
    """Trains a SentencePiece model on the test translations. By default it has fairseq's and Llama's special tokens."""
    import sentencepiece

    arguments = dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1) | extra
    # Train into memory, because a model that is written to a file records that file's name.
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()), model_writer=model, vocab_size=size, model_type=kind,
        character_coverage=0.9995, minloglevel=2, **arguments)
    path.write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(str(path))


def tokenizer_config(folder, tokenizer_class, **fields):
    config = {"tokenizer_class": tokenizer_class, "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"} | fields
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def sentencepiece_golden(name, tokenizer, spm, frame, number, special):
    """Writes SentencePiece's own ids of a text, with the special tokens in it, which transformers splits off first.

    transformers 5 has a reimplementation of SentencePiece. The number of strings where it differs is printed.
    """
    def ids_of(text):
        parts = re.split("(" + "|".join(map(re.escape, special)) + ")", text)
        own = [id for part in parts for id in ([special[part]] if part in special else number(part))]
        return [*frame[0], *own, *frame[1]]

    differ, goldens = 0, []
    for text in strings():
        ids = ids_of(text)
        differ += ids != tokenizer(text).input_ids
        goldens.append(id_hash(ids))
    print(f"{name}: transformers' ids differ from SentencePiece's in {differ} of {len(goldens)} strings")
    write(f"{name}.ids.json", goldens)
    offsets_golden(name, tokenizer, lambda text: (ids_of(text), piece_ranges(spm, text, special)))
    starts_golden(name, spm, special)


def t5():
    folder = MODELS / "t5"
    folder.mkdir(parents=True, exist_ok=True)
    spm = sentencepiece_model(folder / "spiece.model", 400, "unigram", unk_id=2, bos_id=-1, eos_id=1, pad_id=0)
    tokenizer_config(folder, "T5Tokenizer", extra_ids=100)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sentencepiece_golden("t5", tokenizer, spm, ([], [1]), spm.encode, {"</s>": 1, "<pad>": 0, "<unk>": 2})
    assert tokenizer.convert_tokens_to_ids("<extra_id_0>") == 499, tokenizer.convert_tokens_to_ids("<extra_id_0>")


def m2m100():
    folder = MODELS / "m2m100"
    folder.mkdir(parents=True, exist_ok=True)
    spm = sentencepiece_model(folder / "sentencepiece.bpe.model", 400, "bpe", normalization_rule_name="identity")
    from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

    codes = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    pieces = [spm.id_to_piece(index) for index in range(3, spm.vocab_size())]
    vocabulary = {token: index for index, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps({
        "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "additional_special_tokens": codes}))
    tokenizer_config(folder, "M2M100Tokenizer", bos_token="<s>", src_lang="en", tgt_lang="fr")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer_golden("m2m100", lambda text: tokenizer(text).input_ids)
    tokenizer_golden("m2m100-target", lambda text: tokenizer(text_target=text).input_ids)
    starts_golden("m2m100", spm, ["<s>", "</s>", "<pad>", "<unk>"])
    write("m2m100.codes.json", {code: tokenizer.get_lang_id(code) for code in ["af", "en", "fr", "zu"]})


def mbart50():
    folder = MODELS / "mbart50"
    folder.mkdir(parents=True, exist_ok=True)
    spm = sentencepiece_model(folder / "sentencepiece.bpe.model", 400, "unigram", normalization_rule_name="identity")
    from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES

    (folder / "special_tokens_map.json").write_text(json.dumps({
        "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
        "additional_special_tokens": list(FAIRSEQ_LANGUAGE_CODES), "mask_token": {"content": "<mask>", "lstrip": True}}))
    tokenizer_config(folder, "MBart50Tokenizer", src_lang="en_XX", tgt_lang="fr_XX")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    code = tokenizer.convert_tokens_to_ids("en_XX")
    special = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    number = lambda text: [3 if index == 0 else index + 1 for index in spm.encode(text)]
    sentencepiece_golden("mbart50", tokenizer, spm, ([code], [2]), number, special)
    write("mbart50.codes.json", {code: tokenizer.convert_tokens_to_ids(code) for code in ["ar_AR", "en_XX", "fr_XX", "sl_SI", "<mask>"]})


def fairseq(name, tokenizer_class, code, behind):
    """Makes a tokenizer with language codes after its pieces. `behind` says whether a text's code follows it or precedes it."""
    folder = MODELS / name
    folder.mkdir(parents=True, exist_ok=True)
    spm = sentencepiece_model(folder / "sentencepiece.bpe.model", 400, "unigram" if behind else "bpe")
    from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES as mbart_codes
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as nllb_codes

    codes = list(mbart_codes if behind else nllb_codes)
    (folder / "special_tokens_map.json").write_text(json.dumps({
        "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>",
        "mask_token": {"content": "<mask>", "lstrip": True}}))
    # Ids as in fairseq. Without them, transformers would number NLLB's mask first.
    numbered = dict(enumerate([*codes, "<mask>"], spm.vocab_size() + 1))
    tokenizer_config(folder, tokenizer_class, src_lang=code, additional_special_tokens=codes, added_tokens_decoder={
        id: {"content": token, "special": True, "lstrip": token == "<mask>", "rstrip": False, "normalized": False, "single_word": False}
        for id, token in numbered.items()})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    number = lambda text: [3 if index == 0 else index + 1 for index in spm.encode(text)]
    own = tokenizer.convert_tokens_to_ids(code)
    frame = ([], [2, own]) if behind else ([own], [2])
    special = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    sentencepiece_golden(name, tokenizer, spm, frame, number, special)
    write(f"{name}.codes.json", {code: tokenizer.convert_tokens_to_ids(code) for code in [codes[0], code, codes[-1], "<mask>"]})


def llama():
    """Makes a SentencePiece BPE with byte fallback."""
    folder = MODELS / "llama"
    folder.mkdir(parents=True, exist_ok=True)
    spm = sentencepiece_model(
        folder / "tokenizer.model", 600, "bpe", byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True)
    tokenizer_config(folder, "LlamaTokenizer", bos_token="<s>", pad_token=None, add_bos_token=True, add_eos_token=False, legacy=False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    special = {"<s>": 1, "</s>": 2, "<unk>": 0}
    sentencepiece_golden("llama", tokenizer, spm, ([1], []), spm.encode, special)


def bart():
    """Makes a byte-level BPE like RoBERTa's and BART's."""
    folder = MODELS / "bart"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        list(sentences()), vocab_size=500, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False)
    tokenizer.save_model(str(folder))
    tokenizer_config(folder, "BartTokenizer", bos_token="<s>", cls_token="<s>", sep_token="</s>", mask_token="<mask>")
    loaded = AutoTokenizer.from_pretrained(folder)
    tokenizer_golden("bart", lambda text: loaded(text).input_ids)
    offsets_golden("bart", loaded)


def marian_separate():
    """Makes Marian with a vocabulary per side from that of the translation model, just as the test does."""
    original = HERE.parent / "models" / "lo-en-fr-tiny"
    target = json.loads((original / "vocab.json").read_text(encoding="utf-8"))
    # transformers uses the source's ids of special tokens on both sides, so those stay the same.
    last = len(target) - 1
    number = lambda id: id if id < 2 or id == last else last + 1 - id
    source = {token: number(id) for token, id in target.items() if id % 7 != 3}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for file in ("config.json", "source.spm", "target.spm"):
            shutil.copy(original / file, folder)
        (folder / "vocab.json").write_text(json.dumps(source), encoding="utf-8")
        (folder / "target_vocab.json").write_text(json.dumps(target), encoding="utf-8")
        tokenizer_config(folder, "MarianTokenizer", separate_vocabs=True)
        loaded = MarianTokenizer.from_pretrained(folder)
        encode_target = lambda text: loaded(text_target=text).input_ids
        tokenizer_golden("marian-source", lambda text: loaded(text).input_ids)
        tokenizer_golden("marian-target", encode_target)
        decoded = lambda text: loaded.decode(encode_target(text), skip_special_tokens=True)
        tokenizer_golden("marian-decoded", lambda text: map(ord, decoded(text)))


def described():
    """Writes offsets of tokens for the models of other suites."""
    import sentencepiece

    marian = HERE.parent / "models" / "lo-en-fr-tiny"
    special = ["</s>", "<unk>", "<pad>"]
    starts_golden("marian", sentencepiece.SentencePieceProcessor(str(marian / "source.spm")), special)
    for name in ("glass-en", "gpt2-random", "t5-random"):
        # Use the file as it is. The T5 class of transformers 5 would split at blanks whatever the file says.
        path = HERE.parent / "models" / name / "tokenizer.json"
        offsets_golden(name, PreTrainedTokenizerFast(tokenizer_file=str(path)))


def gpt2():
    """Makes a byte-level BPE with the files that the oldest GPT-2 checkpoints have."""
    folder = MODELS / "gpt2"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(list(sentences()), vocab_size=500, special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer.save_model(str(folder))
    tokenizer_config(folder, "GPT2Tokenizer", eos_token="<|endoftext|>", bos_token="<|endoftext|>", unk_token="<|endoftext|>", pad_token=None)
    (folder / "added_tokens.json").write_text(json.dumps({"<|im_start|>": 500, "<|im_end|>": 501}))
    loaded = AutoTokenizer.from_pretrained(folder)
    tokenizer_golden("gpt2", lambda text: loaded(text).input_ids)
    offsets_golden("gpt2", loaded)


def special_golden():
    """Writes the special ids of each tokenizer, by folder."""
    folders = [*(HERE / "models").iterdir(), *(HERE.parent / "models").iterdir()]
    # Folders with only a GGUF file or only weights have no tokenizer.
    named = [folder for folder in sorted(folders) if (folder / "tokenizer_config.json").exists()]
    load = lambda folder: AutoTokenizer.from_pretrained(folder)
    write("special.json", {str(f.relative_to(HERE.parent)): sorted(set(load(f).all_special_ids)) for f in named})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smollm2", type=pathlib.Path, help="SmolLM2-135M-Instruct, GGUF file or folder; makes its goldens only")
    arguments = parser.parse_args()
    write("strings.json", strings())
    if arguments.smollm2:
        if arguments.smollm2.is_dir():
            model = AutoModelForCausalLM.from_pretrained(arguments.smollm2, dtype=torch.float32).eval()
            model_golden("smollm2-safetensors", model, AutoTokenizer.from_pretrained(arguments.smollm2), PROMPTS, 24)
        else:
            gguf_golden("smollm2", arguments.smollm2, PROMPTS, 24)
        return
    tiny_gguf()
    pytorch_files()
    t5()
    m2m100()
    mbart50()
    fairseq("mbart", "MBartTokenizer", "en_XX", behind=True)
    fairseq("nllb", "NllbTokenizer", "eng_Latn", behind=False)
    llama()
    gpt2()
    bart()
    marian_separate()
    described()
    special_golden()


if __name__ == "__main__":
    main()
