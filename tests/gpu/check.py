#!/usr/bin/env python3
"""Checks whence on a GPU in ten minutes, and writes what it measured as JSON.

    cargo build --release -p whence-engine --example time_attribution
    cargo test --release -p whence-engine --lib --no-run
    tests/gpu/check.py --suite target/release/deps/whence_engine-… result.json

1. The suites that compare a device with main memory run on the GPU: every operation, every family,
   method, step function and kind of generation.
2. Random checkpoints of 1.2 and 6.7 billion numbers are written, because no large file need travel.
3. The smaller one gives the same scores as on the processor, to rounding, and the same bits whatever
   examples share a batch.
4. Saliency is timed at three lengths, beside Inseq if this Python has it.

`--device emulated --tiny` runs the same steps without a GPU, of a program built with the feature
`emulated`, to test this script. Steps for which no time is left are named in the result.
"""

import argparse
import array
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOKENIZER = ROOT / "tests/models/gpt2-random"

# Layers, hidden size, inner size, heads, heads of keys and values.
SHAPES = {"1.2B": (16, 2048, 8192, 32, 8), "6.7B": (32, 4096, 11008, 32, 32), "tiny": (2, 64, 96, 4, 2)}
VOCABULARY = 32000

# Tokens of the prompt, and those that are attributed.
LENGTHS = [(24, 24), (128, 64), (512, 256)]

# One number of a block that is repeated: a checkpoint need not be random throughout.
BLOCK = 1 << 18


def block():
    """Returns random numbers of standard deviation 0.02 in bfloat16."""
    draws = random.Random(0)
    numbers = (struct.pack("<f", draws.gauss(0, 0.02))[2:] for _ in range(BLOCK))
    return b"".join(numbers)


def tensors(shape, vocabulary):
    """Returns the names and shapes of the tensors of a Llama of this shape."""
    layers, hidden, inner, heads, kv_heads = shape
    kv = hidden // heads * kv_heads
    found = {"model.embed_tokens.weight": [vocabulary, hidden], "lm_head.weight": [vocabulary, hidden],
             "model.norm.weight": [hidden]}
    for layer in range(layers):
        at = f"model.layers.{layer}."
        found |= {at + "self_attn.q_proj.weight": [hidden, hidden], at + "self_attn.k_proj.weight": [kv, hidden],
                  at + "self_attn.v_proj.weight": [kv, hidden], at + "self_attn.o_proj.weight": [hidden, hidden],
                  at + "mlp.gate_proj.weight": [inner, hidden], at + "mlp.up_proj.weight": [inner, hidden],
                  at + "mlp.down_proj.weight": [hidden, inner],
                  at + "input_layernorm.weight": [hidden], at + "post_attention_layernorm.weight": [hidden]}
    return found


