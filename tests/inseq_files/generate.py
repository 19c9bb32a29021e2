"""Makes the goldens of Inseq's files: what the real Inseq saves, and what its aggregators make of it.

Environment, as for `tests/golden/generate.py`: inseq 0.7.1, torch 2.15, transformers 5.23.

    .venv/golden/bin/python tests/inseq_files/generate.py [CASE ...]

Run it from the root of the repository. Each case becomes a file of Inseq,
``tests/inseq_files/goldens/CASE.json`` (or ``.json.gz``), and ``CASE.expected.json``: its examples
after each pipeline of aggregators, as lists of numbers with seven digits. A cell that does not
exist is null.
"""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import inseq
import torch

MODELS = Path("tests/models")
GOLDENS = Path(__file__).parent / "goldens"
QUIET = {"show_progress": False, "pretty_progress": False}


@dataclass
class Pipeline:
    """Aggregators, with the parameters that all of them get in Inseq."""

    stages: list[str]
    options: dict = field(default_factory=dict)
    # Multiply by this step score afterwards.
    weight: str | None = None


@dataclass
class Case:
    model: str
    method: str
    inputs: list[str]
    targets: list[str]
    pipelines: list[Pipeline]
    arguments: dict = field(default_factory=dict)
    save: dict = field(default_factory=dict)


HOUSE = (["the old house", "a garden"], ["the house is red", "the garden"])
PROMPT = (["the old house"], ["the old house is red"])
MERGES = [
    Pipeline(["subwords"]),
    Pipeline(["split"], {"split_pattern": "e", "split_mode": "start"}),
    Pipeline(["spans"], {"source_spans": [(0, 2), (3, 5)], "target_spans": [(1, 3)]}),
    Pipeline(["spans"], {"target_spans": [(2, 4)], "aggregate_fn": ["sum"]}),
]


def after(first: list[str], merges: list[Pipeline]) -> list[Pipeline]:
    """Returns pipelines that reduce raw scores by ``first`` before each of ``merges``."""
    pipelines = [Pipeline(first)]
    for merge in merges:
        options = dict(merge.options)
        if "aggregate_fn" in options:
            options["aggregate_fn"] = [None] * len(first) + options["aggregate_fn"]
        pipelines.append(Pipeline([*first, *merge.stages], options))
    return pipelines


CASES = {
    "gradients": Case(
        "t5-random",
        "saliency",
        *HOUSE,
        [
            *after(["vnorm"], MERGES),
            Pipeline(["sum"]),
            Pipeline(["vnorm"], {"normalize": False, "rescale": True}),
            Pipeline(["vnorm"], weight="probability"),
        ],
        {"attribute_target": True, "step_scores": ["probability", "entropy"]},
    ),
    "decoder": Case(
        "gpt2-random",
        "integrated_gradients",
        *PROMPT,
        [Pipeline(["vnorm"]), Pipeline(["vnorm", "spans"], {"target_spans": [(2, 5), (9, 11)]})],
        {"n_steps": 4, "return_convergence_delta": True, "step_scores": ["top_p_size"], "top_p": 0.9},
        {"compress": True},
    ),
    "attention": Case(
        "t5-random",
        "attention",
        *HOUSE,
        after(["mean", "mean"], MERGES[:1]),
        {"attribute_target": True},
        {"scores_precision": "float16"},
    ),
    "zeroing": Case("t5-random", "value_zeroing", *HOUSE, [Pipeline(["mean"])]),
    "occlusion": Case("t5-random", "occlusion", *HOUSE, [Pipeline([]), Pipeline(["subwords"])]),
    "dummy": Case(
        "gpt2-random", "dummy", *PROMPT, [Pipeline([])], {"step_scores": ["probability", "logit"]}
    ),
    "float8": Case(
        "t5-random",
        "saliency",
        HOUSE[0][:1],
        HOUSE[1][:1],
        [Pipeline(["vnorm"])],
        {"step_scores": ["probability"]},
        {"scores_precision": "float8"},
    ),
    "contrast": Case(
        "gpt2-random",
        "saliency",
        *PROMPT,
        [Pipeline(["vnorm"])],
        {
            "attributed_fn": "contrast_prob_diff",
            "contrast_targets": "the old house was red",
            "step_scores": ["contrast_prob_diff"],
        },
        {"scores_precision": "float16"},
    ),
    "steps": Case(
        "t5-random",
        "occlusion",
        ["a"],
        ["the"],
        [Pipeline([])],
        {"output_step_attributions": True},
    ),
    "primitives": Case(
        "t5-random", "occlusion", HOUSE[0][:1], HOUSE[1][:1], [], {}, {"use_primitives": True}
    ),
}


