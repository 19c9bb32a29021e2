"""Makes `goldens/chats.json`: how transformers renders the conversations below with the templates in `chats/`.

Environment: Python 3.11, transformers 5.23, jinja2 3.1.

    python3 -m venv .venv && .venv/bin/pip install "transformers==5.23.*" jinja2
    .venv/bin/python tests/text/chats.py

The templates are our own. Each covers one feature of templates in use: blocks that strip blanks, namespaces,
macros, tools, parts of a message, thoughts, the date, marks around the assistant's text.
"""

import datetime
import json
import pathlib

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent

TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Says the weather <now> & here, \"outside\".",
     "parameters": {"type": "object", "properties": {"zone": {"type": "string"}, "at": {"type": "number", "default": 1.5}},
                    "required": ["zone"]}}},
    {"type": "function", "function": {"name": "zeit", "parameters": {}}},
]
DOCUMENTS = [{"title": "B", "text": "Second letter, ü."}, {"text": "First", "title": "A", "score": 0.25}]

CONVERSATIONS = [
    [{"role": "user", "content": "The cat sat?"}],
    [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Say <b>\"é\" & 'x'</b>\n"}],
    [{"role": "user", "content": "One\r\nand a half"}, {"role": "assistant", "content": "Two"},
     {"role": "user", "content": "Thr\tee 日本 😀"}],
    [{"role": "user", "content": "Now?"},
     {"role": "assistant", "content": None, "tool_calls": [{"zone": "Paris", "at": 5, "name": "weather"}]},
     {"role": "tool", "name": "weather", "content": "{\"b\": 1, \"a\": 2}"},
     {"role": "user", "content": [{"type": "text", "text": "Why?"}, {"type": "image"}, {"type": "text", "text": " Say."}]}],
    [{"role": "user", "content": "2 + 2"}, {"role": "assistant", "content": "<think>\nfour?\n</think>\n\n4"},
     {"role": "user", "content": "And 3?"}, {"role": "assistant", "reasoning": "\nthree\n", "content": "6", "name": None}],
]


class Then(datetime.datetime):
    """A clock that always gives the date that the tests use."""

    @classmethod
    def now(cls, tz=None):
        return cls(2026, 11, 5)


def main():
    chat_template_utils.datetime = Then
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE.parent / "models" / "glass-en" / "tokenizer.json"),
                                        bos_token="<s>", eos_token="</s>")
    cases = []
    for path in sorted((HERE / "chats").glob("*.jinja")):
        template = path.read_text(encoding="utf-8")
        for index, conversation in enumerate(CONVERSATIONS):
            given = {"enable_thinking": False} if index % 2 else {"tools": TOOLS, "documents": DOCUMENTS}
            try:
                text = tokenizer.apply_chat_template(
                    conversation, chat_template=template, tokenize=False, add_generation_prompt=True, **given)
            except TemplateError as error:
                text = {"refused": str(error)}
            cases.append({"template": path.stem, "messages": json.dumps(conversation, ensure_ascii=False),
                          "given": json.dumps(given, ensure_ascii=False), "text": text})
    golden = HERE / "goldens" / "chats.json"
    golden.write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
