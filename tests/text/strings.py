"""Varied strings to tokenize: real sentences, hand-picked oddities, seeded random Unicode."""

import json
import pathlib
import random

DATA = pathlib.Path(__file__).parent.parent / "data" / "libreoffice-help-en-fr.test.jsonl"

ODDITIES = [
    " ", "  ", "\n", "\t\n ", " leading", "trailing ", "  two  blanks  inside  ", "a\n\nb\r\nc\td",
    "don't I'LL we've IT'S they'd", "12345 1 22 3.14 1,000,000 ½ ² Ⅷ ٣٤", "  12  345", "x1y2z3", "1st 2nd",
    "Hello, world! (it's) [a] {test} <b>&amp;</b>", "...!!! ??? --- ___ ***", "user@example.com https://a.b/c?d=e#f",
    "snake_case camelCase kebab-case SHOUTING", "\u00e9 e\u0301 \u00c5 A\u030a \u212b", "ﬁ ﬂ ﬃ ① ㍿ Ａｂｃ", "ß ẞ ı İ ς σ Σ",
    "日本語のテキスト、漢字とかな。", "中文字符 混合 English", "한국어 문장입니다", "नमस्ते दुनिया", "สวัสดีชาวโลก", "مرحبا بالعالم",
    "שלום עולם", "Привет, мир!", "Γειά σου Κόσμε", "👍 👍🏽 👨‍👩‍👧‍👦 🇫🇷 ☃️", "\u200b zero\u200bwidth \u200d\u2060", "\u00a0nbsp\u00a0",
    "\ufeffbom", "a\u0000b", "\u0001\u001f\u007f", "\u2028line\u2029paragraph", "\u3000ideographic\u3000blank", "▁ ▁▁a a▁b",
    "Ġ Ċ Ġa", "<s> </s> <unk> <pad>", "<|endoftext|>", "<|im_start|>user\nhi<|im_end|>", "a</s>b", "<|endoftext|><|endoftext|> x",
    "[UNK] [PAD] [MASK]", "\ud7ff \ue000 \uffff", "\U0001f600\U00010348", "a" * 200, "ab " * 60, "é" * 50, "the the the the",
]


def sentences():
    """Yields both sides of the test translations."""
    for line in DATA.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield from row["translation"].values()


def random_strings(count, seed=7):
    """Yields random mixtures of words, blanks and characters from many Unicode ranges."""
    rng = random.Random(seed)
    words = "the cat sat on Été naïve code 42 I'm can't GPT-4 über 東京 мир test\n \t  ... ' \" $9.99".split(" ")
    planes = [(0x20, 0x7E), (0xA0, 0x17F), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0x3040, 0x30FF),
              (0x4E00, 0x4FFF), (0xAC00, 0xAD00), (0x2000, 0x206F), (0x2150, 0x218F), (0xFB00, 0xFB06), (0x1F300, 0x1F64F)]
    for _ in range(count):
        pieces = []
        for _ in range(rng.randint(1, 12)):
            if rng.random() < 0.5:
                pieces.append(rng.choice(words))
            else:
                low, high = rng.choice(planes)
                pieces.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 4))))
            if rng.random() < 0.6:
                pieces.append(" " * rng.randint(1, 3))
        yield "".join(pieces)


def strings():
    """Returns all sample strings without duplicates: more than a thousand."""
    unique = dict.fromkeys([*ODDITIES, *sentences(), *random_strings(500)])
    return [text for text in unique if text]
