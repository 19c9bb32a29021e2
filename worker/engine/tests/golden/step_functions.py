"""Writes step_functions.json: what Inseq 0.7.1 computes for each step function.

Environment: python 3.11, `pip install "inseq[datasets]==0.7.1" "torch==2.15.*" "transformers==5.23.*"`.
Run from the repository root: `python worker/engine/tests/golden/step_functions.py`.
"""

import json
import math
from pathlib import Path

import inseq
import torch

HERE = Path(__file__).parent
MODELS = HERE.parents[3] / "tests" / "models"
PLAIN = ["logit", "probability", "entropy"]
# In Inseq they fail for a batch of one sequence, so a batch of two is used.
NOT_ALONE = ["crossentropy", "perplexity"]
CONTRASTIVE = [
    "contrast_logits",
    "contrast_prob",
    "contrast_logits_diff",
    "contrast_prob_diff",
    "pcxmi",
    "kl_divergence",
    "in_context_pvi",
]

EN_FR = {
    "model": "lo-en-fr-tiny",
    "input": "Open the file menu.",
    "generated": "Ouvrez le menu fichier.",
}
FOIL_FR = {"contrast_targets": "Fermez le menu du fichier."}
SOURCE_EN = {"contrast_sources": "Close the document."}
EN = {
    "model": "glass-en",
    "input": "The cat sat on",
    "generated": "The cat sat on the mat and slept.",
}
FOIL_EN = {"contrast_targets": "The cat sat on a chair and then slept."}
FORCED = {"contrast_force_inputs": True}
TARGET = {"attribute_target": True}
OCCLUDED = {**TARGET, "method": "occlusion"}

# Each case: texts, contrast, attributed function, its options, step scores, other options.
CASES = [
    (EN_FR, FOIL_FR, "probability", {}, PLAIN + CONTRASTIVE, {}),
    (EN_FR, SOURCE_EN, "probability", {}, CONTRASTIVE, {}),
    (EN_FR, {**FOIL_FR, **SOURCE_EN}, "entropy", {}, CONTRASTIVE, {}),
    (EN_FR, {**FOIL_FR, "contrast_targets_alignments": [[2, 3], [3, 3], [6, 7]]}, "logit", {}, CONTRASTIVE, {}),
    (EN_FR, {}, "crossentropy", {}, NOT_ALONE, {}),
    (EN_FR, {}, "perplexity", {}, NOT_ALONE, TARGET),
    (EN_FR, {}, "probability", {"logprob": True}, ["probability", "contrast_prob"], {}),
    (EN_FR, {}, "probability", {}, ["top_p_size"], {"top_p": 0.8}),
    (EN_FR, FOIL_FR, "contrast_logits", {}, [], TARGET),
    (EN_FR, FOIL_FR, "contrast_prob", {}, [], {}),
    (EN_FR, FOIL_FR, "contrast_logits_diff", {}, [], {}),
    (EN_FR, FOIL_FR, "contrast_prob_diff", {}, [], TARGET),
    (EN_FR, FOIL_FR, "contrast_prob_diff", {"logprob": True}, [], {}),
    (EN_FR, FOIL_FR, "in_context_pvi", {}, [], {}),
    (EN_FR, {**SOURCE_EN, **FORCED}, "pcxmi", {}, [], {}),
    (EN_FR, {**SOURCE_EN, **FORCED}, "kl_divergence", {}, [], {}),
    # If a side of the contrast has the example's own tokens, it is shared, and gradients flow through it.
    (EN_FR, {**SOURCE_EN, **FORCED}, "pcxmi", {}, [], TARGET),
    (EN_FR, {**FOIL_FR, **FORCED}, "contrast_prob_diff", {}, [], TARGET),
    (EN_FR, {**FOIL_FR, **FORCED, "contrast_targets_alignments": [[1, 1], [2, 2], [3, 3]]}, "contrast_logits_diff", {}, [], TARGET),
    (EN_FR, {**SOURCE_EN, **FORCED}, "pcxmi", {}, [], OCCLUDED),
    (EN_FR, {**FOIL_FR, **FORCED}, "contrast_logits_diff", {}, [], OCCLUDED),
    (EN, FOIL_EN, "probability", {}, PLAIN + CONTRASTIVE, {}),
    (EN, FOIL_EN, "contrast_prob_diff", {}, [], {}),
    (EN, FOIL_EN, "contrast_logits_diff", {}, [], {}),
    (EN, {**FOIL_EN, **FORCED}, "contrast_prob_diff", {}, [], {}),
    (EN, {**FOIL_EN, **FORCED}, "kl_divergence", {}, [], {}),
    (EN, {**FOIL_EN, **FORCED}, "pcxmi", {}, [], {}),
    (EN, {}, "entropy", {}, ["top_p_size"], {"top_p": 0.9}),
]


def columns(scores):
    """Returns one list per step, without the cells of tokens that do not exist yet."""
    if scores is None:
        return None
    return [[v for v in column if not math.isnan(v)] for column in scores.T.tolist()]


def run(model, case):
    texts, contrast, function, options, step_scores, other = case
    copies = 2 if set(step_scores) & set(NOT_ALONE) else 1
    given = {k: [v] * copies if isinstance(v, str) else v for k, v in contrast.items()}
    if "contrast_targets_alignments" in given:
        given["contrast_targets_alignments"] = [tuple(p) for p in given["contrast_targets_alignments"]]
    out = model.attribute(
        [texts["input"]] * copies,
        [texts["generated"]] * copies,
        attributed_fn=function,
        step_scores=step_scores,
        show_progress=False,
        **given,
        **options,
        **other,
    )
    scores = out.aggregate()[0] if copies == 1 else out[0].aggregate()
    return {
        **texts,
        "contrast": contrast,
        "method": other.get("method", "saliency"),
        "attributed_fn": function,
        "params": options,
        "attribute_target": other.get("attribute_target", False),
        "score_params": {name: {k: v for k, v in {**options, **other}.items() if k != "attribute_target"} for name in step_scores},
        "source": columns(scores.source_attributions),
        "target": columns(scores.target_attributions),
        "step_scores": {k: v.tolist() for k, v in scores.step_scores.items()},
    }


def main():
    torch.set_num_threads(2)
    results = []
    for name in ["lo-en-fr-tiny", "glass-en"]:
        model = inseq.load_model(str(MODELS / name), "saliency", model_kwargs={"dtype": torch.float32})
        results += [run(model, case) for case in CASES if case[0]["model"] == name]
    lines = ",\n".join(json.dumps(result, ensure_ascii=False) for result in results)
    (HERE / "step_functions.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
