"""Measures how large a page of 300 examples is and how long a browser takes to open it.

    python3 tests/browser/measure.py --whence target/release/whence

Prints the size of the page and the median of five times until what is in view is drawn.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from check import Pages
from chromium import Chromium

ROWS, TIMES = 300, 5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whence", required=True, type=lambda path: str(Path(path).absolute()))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        pages = Pages(arguments.whence, folder)
        page = pages.dataset("pairs", ROWS)
        times = [browser.open(page) for _ in range(TIMES)]
        size = page.stat().st_size / 1e6
        print(f"{ROWS} examples: {size:.2f} MB, drawn after {statistics.median(times):.0f} ms")


if __name__ == "__main__":
    main()