def main() -> None:
    torch.set_num_threads(1)
    GOLDENS.mkdir(exist_ok=True)
    for name in sys.argv[1:] or CASES:
        write(name, CASES[name])


def write(name: str, case: Case) -> None:
    model = inseq.load_model(
        str(MODELS / case.model), case.method, model_kwargs={"dtype": torch.float32}
    )
    # One text at a time, so that numbers do not depend on padding.
    parts = [
        model.attribute(text, target, **case.arguments, **QUIET)
        for text, target in zip(case.inputs, case.targets)
    ]
    out = sum(parts[1:], parts[0])
    # The same name on every machine, and no time of the run.
    out.info["model_name"] = f"tests/models/{case.model}"
    out.info["exec_time"] = 0.0
    compress = case.save.get("compress", False)
    path = GOLDENS / f"{name}.json{'.gz' if compress else ''}"
    out.save(path, overwrite=True, **case.save)
    expected = []
    if "use_primitives" not in case.save and "output_step_attributions" not in case.arguments:
        out = inseq.FeatureAttributionOutput.load(path, decompress=compress)
        expected = [aggregated(out, pipeline) for pipeline in case.pipelines]
    if expected:
        lines = [json.dumps(pipeline, ensure_ascii=False) for pipeline in expected]
        text = "[\n" + ",\n".join(lines) + "\n]\n"
        (GOLDENS / f"{name}.expected.json").write_text(text, encoding="utf-8")


def aggregated(out, pipeline: Pipeline) -> dict:
    """Returns the examples after a pipeline."""
    options = dict(pipeline.options)
    functions = options.pop("aggregate_fn", None)
    sequences = []
    for sequence in out.sequence_attributions:
        if pipeline.stages:
            done = sequence.aggregate(
                pipeline.stages, aggregate_fn=functions, do_post_aggregation_checks=False, **options
            )
        else:
            done = sequence
        if pipeline.weight:
            sequence = sequence.clone() if hasattr(sequence, "clone") else sequence
            done = sequence.aggregate(pipeline.stages)
            weights = done.step_scores[pipeline.weight]
            for field in ("source_attributions", "target_attributions"):
                if getattr(done, field) is not None:
                    setattr(done, field, getattr(done, field) * weights)
        sequences.append(
            {
                "source": [token.token for token in done.source],
                "target": [token.token for token in done.target],
                "start": done.attr_pos_start,
                "end": done.attr_pos_end,
                "source_scores": numbers(done.source_attributions),
                "target_scores": numbers(done.target_attributions),
                "step_scores": {name: numbers(scores) for name, scores in (done.step_scores or {}).items()},
            }
        )
    stages = [
        {"name": stage, "params": parameters(stage, index, functions, options)}
        for index, stage in enumerate(pipeline.stages)
    ]
    if pipeline.weight:
        stages.append({"name": "weight_attributions", "params": {"step_score": pipeline.weight}})
    return {"stages": stages, "sequences": sequences}


def parameters(stage: str, index: int, functions: list | None, options: dict) -> dict:
    """Returns the parameters that one stage uses of those that Inseq hands to all of them."""
    own = {
        "spans": ["source_spans", "target_spans"],
        "split": ["split_pattern", "split_mode"],
        "vnorm": ["normalize", "rescale"],
    }
    found = {key: value for key, value in options.items() if key in own.get(stage, [])}
    if functions and functions[index]:
        found["aggregate_fn"] = functions[index]
    return found


def numbers(tensor):
    if tensor is None:
        return None
    if tensor.dim() > 1:
        return [numbers(row) for row in tensor]
    return [None if math.isnan(value) else float(f"{value:.7g}") for value in tensor.tolist()]


if __name__ == "__main__":
    main()
