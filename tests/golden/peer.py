"""Runs Inseq 0.7.1 in single precision, and in double precision, which counts as the truth."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import inseq
import numpy as np
import torch
import transformers
from inseq.attr.feat import FeatureAttribution

import layers
import probes
from cases import Case, Text

# Whether this is transformers 5, not the older version of the side environment.
IS_CURRENT = int(transformers.__version__.split(".")[0]) >= 5


@dataclass
class Scores:
    """Scores of one example in the engine's layout: step after step, with only the cells that exist."""

    # Each step's source rows, step after step. [steps * source tokens, ...]
    source: np.ndarray | None
    # Each step's prefix rows, step after step. [sum of positions, ...]
    target: np.ndarray | None
    # Scores between tokens of the same stack by name, column after column.
    sequence: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Result:
    """Inseq's result for one example."""

    source: list[tuple[str, int]]
    target: list[tuple[str, int]]
    generated_text: str
    attr_pos_start: int
    raw: Scores
    aggregated: Scores
    step_scores: dict[str, np.ndarray]
    # The random draws, call after call.
    draws: list


@contextlib.contextmanager
def double_precision():
    """Removes every cast to single precision between the embeddings and Inseq's output.

    Rotary angles and their cosines stay in single precision, because they are part of the model,
    but they are rounded correctly: torch's vectorized ones are off by a unit in the last place, and
    the error differs between machines.
    """
    to, softmax = torch.Tensor.to, torch.nn.functional.softmax
    cosine, sine, single = torch.Tensor.cos, torch.Tensor.sin, torch.Tensor.float

    def keep_double(self, *args, **kwargs):
        if self.dtype == torch.float64 and torch.float32 in (*args, *kwargs.values()):
            return self
        return to(self, *args, **kwargs)

    def softmax_in_double(x, dim=None, dtype=None, **kwargs):
        return softmax(x, dim=dim, dtype=None if x.dtype == torch.float64 else dtype, **kwargs)

    torch.Tensor.to, torch.nn.functional.softmax = keep_double, softmax_in_double
    torch.Tensor.cos = lambda x: to(cosine(to(x, torch.float64)), x.dtype)
    torch.Tensor.sin = lambda x: to(sine(to(x, torch.float64)), x.dtype)
    torch.Tensor.float = lambda x: x if x.dtype == torch.float64 else single(x)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.Tensor.to, torch.nn.functional.softmax = to, softmax
        torch.Tensor.cos, torch.Tensor.sin, torch.Tensor.float = cosine, sine, single
        torch.set_default_dtype(torch.float32)


class Peer:
    """Inseq with one model, in one precision."""

    def __init__(self, folder: str, method: str, dtype: str):
        self.dtype = dtype
        # Loaded in single precision first, so that tables computed at loading (sinusoids, rotary
        # frequencies) are those of the model in normal use. Then the weights are widened, but not the
        # frequencies: see `double_precision`.
        file = {"gguf_file": path.name for path in Path(folder).glob("*.gguf")}
        model_kwargs = {"dtype" if IS_CURRENT else "torch_dtype": torch.float32, **file}
        tokenizer = None
        if not IS_CURRENT and (Path(folder) / "tokenizer.json").exists():
            # The folder names a class that the side environment does not know yet.
            tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
        # If Inseq has no usable scores for a method, it still provides the tokens.
        method = "dummy" if method in layers.ATTRIBUTIONS else method
        self.inseq = inseq.load_model(
            folder, method, tokenizer=tokenizer, model_kwargs=model_kwargs, tokenizer_kwargs=file
        )
        if not IS_CURRENT and self.inseq.model.config.model_type == "gpt2":
            # By default Inseq looks for the name this variable had before transformers 4.50.
            self.inseq.config.value_vector = "value_states"
        if dtype == "float64":
            for parameter in self.inseq.model.parameters():
                parameter.data = parameter.data.double()
            # Discretized paths were given scaled embeddings in single precision at loading.
            method = getattr(self.inseq.attribution_method, "method", None)
            paths = getattr(method, "path_builder", None)
            if paths is not None:
                paths.vocabulary_embeddings = (
                    self.inseq.get_embedding_layer().weight.data * self.inseq.embed_scale
                )

    def attribute(self, case: Case, replayed: list) -> list[Result]:
        """Attributes the texts, in one call if the case is batched, with the draws of another run."""
        texts = case.texts
        context = double_precision() if self.dtype == "float64" else contextlib.nullcontext()
        targets = [self.target(case, text) for text in texts]
        np.random.seed(0)
        torch.manual_seed(0)
        # A method that reads tokens scales their embeddings only once anyway.
        compat = "inseq-0.7.1" if case.variant.own_only else case.compat
        with context, decoder_scale(self.inseq, compat):
            if case.variant.batched:
                return self._call(case, [text.input for text in texts], targets, replayed)
            results = []
            for text, target in zip(texts, targets):
                results += self._call(case, [text.input], [target], replayed)
            return results

    def target(self, case: Case, text: Text) -> str:
        """Returns the forced target, or what the model generates."""
        if text.target is not None:
            return text.target
        arguments = {"max_new_tokens": case.model.max_new_tokens}
        if not case.model.has_encoder:
            # For a single prompt Inseq would keep them in the text. With an encoder it does not, and the
            # option would remove them from the source.
            arguments["skip_special_tokens"] = True
        return self.inseq.generate(text.input, **arguments)[0]

    def _call(self, case: Case, inputs: list[str], targets: list[str], replayed: list) -> list[Result]:
        variant = case.variant
        params = variant.params
        if case.method == "reagent":
            probes.attach(self.inseq, params)
            params = {}
        if case.method == "layer_gradient_x_activation" and case.model.embedding_module:
            # Inseq accepts these arguments only at loading.
            self.inseq.attribution_method = FeatureAttribution.load(
                case.method, attribution_model=self.inseq, target_layer=case.model.embedding_module
            )
        with recorded_draws(replayed) as draws:
            out = self.inseq.attribute(
                inputs,
                targets,
                attributed_fn=variant.attributed_fn,
                step_scores=list(variant.step_scores),
                attribute_target=variant.attribute_target and case.model.has_encoder,
                show_progress=False,
                **({} if case.method in layers.ATTRIBUTIONS else params),
                **variant.contrast,
            )
        results = []
        for text, target, sequence in zip(inputs, targets, out.sequence_attributions):
            source = self.source(text) if case.model.has_encoder else []
            if case.method in layers.ATTRIBUTIONS:
                results.append(self._layer_result(case, source, sequence, target))
            else:
                results.append(result(source, sequence, target, draws))
            if variant.contrast:
                # Where the two tokens differ, Inseq puts both into one text without an id.
                results[-1].target = self.source(target)
        return results

    def _layer_result(self, case: Case, source: list[tuple[str, int]], sequence, generated_text: str) -> Result:
        """Returns Inseq's tokens with the scores of a layer."""
        target = [(token.token, token.id) for token in sequence.target]
        start = sequence.attr_pos_start
        ids = ([id for _, id in source], [id for _, id in target])
        raw, shares = layers.as_rows(layers.scores(self.inseq, case, *ids, start))
        of_source = bool(source) and not str(case.variant.params["target_layer"]).startswith("decoder")
        one_sided = lambda rows: Scores(rows, None) if of_source else Scores(None, rows)
        return Result(source, target, generated_text, start, one_sided(raw), one_sided(shares), {}, [])

    def source(self, text: str) -> list[tuple[str, int]]:
        """Returns the encoder's tokens. Inseq's own output lacks them for methods without scores."""
        encoding = self.inseq.encode(text)
        return list(zip(encoding.input_tokens[0], encoding.input_ids[0].tolist()))


