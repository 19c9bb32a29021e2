"""Writes a Parquet file of about 1 GB with four columns of texts that do not compress.

    python make_large.py rows.parquet

Made with pyarrow 26. `examples/read_remote.rs` measures how much of the file one column costs.
"""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS, GROUP = 2_000_000, 50_000
random = np.random.default_rng(0)
letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .", np.uint8)


def column():
    texts = letters[random.integers(0, 64, (GROUP, 128))]
    offsets = np.arange(GROUP + 1, dtype=np.int32) * 128
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(texts.tobytes())]
    return pa.Array.from_buffers(pa.string(), GROUP, buffers)


schema = pa.schema([(name, pa.string()) for name in "abcd"])
with pq.ParquetWriter(sys.argv[1], schema, compression="none", use_dictionary=False) as writer:
    for _ in range(0, ROWS, GROUP):
        writer.write_table(pa.table({name: column() for name in "abcd"}), row_group_size=GROUP)
