"""Layer methods computed by Captum on a plain transformers model, because Inseq's own return zeros.

Inseq gives Captum a function that ignores the baselines' tokens, so a layer is compared with itself.
Here Captum gets one that reads them. What is attributed, tokens, baselines and aggregation
are the same as in Inseq.
"""

from __future__ import annotations

import numpy as np
import torch
from captum.attr import LayerDeepLift, LayerIntegratedGradients

ATTRIBUTIONS = {"layer_integrated_gradients": LayerIntegratedGradients, "layer_deeplift": LayerDeepLift}

# For each family, the module inside a layer whose output is the residual stream alone.
MODULES = {
    "gpt2": "transformer.h.{layer}",
    "llama": "model.layers.{layer}",
    "marian": "model.{stack}.layers.{layer}",
    "t5": "{stack}.block.{layer}.layer.{last}",
}


class Probability(torch.nn.Module):
    """The probability of the token after the decoder's ids, as a function of the ids of one side."""

    def __init__(self, model, moves_source: bool):
        super().__init__()
        self.model, self.moves_source = model, moves_source

    def forward(self, moving, resting, token):
        if resting is None:
            output = self.model(input_ids=moving, use_cache=False)
        else:
            source, target = (moving, resting) if self.moves_source else (resting, moving)
            output = self.model(input_ids=source, decoder_input_ids=target, use_cache=False)
        return output.logits[:, -1].softmax(-1)[:, token]


def scores(model, case, source: list[int], target: list[int], start: int) -> list[torch.Tensor]:
    """Returns the scores of every step at the layer of the case. ``[tokens, hidden]`` each."""
    params = dict(case.variant.params)
    layer = params.pop("target_layer")
    has_source = bool(source)
    moves_source = has_source and not str(layer).startswith("decoder")
    number = int(str(layer).rstrip("]").split("[")[-1])
    # The last part of a T5 layer is its feed-forward network, after one or two attentions.
    stack, last = ("encoder", 1) if moves_source else ("decoder", 2)
    path = MODULES[model.model.config.model_type].format(stack=stack, layer=number, last=last)
    wrapped = Probability(model.model, moves_source).eval()
    attribution = ATTRIBUTIONS[case.method](wrapped, wrapped.model.get_submodule(path))
    found = []
    for position in range(start, len(target)):
        moving, resting = (source, target[:position]) if moves_source else (target[:position], source)
        rows = torch.tensor([moving])
        reference = torch.tensor([baselines(model, moving, has_source and not moves_source)])
        rest = torch.tensor([resting]) if has_source else None
        attributed = attribution.attribute(rows, reference, additional_forward_args=(rest, target[position]), **params)
        # If all tokens are their own baselines, any difference is just rounding in a batch of two.
        found.append(torch.zeros_like(attributed[0]) if rows.equal(reference) else attributed[0].detach())
    return found


def baselines(model, ids: list[int], keeps_first: bool) -> list[int]:
    """Returns the baseline of each token: unk, except for end and start tokens, which are their own."""
    kept = lambda index, token: token == model.eos_token_id or (keeps_first and index == 0)
    unk = model.tokenizer.unk_token_id
    return [token if kept(index, token) else unk for index, token in enumerate(ids)]


def as_rows(steps: list[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the scores of all steps, step after step, and the same as one share per token of its step."""
    norms = [step.norm(dim=-1) for step in steps]
    shares = [norm / norm.sum() if norm.any() else norm for norm in norms]
    return torch.cat(steps).numpy(), torch.cat(shares).numpy()