@contextlib.contextmanager
def recorded_draws(replayed: list):
    """Yields a list that receives all draws: uniform ones from NumPy; masks, tokens and fractions from torch.

    If ``replayed`` has draws, they are used instead: double precision would otherwise draw other values.
    """
    uniform, multinomial, draws = np.random.uniform, torch.multinomial, []
    rand, randint = torch.rand, torch.randint
    earlier = iter(replayed)

    def record_uniform(*args, **kwargs):
        drawn = np.asarray(next(earlier)) if replayed else uniform(*args, **kwargs)
        draws.append(drawn.tolist())
        return drawn

    def record_multinomial(*args, **kwargs):
        drawn = torch.tensor(next(earlier)) if replayed else multinomial(*args, **kwargs)
        # Keep the row that predicts. If it were filled with 319, GPT-2's unk, the stream that the head reads
        # would have only five digits left in single precision, and the comparison would be one of roundings.
        drawn[-1] = 1
        draws.append(drawn.tolist())
        return drawn

    def record(draw):
        def recorded(*args, **kwargs):
            drawn = torch.tensor(next(earlier)) if replayed else draw(*args, **kwargs)
            draws.append(drawn.tolist())
            return drawn

        return recorded

    np.random.uniform, torch.multinomial = record_uniform, record_multinomial
    torch.rand, torch.randint = record(rand), record(randint)
    try:
        yield draws
    finally:
        np.random.uniform, torch.multinomial = uniform, multinomial
        torch.rand, torch.randint = rand, randint


@contextlib.contextmanager
def decoder_scale(model, compat: str):
    """For the model's own numbers, stops the decoder from scaling embeddings that Inseq has already scaled."""
    decoder = getattr(getattr(model.model, "model", None), "decoder", None)
    scale = getattr(decoder, "embed_scale", None)
    if compat == "none" and scale is not None:
        decoder.embed_scale = 1.0
    try:
        yield
    finally:
        if scale is not None:
            decoder.embed_scale = scale


def result(source, sequence, generated_text: str, draws: list) -> Result:
    """Converts one of Inseq's sequence outputs."""
    start = sequence.attr_pos_start
    steps = len(sequence.target) - start
    aggregated = sequence.aggregate()
    return Result(
        source=source,
        target=[(token.token, token.id) for token in sequence.target],
        generated_text=generated_text,
        attr_pos_start=start,
        raw=existing_cells(sequence, start, steps),
        aggregated=existing_cells(aggregated, start, steps),
        step_scores={name: values.numpy() for name, values in sequence.step_scores.items()},
        draws=draws,
    )


def existing_cells(sequence, start: int, steps: int) -> Scores:
    """Cuts Inseq's rectangles, whose cells above the prefix are NaN, into the cells that exist."""
    source = target = None
    if sequence.source_attributions is not None:
        values = sequence.source_attributions.numpy()
        source = np.concatenate([values[:, step] for step in range(steps)])
    if sequence.target_attributions is not None:
        values = sequence.target_attributions.numpy()
        target = np.concatenate([values[: start + step, step] for step in range(steps)])
    for side in (source, target):
        assert side is None or not np.isnan(side).any(), "a cell that exists is NaN"
    sequence = {
        name: existing_columns(values.numpy(), name, start)
        for name, values in (sequence.sequence_scores or {}).items()
    }
    return Scores(source, target, sequence)


def existing_columns(values: np.ndarray, name: str, start: int) -> np.ndarray:
    """Cuts a square into its columns. Those of a decoder end at the query token."""
    assert start == 1, "otherwise Inseq cuts the decoder's square out of the wrong place"
    columns = range(values.shape[1])
    cells = [values[: start + column if name.startswith("decoder") else None, column] for column in columns]
    return np.concatenate(cells)