def write_model(folder, name):
    """Writes a random Llama of the shape called `name`."""
    shape = SHAPES[name]
    layers, hidden, inner, heads, kv_heads = shape
    vocabulary = 512 if name == "tiny" else VOCABULARY
    folder.mkdir()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / file, folder)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
              "num_hidden_layers": layers, "intermediate_size": inner, "num_attention_heads": heads,
              "num_key_value_heads": kv_heads, "vocab_size": vocabulary, "max_position_embeddings": 4096,
              "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
              "rope_theta": 10000.0}
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    listed = tensors(shape, vocabulary)
    for tensor, size in listed.items():
        count = 1
        for length in size:
            count *= length
        header[tensor] = {"dtype": "BF16", "shape": size, "data_offsets": [end, end + 2 * count]}
        end += 2 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    numbers = block()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor, entry in header.items():
            left = entry["data_offsets"][1] - entry["data_offsets"][0]
            # Norms are near one.
            own = array.array("H", [0x3F80] * (left // 2)).tobytes() if "norm" in tensor else numbers
            while left > 0:
                file.write(own[:left])
                left -= len(own)
    return folder


def rows(path, count, prompt, new):
    """Writes rows of single letters, which are tokens of the tokenizer."""
    draws = random.Random(1)
    with open(path, "w") as file:
        for _ in range(count):
            # The first token is the start of a text.
            words = [draws.choice("abcdefghij") for _ in range(prompt + new)]
            row = {"input": "".join(words[:prompt]), "target": "".join(words)}
            file.write(json.dumps(row) + "\n")
    return path


class Check:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.ends = time.monotonic() + arguments.limit
        self.result = {"device": arguments.device, "steps": {}, "not_run": []}

    def step(self, name, seconds, work):
        """Runs a step if `seconds` are left for it."""
        if time.monotonic() + seconds > self.ends:
            self.result["not_run"].append(name)
            return None
        start = time.monotonic()
        try:
            found = work()
        except subprocess.CalledProcessError as error:
            found = {"failed": (error.stdout or "")[-2000:] + (error.stderr or "")[-2000:]}
        except subprocess.TimeoutExpired:
            found = {"failed": "it ran out of time"}
        self.result["steps"][name] = {"seconds": round(time.monotonic() - start, 1), "found": found}
        print(f"{name}: {json.dumps(found)[:300]}", flush=True)
        return found

    def run(self, command, **variables):
        left = max(1, self.ends - time.monotonic())
        environment = os.environ | variables
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=left, env=environment).stdout

    def machine(self):
        try:
            query = "--query-gpu=name,driver_version,memory.total"
            return self.run(["nvidia-smi", query, "--format=csv,noheader"]).strip()
        except FileNotFoundError:
            return "no nvidia-smi"

    def suite(self):
        """Returns how many tests of the engine passed on the device."""
        told = self.run([self.arguments.suite, "conformance", "device_tests"], WHENCE_TEST_DEVICE=self.arguments.device)
        return [line for line in told.splitlines() if line.startswith("test result")][-1]

    def timed(self, model, lengths, batch, count, device=None, out=None):
        """Returns what the timer measures, with tokens attributed per second."""
        spec = self.folder / "spec.json"
        spec.write_text(json.dumps({"method": "saliency", "attribute_target": True}))
        examples = rows(self.folder / "rows.jsonl", count, *lengths)
        variables = {"WHENCE_DEVICE": device or self.arguments.device} | ({"OUT": str(out)} if out else {})
        told = self.run([self.arguments.timer, str(model), str(examples), str(spec), str(batch)], **variables)
        found = json.loads(told.splitlines()[-1])
        return found | {"steps_per_second": round(found["steps"] / found["seconds"], 1)}

    def truth(self, model):
        """Compares scores of the device with those of the processor, and batches of one with one of all."""
        outs = {name: self.folder / f"{name}.jsonl" for name in ("device", "alone", "cpu")}
        self.timed(model, (12, 6), 4, 4, out=outs["device"])
        self.timed(model, (12, 6), 1, 4, out=outs["alone"])
        self.timed(model, (12, 6), 4, 4, device="cpu", out=outs["cpu"])
        text = {name: path.read_text() for name, path in outs.items()}
        numbers = {name: list(numbers_of(json.loads(f"[{','.join(text[name].splitlines())}]"))) for name in outs}
        largest = max(abs(number) for number in numbers["cpu"])
        error = max(abs(one - other) for one, other in zip(numbers["device"], numbers["cpu"]))
        return {"same_bits_in_every_batch": text["device"] == text["alone"], "largest_error": error / largest}

    def inseq(self, model, lengths):
        """Returns Inseq's steps per second, one example at a time; None if this Python has no Inseq."""
        program = f"""
import json, time, torch, inseq
model = inseq.load_model({str(model)!r}, "saliency", device="cuda", model_kwargs={{"torch_dtype": torch.float32}})
rows = [json.loads(line) for line in open({str(self.folder / 'rows.jsonl')!r})]
def attribute(row):
    return model.attribute(row["input"], row["target"], show_progress=False)
attribute(rows[0])
torch.cuda.synchronize(); start = time.monotonic()
for row in rows: attribute(row)
torch.cuda.synchronize()
print({lengths[1]} * len(rows) / (time.monotonic() - start))
"""
        try:
            return round(float(self.run([sys.executable, "-c", program]).splitlines()[-1]), 1)
        except subprocess.CalledProcessError as error:
            if "No module named" in error.stderr:
                return None
            raise

    def all(self):
        arguments = self.arguments
        self.step("machine", 5, self.machine)
        if arguments.suite:
            self.step("suite", 60, self.suite)
        names = ["tiny"] if arguments.tiny else ["1.2B", "6.7B"]
        lengths = [(6, 3)] if arguments.tiny else LENGTHS
        for name in names:
            model = self.folder / name
            if self.step(f"{name} written", 60, lambda: write_model(model, name).name) is None:
                continue
            if name == names[0]:
                self.step(f"{name} truth", 60, lambda: self.truth(model))
            for length in lengths:
                what = f"{name} {length[0]}+{length[1]}"
                self.step(what, 30, lambda: self.timed(model, length, 8, 8))
                if not arguments.tiny:
                    self.step(f"{what} Inseq", 60, lambda: self.inseq(model, length))
            shutil.rmtree(model)
        return self.result


def numbers_of(value):
    """Yields the numbers in nested lists."""
    if isinstance(value, list):
        for part in value:
            yield from numbers_of(part)
    elif value is not None:
        yield value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--timer", default=str(ROOT / "target/release/examples/time_attribution"))
    parser.add_argument("--suite", help="the engine's unit tests, compiled")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--limit", type=float, default=570, help="seconds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = Check(arguments, Path(folder)).all()
    arguments.result.write_text(json.dumps(result, indent=2) + "\n")
    failed = [name for name, step in result["steps"].items() if isinstance(step["found"], dict) and "failed" in step["found"]]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
