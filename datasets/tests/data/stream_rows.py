"""Streams every row of a JSON Lines file with `datasets`: `python stream_rows.py FILE`.

With `--write ROWS`, writes such a file first. Compare with `cargo run --example read_rows`.
"""

import json
import sys
import time

import datasets

path = sys.argv[1]
if "--write" in sys.argv:
    with open(path, "w") as file:
        for row in range(int(sys.argv[sys.argv.index("--write") + 1])):
            text = f"Sentence {row} of the file is about as long as most sentences of a corpus are."
            file.write(json.dumps({"id": row, "en": text, "fr": text[::-1], "score": row / 7}) + "\n")
start = time.perf_counter()
stream = datasets.load_dataset("json", data_files=path, split="train", streaming=True)
rows = sum(1 for _ in stream)
seconds = time.perf_counter() - start
print(f"{rows} rows, {seconds:.2f} s, {rows / seconds:.0f} rows/s")
