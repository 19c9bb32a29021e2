"""ReAGent without a tagger: any token replaces any other, and every draw is kept.

Inseq replaces a token by one of the same part of speech, for which it downloads a tagger. What it does
with the replacements does not depend on how they were chosen.
"""

from __future__ import annotations

import inseq.attr.feat.ops.reagent
import torch
from inseq.attr.feat import FeatureAttribution


class AnyToken:
    """Replaces Inseq's sampler, and samples all tokens of the vocabulary with equal probability."""

    def __init__(self, tokenizer, identifier, device):
        self.vocabulary = tokenizer.vocab_size

    def __call__(self, ids):
        return torch.randint(self.vocabulary, ids.shape)


inseq.attr.feat.ops.reagent.POSTagTokenSampler = AnyToken


def attach(model, params: dict) -> None:
    """Gives the model's method these parameters, which Inseq accepts only at loading."""
    model.attribution_method = FeatureAttribution.load("reagent", attribution_model=model, **params)


def draws_of_steps(draws: list, params: dict) -> list:
    """Groups draws, which come call after call, into the first scores and the trials of every step.

    A trial consists of fractions, which choose the tokens to replace, and two tables of tokens.
    The first scores of a step are fractions too, and precede those of its first trial.
    """
    steps = []
    for call, following in zip(draws, draws[1:]):
        if is_fractions(call) and is_fractions(following):
            steps.append({"scores": call, "rounds": []})
        elif is_fractions(call):
            replaced = [[fraction < params["replacing_ratio"] for fraction in row] for row in call]
            steps[-1]["rounds"].append({"replaced": replaced, "tokens": following})
        elif not is_fractions(following):
            steps[-1]["rounds"][-1]["stop_tokens"] = following
    return steps


def is_fractions(call: list) -> bool:
    return isinstance(call[0][0], float)
