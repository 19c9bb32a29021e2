"""Writes shapes.parquet and the Arrow files: the same columns in every format that has types.

Run with pyarrow 26 and datasets 5.2: `python make_column_cases.py`.
"""

import datetime
import decimal
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = pathlib.Path(__file__).parent
TEXTS = ["Open the window.", None, "Zürich 五", "", "last"]
DAY = datetime.datetime(2024, 2, 29, 12, 30, 15, 123456)


def column(values, kind):
    return pa.array(values, kind)


def bytes_of(text):
    return None if text is None else text.encode()


COLUMNS = {
    # What holds text, in every shape.
    "string": column(TEXTS, pa.string()),
    "large_string": column(TEXTS, pa.large_string()),
    "string_view": column(TEXTS, pa.string_view()),
    "binary": column(list(map(bytes_of, TEXTS)), pa.binary()),
    "large_binary": column(list(map(bytes_of, TEXTS)), pa.large_binary()),
    "fixed": column([b"abcd", None, b"efgh", b"ijkl", b"mnop"], pa.binary(4)),
    "dictionary": column(TEXTS, pa.string()).dictionary_encode(),
    "struct": column(
        [{"en": text, "de": "x"} if text != "" else None for text in TEXTS],
        pa.struct([("en", pa.string()), ("de", pa.string())]),
    ),
    "list": column([[text, "y"] for text in TEXTS], pa.list_(pa.string())),
    "messages": column(
        [[{"role": "user", "content": text}] for text in TEXTS],
        pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
    ),
    "map": column([[("en", text), ("n", "1")] for text in TEXTS], pa.map_(pa.string(), pa.string())),
    "a.b": column(TEXTS, pa.string()),
    ".leading": column(TEXTS, pa.string()),
    "two words": column(TEXTS, pa.string()),
    # What holds none.
    "int64": column([9007199254740993, None, -1, 0, 1], pa.int64()),
    "uint64": column([18446744073709551615, None, 1, 0, 1], pa.uint64()),
    "double": column([0.1, None, float("nan"), float("-inf"), 1e300], pa.float64()),
    "bool": column([True, None, False, True, False], pa.bool_()),
    "decimal": column(
        [decimal.Decimal("12345678901234567.89"), None, *map(decimal.Decimal, ["0.10", "-1.00", "1.00"])],
        pa.decimal128(19, 2),
    ),
    "timestamp": column([DAY, None, DAY, DAY, DAY], pa.timestamp("us")),
    "timestamp_utc": column([DAY, None, DAY, DAY, DAY], pa.timestamp("ms", "UTC")),
    "date": column([DAY.date(), None, DAY.date(), DAY.date(), DAY.date()], pa.date32()),
    "null": pa.nulls(5),
    "numbers": column([[1, 2], None, [], [3], [None]], pa.list_(pa.int32())),
    "times": column([[DAY.date()], None, [], [], []], pa.list_(pa.date32())),
    "blob": column([b"\xff\xfe", None, b"a", b"b", b"c"], pa.binary()),
}

table = pa.table(COLUMNS)
pq.write_table(table, FOLDER / "shapes.parquet", row_group_size=2)
for codec in ["gzip", "brotli", "lz4", "zstd", "none"]:
    pq.write_table(table.select(["string", "int64"]), FOLDER / f"codec-{codec}.parquet", compression=codec)

# Batches of two rows, so that a reader can start between them. The dictionary is written first.
with pa.OSFile(str(FOLDER / "stream.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
    writer.write_table(table, max_chunksize=2)
options = pa.ipc.IpcWriteOptions(compression="zstd")
with pa.OSFile(str(FOLDER / "file.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema, options=options) as writer:
    writer.write_table(table, max_chunksize=2)
print({path.name: path.stat().st_size for path in sorted(FOLDER.glob("*.[pa]*"))})
