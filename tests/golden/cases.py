"""The cases for which goldens are made: model, texts, method and parameters.

A method of the engine's registry needs at least one case on every model it works on; the parity
test names a method for which one is missing. To add a method, add a row to ``METHODS`` and run
``generate.py --only NAME``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Text:
    """One example. If it has no target, the target is generated."""

    input: str
    target: str | None = None
    # Whether it is short enough to keep its un-aggregated scores, which are large.
    is_short: bool = False


@dataclass(frozen=True)
class Model:
    """A model and texts for it."""

    folder: str
    texts: tuple[Text, ...]
    has_encoder: bool
    max_new_tokens: int = 12
    # How many variants of each method to use. Large models have only the first ones.
    variants: int = 10
    # The methods to use with the model; all of them if empty.
    methods: tuple[str, ...] = ()
    # The name of the embeddings in Inseq, if the module that it hooks by default is never called.
    embedding_module: str | None = None


@dataclass(frozen=True)
class Variant:
    """One way to call a method."""

    name: str
    params: dict = field(default_factory=dict)
    attributed_fn: str = "probability"
    step_scores: tuple[str, ...] = ()
    attribute_target: bool = True
    # The engine deliberately differs from Inseq here, unless it is asked to be compatible.
    compat_only: bool = False
    # Computed without Inseq, so there are only numbers of the model itself.
    own_only: bool = False
    # Only useful for models with an encoder.
    needs_encoder: bool = False
    # All texts in one call of Inseq, instead of one call per text.
    batched: bool = False
    # The contrast options, passed to both Inseq and the engine.
    contrast: dict = field(default_factory=dict)
    # The models to use; all of them if empty.
    models: tuple[str, ...] = ()
    # How many of the model's texts to use.
    texts: int = 4
    # Whether to keep the un-aggregated scores of the short text.
    raw: bool = False
    # Options for what Inseq records by default, and the engine only if asked or in compatibility mode.
    asked: dict = field(default_factory=dict)
    # Converts Inseq's draws, call after call, to the engine's parameter `samples`. Only for a single text.
    draws: Callable[[list, dict], list] | None = None


def one_call_a_step(draws: list, params: dict) -> list:
    return draws


def masks(draws: list, params: dict) -> list:
    """Groups masks, one per call, into steps with the right number of samples. A 1 means that the token is kept."""
    samples = params["n_samples"]
    kept = [[bool(token) for token in mask] for mask in draws]
    return [kept[first : first + samples] for first in range(0, len(kept), samples)]


def probes(draws: list, params: dict) -> list:
    from probes import draws_of_steps

    return draws_of_steps(draws, params)


SELF_SCORES = {"output_encoder_self_scores": True, "output_decoder_self_scores": True}

STEP_SCORES = ("probability", "logit")

# At the first step its prefix equals that of the text; at the second step it differs.
CONTRAST = {"contrast_targets": "Click the page", "contrast_force_inputs": True}

METHODS: dict[str, tuple[Variant, ...]] = {
    "saliency": (
        Variant("probability", step_scores=STEP_SCORES, raw=True),
        Variant("logit", attributed_fn="logit"),
        Variant("signed", params={"abs": False}, texts=1, raw=True),
        Variant("source_only", attribute_target=False, needs_encoder=True, texts=2),
        Variant("batched", batched=True, texts=3),
        Variant("contrast", attributed_fn="pcxmi", contrast=CONTRAST, models=("gpt2-random",), texts=1, raw=True),
    ),
    "input_x_gradient": (
        Variant("probability", raw=True),
        Variant("logit", attributed_fn="logit", texts=1),
        Variant("source_only", attribute_target=False, needs_encoder=True, texts=2),
    ),
    "integrated_gradients": (
        Variant("5_points", params={"n_steps": 5}, texts=2, raw=True),
        Variant("5_points_logit", params={"n_steps": 5}, attributed_fn="logit", texts=1),
        Variant("default", texts=1),
        Variant("source_only", params={"n_steps": 5}, attribute_target=False, needs_encoder=True, texts=2),
    ),
    "deeplift": (
        Variant("probability", raw=True),
        Variant("logit", attributed_fn="logit", texts=1),
    ),
    "gradient_shap": (
        Variant("given_samples", params={"n_samples": 3}, texts=1, raw=True, draws=one_call_a_step),
        Variant("logit", params={"n_samples": 2}, attributed_fn="logit", texts=1, draws=one_call_a_step),
    ),
    # With this method, Inseq cannot attribute the target of models with an encoder.
    "sequential_integrated_gradients": (
        Variant("3_points", params={"n_steps": 3}, attribute_target=False, texts=1, raw=True),
        Variant("logit", params={"n_steps": 2}, attributed_fn="logit", attribute_target=False, texts=1),
    ),
    "discretized_integrated_gradients": (
        Variant("5_points", params={"n_steps": 5}, texts=1, raw=True),
        Variant("logit", params={"n_steps": 4}, attributed_fn="logit", texts=1),
    ),
    "layer_gradient_x_activation": (Variant("default", attribute_target=False, texts=1, raw=True),),
    "layer_integrated_gradients": (
        Variant("first_layer", {"target_layer": 0, "n_steps": 5}, own_only=True, texts=2, raw=True),
        Variant(
            "decoder_layer",
            {"target_layer": "decoder.layers[0]", "n_steps": 5},
            own_only=True,
            needs_encoder=True,
            texts=1,
            raw=True,
        ),
    ),
    "layer_deeplift": (
        Variant("first_layer", {"target_layer": 0}, own_only=True, texts=2, raw=True),
        Variant(
            "decoder_layer",
            {"target_layer": "decoder.layers[0]"},
            own_only=True,
            needs_encoder=True,
            texts=1,
            raw=True,
        ),
    ),
    "occlusion": (
        Variant("probability"),
        Variant("logit", attributed_fn="logit", texts=1),
        Variant("source_only", attribute_target=False, needs_encoder=True, texts=2),
        Variant("contrast", attributed_fn="pcxmi", contrast=CONTRAST, models=("gpt2-random",), texts=1),
    ),
    # Inseq does not support `attribute_target` with it.
    "lime": (
        Variant(
            "given_masks",
            {"n_samples": 8},
            attribute_target=False,
            texts=1,
            raw=True,
            draws=masks,
            compat_only=True,
        ),
    ),
    # With an encoder, Inseq requires `attribute_target` for it. It reads tokens, so Marian's embeddings
    # are scaled only once in any case.
    "reagent": (
        Variant(
            "given_draws",
            {
                "keep_top_n": 2,
                "stopping_condition_top_k": 280,
                "replacing_ratio": 0.3,
                "max_probe_steps": 12,
                "num_probes": 3,
            },
            texts=1,
            draws=probes,
            compat_only=True,
        ),
    ),
    "attention": (
        Variant("default", raw=True, asked=SELF_SCORES),
        Variant("source_only", attribute_target=False, needs_encoder=True, texts=2, raw=True, asked=SELF_SCORES),
    ),
    "value_zeroing": (
        Variant("default", raw=True, asked=SELF_SCORES),
        Variant("source_only", attribute_target=False, needs_encoder=True, texts=2, raw=True, asked=SELF_SCORES),
        Variant(
            "units",
            {
                "encoder_zeroed_units_indices": [0, 2],
                "decoder_zeroed_units_indices": 1,
                "cross_zeroed_units_indices": [1, 3],
            },
            attribute_target=False,
            needs_encoder=True,
            texts=1,
            raw=True,
            asked=SELF_SCORES,
        ),
    ),
    "dummy": (Variant("step_scores", step_scores=STEP_SCORES),),
}

# Broken in Inseq with current transformers, so made in the side environment.
NEEDS_SIDE_ENVIRONMENT = {"value_zeroing"}

MODELS: dict[str, Model] = {
    "lo-en-fr-tiny": Model(
        "tests/models/lo-en-fr-tiny",
        (
            Text("Page Slide Pane", "VoletPage Diapo", is_short=True),
            Text(
                "Choose Format - Bullets and Numbering, and then click the Customize tab.",
                "Choisissez Format - Puces et numérotation, puis cliquez sur l'onglet Personnaliser.",
            ),
            Text("Enter a name and click OK.", "Saisissez un nom et cliquez sur OK."),
            Text("Click the Customize tab."),
        ),
        has_encoder=True,
        max_new_tokens=20,
    ),
    "glass-en": Model(
        "tests/models/glass-en",
        (
            Text("The sun", "The sun is bright", is_short=True),
            Text(
                "The rose is red, the violet's blue,\n",
                "The rose is red, the violet's blue,\nThe honey's sweet, and so are you.",
            ),
            Text("Once I saw a little bird", "Once I saw a little bird come hop, hop, hop;"),
            Text("Once upon a time, there was a little girl"),
        ),
        has_encoder=False,
    ),
    "gpt2-random": Model(
        "tests/models/gpt2-random",
        (
            Text("Click the", "Click the tab", is_short=True),
            Text("Enter a name and", "Enter a name and click OK."),
            Text("Choose Format - ", "Choose Format - Bullets"),
            Text("The page"),
        ),
        has_encoder=False,
        max_new_tokens=6,
    ),
    # Without a forced target it predicts pad tokens, which Inseq drops.
    "t5-random": Model(
        "tests/models/t5-random",
        (
            Text("Page Slide", "Page Diapo", is_short=True),
            Text("Enter a name and click OK.", "Saisissez un nom."),
            Text("Click the Customize tab.", "Cliquez sur l'onglet."),
        ),
        has_encoder=True,
        embedding_module="encoder.embed_tokens",
    ),
    # The only model to whose activations, which are ReLU modules, Captum's rescale rule applies.
    "t5-relu-random": Model(
        "tests/models/t5-relu-random",
        (
            Text("Page Slide", "Page Diapo", is_short=True),
            Text("Enter a name and click OK.", "Saisissez un nom."),
        ),
        has_encoder=True,
        methods=("deeplift", "layer_deeplift"),
    ),
    # Its configuration gives special tokens ids that are ordinary tokens in its tokenizer, and it
    # has more rows than the tokenizer has tokens.
    "xglm-random": Model(
        "tests/models/xglm-random",
        (Text('Click the! #', 'Click the! #tab! and!', is_short=True),),
        has_encoder=False,
        methods=("discretized_integrated_gradients",),
    ),
    # Uses long-RoPE factors for texts with more than eight tokens; these texts cross that length.
    "phi3-random": Model(
        "tests/models/phi3-random",
        (Text("Click the", "Click the Customize", is_short=True),),
        has_encoder=False,
        methods=("attention", "value_zeroing"),
    ),
    "smollm2": Model(
        ".models/smollm2",
        (
            Text("The sky is", "The sky is blue and", is_short=True),
            Text(
                "The three primary colours are red,",
                "The three primary colours are red, yellow and blue, and they can be mixed.",
            ),
            Text("The capital of France is"),
        ),
        has_encoder=False,
        variants=2,
    ),
}


@dataclass(frozen=True)
class Case:
    """One golden file."""

    model: Model
    model_name: str
    method: str
    variant: Variant
    # "inseq-0.7.1" for Inseq as it is; "none" for Inseq with the double scaling of Marian patched.
    compat: str

    @property
    def name(self) -> str:
        suffix = ".own" if self.compat == "none" and self.model.has_encoder else ""
        return f"{self.method}.{self.variant.name}{suffix}"

    def keeps_raw(self, text: Text) -> bool:
        return self.variant.raw and text.is_short

    @property
    def texts(self) -> tuple[Text, ...]:
        return self.model.texts[: self.variant.texts]


def cases(model_name: str) -> list[Case]:
    """Returns every case of a model.

    Models with an encoder have each case twice: Inseq feeds Marian's decoder with embeddings that are
    scaled twice, and both those numbers and the model's own are wanted.
    """
    model = MODELS[model_name]
    found = []
    for method, variants in METHODS.items():
        if model.methods and method not in model.methods:
            continue
        for variant in variants[: model.variants]:
            if variant.needs_encoder and not model.has_encoder:
                continue
            if variant.models and model_name not in variant.models:
                continue
            has_own = (model.has_encoder and not variant.compat_only) or variant.own_only
            has_inseqs = not variant.own_only
            for compat in ("inseq-0.7.1",) * has_inseqs + ("none",) * has_own:
                found.append(Case(model, model_name, method, variant, compat))
    return found
