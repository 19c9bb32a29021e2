"""The cases of the goldens: a model, and the arguments of Inseq's attribute-context."""

from __future__ import annotations

from dataclasses import dataclass

GEORGE = {"input_context_text": "George was sick yesterday.", "input_current_text": "His colleagues asked him to come"}
WINDOW = {"input_context_text": "The window is open.", "input_current_text": "Close it before you print the page."}
SPOKEN = {"output_context_text": "La fenêtre est ouverte.", "output_current_text": "Fermez la avant d'imprimer la page."}


@dataclass
class Case:
    """One call of attribute-context."""

    model: str
    arguments: dict
    # The tokenizer begins every text with the start token, as Llama's does.
    with_bos: bool = False
    # What Inseq computes wrongly for a Marian needs its own numbers.
    compat: str = "none"
    # Inseq counts the output's tokens in the output alone, which here are others than within the whole
    # text, and so attributes other tokens than it names. It also counts the blank before the output
    # among them. Only the other scores of context sensitivity can be compared.
    misplaced: bool = False


CASES: dict[str, Case] = {
    # The example of Inseq's README, word for word but for the model.
    "readme-llama": Case("glass-en", {**GEORGE, "attributed_fn": "contrast_prob_diff"}, misplaced=True),
    "readme-marian": Case("lo-en-fr-tiny", {**GEORGE, "attributed_fn": "contrast_prob_diff"}, compat="inseq-0.7.1"),
    "llama-forced": Case(
        "glass-en",
        {**GEORGE, "output_current_text": "to the hospital because he was not well.", "attributed_fn": "contrast_prob_diff"},
    ),
    "llama-probability": Case(
        "glass-en",
        {**GEORGE, "output_current_text": "to the hospital because he was not well.", "context_sensitivity_metric": "pcxmi"},
    ),
    "llama-output-context": Case(
        "glass-en",
        {
            **GEORGE,
            "output_context_text": "to work.",
            "output_current_text": "He said that he was not well and stayed at home.",
            "attribution_method": "input_x_gradient",
            "context_sensitivity_topk": 3,
        },
    ),
    "llama-templates": Case(
        "glass-en",
        {
            **GEORGE,
            "input_template": "Story:\n{context}\nThen:\n{current}",
            "contextless_input_current_text": "Then:\n{current}",
            "output_current_text": "to the hospital because he was not well.",
            "attributed_fn": "kl_divergence",
            "context_sensitivity_topk": 1,
        },
    ),
    "llama-bos": Case(
        "glass-en",
        {**GEORGE, "output_current_text": "to the hospital because he was not well.", "attributed_fn": "contrast_prob_diff"},
        with_bos=True,
    ),
    "llama-bos-output-context": Case(
        "glass-en",
        {
            **GEORGE,
            "output_context_text": "to work.",
            "output_current_text": "He said that he was not well and stayed at home.",
            "attributed_fn": "logit",
            "context_sensitivity_topk": 3,
        },
        with_bos=True,
    ),
    "gpt2-normalized": Case(
        "gpt2-random",
        {
            "input_context_text": "Enter a name.",
            "input_current_text": "Click the button",
            "output_current_text": "The file is saved.",
            "decoder_input_output_separator": "\n",
            "normalize_attributions": True,
            "context_sensitivity_std_threshold": 0.5,
        },
    ),
    "gpt2-contrast": Case(
        "gpt2-random",
        {
            "input_context_text": "Enter a name.",
            "input_current_text": "Click the button",
            "output_current_text": "The window closes",
            "decoder_input_output_separator": "\n",
            "attributed_fn": "contrast_prob_diff",
            "context_sensitivity_metric": "in_context_pvi",
            "context_sensitivity_topk": 2,
        },
    ),
    "t5": Case(
        "t5-random",
        {**WINDOW, "output_current_text": "Fermez la avant d'imprimer la page.", "context_sensitivity_topk": 2},
    ),
    "t5-output-context": Case(
        "t5-random",
        {**WINDOW, **SPOKEN, "context_sensitivity_metric": "pcxmi", "attribution_method": "input_x_gradient"},
    ),
    "marian": Case(
        "lo-en-fr-tiny",
        {**WINDOW, "attributed_fn": "contrast_prob_diff"},
        compat="inseq-0.7.1",
    ),
    "marian-output-context": Case(
        "lo-en-fr-tiny",
        {**WINDOW, **SPOKEN, "attributed_fn": "contrast_prob_diff", "context_sensitivity_std_threshold": 0.5},
        compat="inseq-0.7.1",
    ),
    "marian-continued": Case(
        "lo-en-fr-tiny",
        {
            **WINDOW,
            "output_context_text": "La fenêtre est ouverte.",
            "attribution_method": "attention",
            "context_sensitivity_metric": "pcxmi",
            "context_sensitivity_topk": 2,
        },
        compat="inseq-0.7.1",
    ),
    "marian-split": Case(
        "lo-en-fr-tiny",
        {
            **WINDOW,
            "output_template": "{context}. {current}",
            "handle_output_context_strategy": "auto",
        },
        compat="inseq-0.7.1",
    ),
    "marian-foil": Case(
        "lo-en-fr-tiny",
        {
            **WINDOW,
            "output_current_text": "Fermez la avant d'imprimer la page.",
            "attributed_fn": "contrast_prob_diff",
            "context_sensitivity_std_threshold": None,
            "context_sensitivity_topk": 2,
            "contextless_output_next_tokens": ["page", "fichier"],
        },
        compat="inseq-0.7.1",
    ),
}
