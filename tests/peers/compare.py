#!/usr/bin/env python3
"""Runs Inseq and whence on the same inputs, interleaved, on the same cores, and prints a table.

    python3 tests/peers/compare.py [--cases WORD ...] [--threads N] [--repeat N] [--python PATH]

Creates what it needs: a virtual environment with pinned Inseq in ``.venv/peers`` (or ``--python`` names
an existing one), and a release build of the engine. SmolLM2 takes part if ``tests/models/unpack_smollm2.py``
has unpacked it. Both sides compute in single precision with the same number of threads; loading is
excluded on both. Each repetition runs one side after the other, so that other load on the machine
affects both; the ratio is the median over repetitions. Processor time is printed too, because a busy
machine slows OpenMP's spinning threads more than it slows ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ["inseq[datasets]==0.7.1", "torch==2.15.*", "transformers==5.23.*", "gguf", "accelerate", "scikit-learn"]
MARIAN, SMOLLM2 = "tests/models/lo-en-fr-tiny", ".models/smollm2"
LLAMA, T5 = "tests/models/glass-en", "tests/models/t5-random"


@dataclass(frozen=True)
class Case:
    """One line of the table: a model, a method and its inputs."""

    name: str
    model: str
    method: str
    params: dict = field(default_factory=dict)
    # For decoder-only models, the numbers of prompt and target tokens of one text; else `pairs` of the test data.
    tokens: tuple[int, int] | None = None
    pairs: int = 300
    target_factor: float | None = None
    # Backward passes per step, if the work of a gradient method can be counted; otherwise 0.
    passes: int = 0
    # Texts per call of Inseq. It is 1 where Inseq fails or is wrong with more.
    batch: int = 8


def smollm2(method: str, tokens: tuple[int, int], factor: float, passes: int = 0, **params) -> Case:
    prompt, target = tokens
    return Case(f"smollm2 {prompt}+{target} {method}", SMOLLM2, method, params, tokens, 0, factor, passes)


SHORT, LONG = (24, 24), (128, 55)
CASES = [
    Case("dataset saliency", MARIAN, "saliency", target_factor=8.0),
    Case("dataset input_x_gradient", MARIAN, "input_x_gradient", target_factor=6.0),
    Case("dataset attention", MARIAN, "attention", target_factor=2.0),
    smollm2("saliency", SHORT, 6.0, passes=1),
    smollm2("input_x_gradient", SHORT, 6.0, passes=1),
    smollm2("integrated_gradients", SHORT, 3.5, passes=6, n_steps=6),
    smollm2("deeplift", SHORT, 7.0, passes=1),
    smollm2("gradient_shap", SHORT, 4.0, passes=5),
    smollm2("attention", SHORT, 2.0),
    smollm2("saliency", LONG, 4.5, passes=1),
    smollm2("input_x_gradient", LONG, 4.5, passes=1),
    smollm2("attention", LONG, 2.0),
    # Sizes for which a repetition of Inseq takes about a minute at most.
    smollm2("sequential_integrated_gradients", (8, 6), 10.0, n_steps=5),
    smollm2("occlusion", (12, 8), 60.0),
    smollm2("lime", SHORT, 20.0, n_samples=6),
    # A repetition of Inseq takes minutes.
    smollm2("occlusion", SHORT, 60.0),
    # It first searches all embeddings for neighbors, so use a vocabulary of 4,000 rather than 49,000.
    Case(
        "dataset discretized_integrated_gradients",
        MARIAN,
        "discretized_integrated_gradients",
        {"n_steps": 10},
        pairs=2,
        batch=1,
        target_factor=3.5,
    ),
    # With SmolLM2 Inseq would take an hour. The model has 128 positions.
    Case("glass-en 72+55 occlusion", LLAMA, "occlusion", tokens=(72, 55), target_factor=150.0),
    # The only family for which Inseq can zero values with transformers 5. With such a small model,
    # most of a step's cost is not arithmetic.
    Case("t5-random value_zeroing", T5, "value_zeroing", pairs=10, batch=1, target_factor=5.0),
]
# Each side draws its own random numbers, so scores cannot be compared.
RANDOM_METHODS = {"gradient_shap", "lime"}


def main() -> None:
    arguments = argparse.ArgumentParser(description="compare whence with Inseq")
    arguments.add_argument("--cases", nargs="*", default=[""], help="words that a case's name must hold")
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--repeat", type=int, default=5)
    arguments.add_argument("--python", help="a Python that has Inseq 0.7.1")
    arguments = arguments.parse_args()
    os.chdir(ROOT)
    python = arguments.python or make_environment()
    subprocess.run(
        ["cargo", "build", "--quiet", "--release", "-p", "whence-engine", "--example", "time_attribution"], check=True
    )
    peer = Peer(python, arguments.threads)
    peak = peer.ask(do="peak")["gflops"]
    print(f"{arguments.threads} threads, best matrix product of torch {peak:.0f} GFLOP/s\n")
    print("| case | whence s | Inseq s | ratio | target | ratio of processor time | largest difference | GFLOP/s | of peak |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        if not all(word in case.name for word in arguments.cases):
            continue
        if not Path(case.model).exists():
            print(f"skipped {case.name}: {case.model} is absent", file=sys.stderr)
            continue
        print(measure(case, peer, arguments.threads, arguments.repeat, peak), flush=True)


def make_environment() -> str:
    """Returns the Python of the pinned environment, which is created if missing."""
    folder = ROOT / ".venv" / "peers"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
    return str(python)


class Peer:
    """A process that keeps Inseq loaded."""

    def __init__(self, python: str, threads: int):
        side = ROOT / "tests" / "peers" / "inseq_side.py"
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            [python, side, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(self, **request) -> dict:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"Inseq's side ended at {request['do']}; run tests/peers/inseq_side.py by hand to see why")
        return json.loads(answer)


def measure(case: Case, peer: Peer, threads: int, repeat: int, peak: float) -> str:
    """Runs both sides in turn and returns a line of the table."""
    rows = rows_of(case, peer)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = [], []
        for _ in range(repeat + 1):
            ours.append(run_whence(case, rows, Path(folder), threads))
            request = {"model": case.model, "rows": rows, "method": case.method, "params": case.params}
            theirs.append(peer.ask(do="attribute", **request, batch=case.batch, out=f"{folder}/inseq"))
        difference = largest_difference(Path(folder) / "whence", Path(folder) / "inseq")
    # The first repetition warms both up.
    ours, theirs = ours[1:], theirs[1:]
    seconds = statistics.median(run["seconds"] for run in ours)
    inseqs = statistics.median(run["seconds"] for run in theirs)
    ratio, cpu_ratio = (
        statistics.median(b[clock] / a[clock] for a, b in zip(ours, theirs)) for clock in ("seconds", "cpu_seconds")
    )
    rate = gflop(case) / seconds
    columns = [
        case.name,
        f"{seconds:.3f}",
        f"{inseqs:.2f}",
        f"**{ratio:.1f}**",
        f"{case.target_factor:g}",
        f"{cpu_ratio:.1f}",
        "random" if case.method in RANDOM_METHODS else f"{difference:.1e}",
        f"{rate:.0f}" if rate else "–",
        f"{rate / peak:.0%}" if rate else "–",
    ]
    return "| " + " | ".join(columns) + " |"


def rows_of(case: Case, peer: Peer) -> list[dict]:
    """Returns the input rows: test pairs, or one text cut to the wanted number of tokens."""
    pairs = []
    for line in Path("tests/data/libreoffice-help-en-fr.test.jsonl").read_text().splitlines():
        translation = json.loads(line)["translation"]
        pairs.append({"input": translation["en"], "target": translation["fr"]})
    if case.tokens is None:
        return pairs[: case.pairs]
    prompt, target = case.tokens
    text = " ".join(pair["input"] for pair in pairs[:20])
    return [peer.ask(do="cut", model=case.model, text=text, prompt=prompt, target=target)]


def run_whence(case: Case, rows: list[dict], folder: Path, threads: int) -> dict:
    """Runs the engine in a separate process, which measures its own time after loading."""
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    # Compatibility mode, so that the scores of the two can be compared.
    spec = {"method": {"name": case.method, "params": case.params}, "compat": "inseq-0.7.1"}
    (folder / "spec.json").write_text(json.dumps(spec))
    command = ["target/release/examples/time_attribution", case.model, folder / "rows.jsonl", folder / "spec.json", "64"]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "OUT": str(folder / "whence")}
    run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def largest_difference(ours: Path, theirs: Path) -> float:
    """Returns the largest difference between corresponding scores."""
    largest = 0.0
    pairs = zip(ours.read_text().splitlines(), theirs.read_text().splitlines(), strict=True)
    for our_steps, their_steps in (map(json.loads, pair) for pair in pairs):
        for our_step, their_step in zip(our_steps, their_steps, strict=True):
            for a, b in zip(our_step, their_step, strict=True):
                largest = max([largest, *(abs(x - y) for x, y in zip(a or [], b or [], strict=True))])
    return largest


def gflop(case: Case) -> float:
    """Returns the work in GFLOP of a gradient method on SmolLM2, from its shape: 30 layers, width 576.

    Two operations per weight and row, forward once per pass and backward for the rows of each step, plus the
    head forward and backward for each step. Attention itself, a few percent, is left out.
    """
    if not case.passes:
        return 0.0
    weights = 30 * (576 * (576 + 2 * 192 + 576) + 3 * 576 * 1536)
    prompt, target = case.tokens
    length = prompt + target - 1
    seed_rows = target * prompt + target * (target - 1) // 2
    return case.passes * (2 * weights * (length + seed_rows) + 4 * 576 * 49_152 * target) / 1e9


if __name__ == "__main__":
    main()
