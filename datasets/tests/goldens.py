"""Writes `goldens.json`: the rows that `datasets` reads from the shapes of `shapes.py`.

Made with datasets 5.2.0 and pyarrow, in an empty folder without network:

    HF_HUB_OFFLINE=1 python datasets/tests/goldens.py
"""

import io
import json
import logging
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import datasets  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from shapes import LINE, SHAPES, SPLITS  # noqa: E402

HERE = Path(__file__).parent
DATA = HERE / "shapes"
logging.disable(logging.CRITICAL)
datasets.disable_progress_bars()


def write_binaries():
    """Writes the files that are not text, unless they exist: packing them again changes bytes."""
    import gzip

    import zstandard

    DATA.mkdir(exist_ok=True)
    for name, rows in [("one", ["1 one"]), ("two", ["2 one", "2 two"])]:
        table = pa.table({"text": rows})
        if not (DATA / f"{name}.parquet").exists():
            pq.write_table(table, DATA / f"{name}.parquet")
            with pa.ipc.new_stream(DATA / f"{name}.arrow", table.schema) as writer:
                writer.write_table(table)
    if not (DATA / "one.jsonl.gz").exists():
        (DATA / "one.jsonl.gz").write_bytes(gzip.compress(LINE.format("packed").encode(), mtime=0))
        (DATA / "one.jsonl.zst").write_bytes(zstandard.compress(LINE.format("packed").encode()))
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name in ["b.jsonl", "a.jsonl", "x/c.jsonl"]:
                archive.writestr(zipfile.ZipInfo(name), LINE.format(f"zip {name}"))
        (DATA / "two.zip").write_bytes(content.getvalue())


def build(files, folder):
    # Links come last, because what they point to must exist.
    for name, content in sorted(files.items(), key=lambda file: file[1].startswith("->")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("->"):
            path.symlink_to(content[2:])
        elif content.startswith("@"):
            shutil.copy(DATA / content[1:], path)
        else:
            path.write_text(content, encoding="utf-8", newline="")


def load(folder, cache, asked):
    """Returns the dataset, or None where `datasets` refuses."""
    if asked.get("from_disk"):
        # `load_dataset` refuses such a folder, and points here.
        try:
            saved = datasets.load_from_disk(str(folder))
            return saved[asked.get("split", "train")] if isinstance(saved, datasets.DatasetDict) else saved
        except Exception as error:  # noqa: BLE001
            return error
    arguments = dict(asked.get("arguments", {}))
    path = str(folder)
    data_files, data_dir = asked.get("data_files"), asked.get("data_dir")
    if "builder" in asked:
        path = asked["builder"]
        if data_dir is not None:
            data_dir = str(folder / data_dir)
        elif data_files is not None:
            data_files = [str(folder / name) for name in data_files]
    try:
        return datasets.load_dataset(
            path, asked.get("config"), data_files=data_files, data_dir=data_dir,
            split=asked.get("split", "train"), cache_dir=str(cache), **arguments)
    except Exception as error:  # noqa: BLE001
        return error


def rows(dataset):
    if isinstance(dataset, Exception):
        lines = [line for line in str(dataset).splitlines() if line.strip()] or [""]
        return {"refused": f"{type(dataset).__name__}"}, lines[0]
    values = dataset["text"] if "text" in dataset.column_names else [None] * len(dataset)
    return {"rows": [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]}, ""


def shapes():
    results = []
    for name, files, asks in SHAPES:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "data"
            folder.mkdir()
            build(files, folder)
            loads = []
            for number, asked in enumerate(asks):
                found, why = rows(load(folder, Path(temporary) / f"cache{number}", asked))
                print(name, asked, found, why[:100], file=sys.stderr)
                loads.append({"asked": asked, **found})
        results.append({"name": name, "files": files, "loads": loads})
    return results


def splits():
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        folder.mkdir()
        for split, count in [("train", 250), ("test", 10)]:
            text = "".join(f'{{"n": {row}, "split": "{split}"}}\n' for row in range(count))
            (folder / f"{split}.jsonl").write_text(text)
        for spec in SPLITS:
            found = load(folder, Path(temporary) / "cache", {"split": spec})
            if isinstance(found, Exception):
                print(repr(spec), repr(found)[:100], file=sys.stderr)
                results.append({"split": spec, "ranges": None})
                continue
            ranges = []
            for row in found:
                if ranges and ranges[-1][0] == row["split"] and ranges[-1][2] == row["n"]:
                    ranges[-1][2] += 1
                else:
                    ranges.append([row["split"], row["n"], row["n"] + 1])
            print(repr(spec), ranges, file=sys.stderr)
            results.append({"split": spec, "ranges": ranges})
    return results


if __name__ == "__main__":
    write_binaries()
    found = {"datasets": datasets.__version__, "shapes": shapes(), "splits": splits()}
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (HERE / "goldens.json").write_text(text + "\n", encoding="utf-8")
