"""Inseq's side of the comparison: a process that keeps models loaded and times the requested work.

Reads one JSON request per line from stdin, and answers each with one line. Run by ``compare.py``.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import inseq
import torch


def main() -> None:
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # Libraries print to stdout, which is reserved for answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    loaded = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"peak": matmul_peak, "cut": cut, "attribute": attribute}[request.pop("do")](loaded, **request)
        print(json.dumps(answer), file=answers, flush=True)


def load(loaded: dict, model: str, method: str):
    """Returns a model, which is loaded only once for all methods."""
    if model not in loaded:
        file = {"gguf_file": name for name in os.listdir(model) if name.endswith(".gguf")}
        model_kwargs = {"dtype": "float32", **file}
        loaded[model] = inseq.load_model(model, method, model_kwargs=model_kwargs, tokenizer_kwargs=file)
    return loaded[model]


def matmul_peak(loaded: dict) -> dict:
    """Returns the best rate of torch's matrix product in GFLOP/s, as a measure of the machine's peak."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best = 0.0
    for _ in range(20):
        start = time.perf_counter()
        a @ b
        best = max(best, 2 * 1024**3 / (time.perf_counter() - start) / 1e9)
    return {"gflops": best}


def cut(loaded: dict, model: str, text: str, prompt: int, target: int) -> dict:
    """Returns a row with a prompt of ``prompt`` tokens, followed by ``target`` target tokens."""
    tokenizer = load(loaded, model, "saliency").tokenizer
    ids = tokenizer(text).input_ids
    row = {"input": tokenizer.decode(ids[:prompt]), "target": tokenizer.decode(ids[: prompt + target])}
    lengths = [len(tokenizer(row[side]).input_ids) for side in ("input", "target")]
    assert lengths == [prompt, prompt + target], f"the cut texts have {lengths} tokens"
    return row


def attribute(loaded: dict, model: str, rows: list, method: str, params: dict, batch: int, out: str) -> dict:
    """Attributes all rows in one call, as ``inseq attribute-dataset`` does, and times the call."""
    peer = load(loaded, model, method)
    # What a method prepares once, such as a graph of neighbors, counts as loading.
    peer.get_attribution_method(method, override_default_attribution=True)
    arguments = {"batch_size": batch, "show_progress": False, **params}
    inputs, targets = [row["input"] for row in rows], [row["target"] for row in rows]
    start, cpu = time.perf_counter(), time.process_time()
    output = peer.attribute(inputs, targets, **arguments)
    answer = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    with open(out, "w") as file:
        for sequence in output.sequence_attributions:
            json.dump(existing_scores(sequence), file)
            file.write("\n")
    return answer


def existing_scores(sequence) -> list:
    """Returns the aggregated scores of the source and of the prefix for each step."""
    # This changes nothing for a method without a default aggregator (occlusion).
    aggregated = sequence.aggregate()
    source, target, start = aggregated.source_attributions, aggregated.target_attributions, aggregated.attr_pos_start
    steps = len(aggregated.target) - start
    return [
        [
            None if source is None else source[:, step].tolist(),
            None if target is None else target[: start + step, step].tolist(),
        ]
        for step in range(steps)
    ]


if __name__ == "__main__":
    main()
