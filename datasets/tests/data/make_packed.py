"""Writes the packed files of the tests: the same rows with every compression, and a zip archive.

Run with Python 3.11 or later, zstandard 0.25 and lz4 4.4: `python make_packed.py`.
"""

import bz2
import gzip
import lzma
import pathlib
import zipfile

import lz4.frame
import zstandard

FOLDER = pathlib.Path(__file__).parent
ROWS = [b'{"en":"Close it."}\n', b'{"en":"Open it."}\n']
PACK = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
    "lz4": lz4.frame.compress,
}

# Two packed pieces, one after another, as `cat a.gz b.gz` makes them.
for name, pack in PACK.items():
    (FOLDER / f"rows.jsonl.{name}").write_bytes(b"".join(map(pack, ROWS)))

MEMBERS = [
    ("b/two.jsonl", ROWS[1], zipfile.ZIP_STORED),
    ("one.jsonl", ROWS[0] * 20, zipfile.ZIP_DEFLATED),
    ("a/three.jsonl.gz", gzip.compress(ROWS[0], mtime=0), zipfile.ZIP_DEFLATED),
    ("__MACOSX/one.jsonl", b"x", zipfile.ZIP_STORED),
    (".hidden.jsonl", b"x", zipfile.ZIP_STORED),
    ("b/lzma.jsonl", ROWS[0], zipfile.ZIP_LZMA),
]
with zipfile.ZipFile(FOLDER / "members.zip", "w") as archive:
    for name, data, method in MEMBERS:
        member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        member.compress_type = method
        archive.writestr(member, data)
