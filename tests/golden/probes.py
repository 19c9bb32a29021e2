"""ReAGent without a tagger: any token replaces any other, and every draw is kept.

Inseq replaces a token by one of the same part of speech, for which it downloads a tagger. What it does
with the replacements does not depend on where they come from.
"""

from __future__ import annotations

import inseq.attr.feat.ops.reagent
import torch
from inseq.attr.feat import FeatureAttribution


class AnyToken:
    """Samples every token of the vocabulary alike, in the place of Inseq's sampler."""

    def __init__(self, tokenizer, identifier, device):
        self.vocabulary = tokenizer.vocab_size

    def __call__(self, ids):
        return torch.randint(self.vocabulary, ids.shape)


inseq.attr.feat.ops.reagent.POSTagTokenSampler = AnyToken


def attach(model, params: dict) -> None:
    """Makes the model's method one with these parameters; Inseq takes them at loading only."""
    model.attribution_method = FeatureAttribution.load("reagent", attribution_model=model, **params)


def draws_of_steps(draws: list, params: dict) -> list:
    """Groups draws, call after call, into first scores and trials of every step.

    A trial is drawn as fractions, which choose the tokens that are replaced, and two tables of tokens;
    the first scores of a step are fractions in front of those of its first trial.
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
