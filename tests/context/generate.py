"""Makes the goldens of attribute-context: what the real Inseq computes with the small models.

Environment, as for `tests/golden/generate.py`: inseq 0.7.1, torch 2.15, transformers 5.23.

    .venv/golden/bin/python tests/context/generate.py [CASE ...]

Run it from the root of the repository. Each case becomes one file, ``tests/context/goldens/CASE.json``:
the arguments, and Inseq's output as it would save it, with numbers rounded to seven digits. If the
rows of the target begin with a start token, Inseq reads the scores of a context there one row too
early; ``rightly_read`` has them from the rows of their own tokens.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import inseq
import torch
from inseq.commands.attribute_context import attribute_context, attribute_context_args

from cases import CASES, Case

MODELS = Path("tests/models")
GOLDENS = Path(__file__).parent / "goldens"


def main() -> None:
    torch.set_num_threads(1)
    names = sys.argv[1:] or list(CASES)
    for name in names:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            model = inseq.load_model(
                str(model_folder(case, Path(folder))),
                case.arguments.get("attribution_method", "saliency"),
                model_kwargs={"dtype": torch.float32},
            )
            write(name, case, model)


def model_folder(case: Case, folder: Path) -> Path:
    """Returns the folder of the model. For a tokenizer with a start token, makes a copy with one."""
    own = MODELS / case.model
    if not case.with_bos:
        return own
    for file in own.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = json.loads((own / "tokenizer.json").read_text(encoding="utf-8"))
    bos = json.loads((own / "tokenizer_config.json").read_text(encoding="utf-8"))["bos_token"]
    (id,) = (token["id"] for token in tokenizer["added_tokens"] if token["content"] == bos)
    start, text = {"SpecialToken": {"id": bos, "type_id": 0}}, lambda name: {"Sequence": {"id": name, "type_id": 0}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [start, text("A")],
        "pair": [start, text("A"), text("B")],
        "special_tokens": {bos: {"id": bos, "ids": [id], "tokens": [bos]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def write(name: str, case: Case, model) -> None:
    arguments = {
        "model_name_or_path": case.model,
        "attribution_method": "saliency",
        "show_viz": False,
        "add_output_info": False,
        **case.arguments,
    }
    as_read, rightly_read = [], []
    read = attribute_context.get_source_target_cci_scores

    def reads_twice(model, scores, *rest):
        as_read.append(read(model, scores, *rest))
        if case.with_bos or (model.is_encoder_decoder and "output_context_text" in case.arguments):
            # Without the first row, every row is read one later.
            scores.target_attributions = scores.target_attributions[1:]
            rightly_read.append(read(model, scores, *rest))
        return as_read[-1]

    attribute_context.get_source_target_cci_scores = reads_twice
    try:
        output = attribute_context.attribute_context_with_model(
            attribute_context_args.AttributeContextArgs(**arguments), model
        ).to_dict()
    finally:
        attribute_context.get_source_target_cci_scores = read
    golden = {
        "model": case.model,
        "with_bos": case.with_bos,
        "compat": case.compat,
        "misplaced": case.misplaced,
        "arguments": case.arguments,
        "output": output,
        "rightly_read": [{"input": input, "output": output} for input, output in rightly_read],
    }
    path = GOLDENS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(rounded(golden), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path}: {len(output['cci_scores'])} of {len(output['cti_scores'])} tokens, {path.stat().st_size // 1024} kB")


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value


if __name__ == "__main__":
    main()
