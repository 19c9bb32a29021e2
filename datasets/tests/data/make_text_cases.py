"""Writes text_cases.json: small JSON, CSV and text files, and the rows that `datasets` loads from them.

Run with datasets 5.2 and pandas 3.1: `python make_text_cases.py`. A case without rows is one that
`datasets` refuses, or one that it reads in a way that shifts columns without saying so.
"""

import base64
import json
import logging
import math
import os
import pathlib
import tempfile

os.environ["HF_DATASETS_OFFLINE"] = "1"
logging.disable(logging.CRITICAL)
import datasets

datasets.disable_progress_bars()

JSON = {
    "lines": b'{"a":"x","b":{"c":"y"}}\n{"a":"z","b":{"c":null}}\n',
    "no line end": b'{"a":"x"}\n{"a":"y"}',
    "carriage returns": b'{"a":"x"}\r\n{"a":"y"}\r\n',
    "blank lines": b'\n{"a":"x"}\n\n{"a":"y"}\n\n',
    "byte order mark": b'\xef\xbb\xbf{"a":"x"}\n{"a":"y"}\n',
    "byte order mark before a list": b'\xef\xbb\xbf[{"a":"x"}]',
    "NaN and Infinity": b'{"a":"x","s":NaN}\n{"a":"y","s":-Infinity}\n',
    "pair of surrogates": b'{"a":"\\ud83d\\ude00"}\n',
    "lone surrogate": b'{"a":"\\ud800x"}\n',
    "key twice": b'{"a":"x","a":"y"}\n',
    "control character": b'{"a":"x\ty"}\n',
    "indented": b'{\n "a": "x"\n}\n{\n "a": "y\\"}"\n}\n',
    "several in a line": b'{"a":"x"}{"a":"y"} {"a":"z"}\n',
    "several in a later line": b'{"a":"x"}\n{"a":"y"} {"a":"z"}\n{"a":"w"}\n',
    "lone carriage returns": b'{"a":"x"}\r{"a":"y"}\r',
    "list": b'[{"a":"x"},{"a":"y"}]',
    "list with blanks": b'[ {"a":"x"} ,\n {"a":"y"}\n ]\n',
    "list after blanks": b' \n[{"a":"x"},{"a":"y"}]',
    "list with null": b'[{"a":"x"},null]',
    "list of texts": b'["x","y{"]',
    "list of texts with braces": b'["{x","y"]',
    "list of numbers": b"[1,2]",
    "list of lists": b'[["a","b"],["c","d"]]',
    "two lists": b'[{"a":"x"}]\n[{"a":"y"}]\n',
    "lists in lines": b'["a","b"]\n["c","d"]\n',
    "null line": b'{"a":"x"}\nnull\n',
    "numbers in lines": b"1\n2\n",
    "texts in lines": b'"x"\n"y"\n',
    "one object of lists": b'{"a":["x","y"],"b":["c","d"]}',
    "one object": b'{\n"a":"x",\n"b":{"c":"1"}\n}',
    "commas after lines": b'{"a":"x"},\n{"a":"y"}\n',
    "broken line": b'{"a":"x"}\n{"a":\n{"a":"z"}\n',
    "UTF-16": '{"a":"x"}\n'.encode("utf-16"),
    "missing column": b'{"a":"x"}\n{"b":"y"}\n',
}
FIELD = {
    "list": b'{"version":1,"data":[{"a":"x"},{"a":"y"}],"end":[1]}',
    "list of texts": b'{"data":["x","y"]}',
    "nested": b'{"data":[{"a":{"b":"c"}},{"a":null}]}',
    "missing": b'{"x":1}',
    "number": b'{"data":3}',
    "lines": b'{"data":[{"a":1}]}\n{"data":[{"a":2}]}\n',
}
CSV = {
    "plain": b"a,b\nx,1\ny,2\n",
    "no line end": b"a,b\nx,p",
    "line ends in a cell": b'a,b\r\n"x\r\ny",p\r\n',
    "lone carriage returns": b"a,b\rx,p\ry,q\r",
    "mixed line ends": b"a,b\nx\ry,p\n",
    "byte order mark": b"\xef\xbb\xbfa,b\nx,p\n",
    "byte order mark before a quote": b'\xef\xbb\xbf"a",b\nx,p\n',
    "missing values": b'a,b\nNA,p\nnull,p\nNaN,p\n,p\n"NA",p\n"",p\nNone,p\nn/a,p\n N/A,p\nnan,p\n'
    b"-1.#IND,p\n#N/A,p\n<NA>,p\nna,p\nNULL,p\nNONE,p\nx,p\n",
    "column twice": b"a,a,a\nx,y,z\n",
    "column twice and taken": b"a,a,a.1\nx,y,z\n",
    "column without a name": b"a,,b\nx,y,z\n",
    "blank lines": b"\n\na,b\n\nx,p\n   \ny,q\n\t\n",
    "quoted blank": b'a\nx\n\n ""\n""\ny\n',
    "short row": b"a,b,c\nx,p\ny,q,r\n",
    "long row": b"a,b\nx,p\ny,q,r\n",
    "quote in the middle": b'a,b\nx"y,p\nz,q\n',
    "text after a quote": b'a,b\n"x"y,p\n"z" ,q\n',
    "doubled quotes": b'a,b\n"x""y",p\n"""",q\n',
    "blank before a quote": b'a,b\n "x",p\n',
    "quoted separator": b'a,b\n"x,y",p\n',
    "quoted line end in the header": b'"a\nb",c\nx,p\n',
    "open quote": b'a,b\n"x,p\ny,q\n',
    "open quote at the end": b'a,b\nx,"y',
    "not UTF-8": "a\ncafé\n".encode("latin-1"),
    "semicolons": b"a;b\nx;p\n",
    "blanks at the ends of cells": b"a, b\nx , y\n",
    "row of separators": b"a,b\nx,y\n,\n",
}
# `datasets` takes the first columns of these for row labels and shifts the others.
SHIFTED = {
    "every row longer": b"a,b\nx,p,q\ny,q,r\n",
    "separator at the end": b"a,b\nx,p,\ny,q,\n",
}
OPTIONS = [
    ("csv", "semicolon", b"a;b\n'x;y';p\n", {"sep": ";", "quotechar": "'"}),
    ("csv", "tab", b"a\tb\nx\tp\n\ty\n", {"sep": "\t"}),
    ("csv", "names", b"x,p\ny,q\n", {"names": ["one", "two"]}),
    ("csv", "skipped lines", b"title\n\na,b\nx,p\n", {"skiprows": 1}),
    ("csv", "latin-1", "a\ncafé\n".encode("latin-1"), {"encoding": "latin-1"}),
    ("csv", "utf-16", "a\ncafé\n".encode("utf-16"), {"encoding": "utf-16"}),
    ("csv", "words are texts", b"a,b\nNA,p\n,q\n", {"keep_default_na": False}),
    ("json", "cp1252", '{"a":"café"}\n'.encode("cp1252"), {"encoding": "cp1252"}),
    ("text", "paragraphs", b"a\nb\n\nc\n\n\n\nd\n", {"sample_by": "paragraph"}),
    ("text", "paragraphs with carriage returns", b"a\r\nb\r\n\r\nc", {"sample_by": "paragraph"}),
    ("text", "document", b"a\r\nb\n\nc\n", {"sample_by": "document"}),
    ("text", "line ends", b"a\r\nb", {"keep_linebreaks": True}),
    ("text", "signature", b"\xef\xbb\xbfa\n", {"encoding": "utf-8-sig"}),
    ("text", "shift_jis", "日本\n".encode("shift_jis"), {"encoding": "shift_jis"}),
]
TEXT = {
    "lines": b"a\nb\n",
    "line ends": b"a\r\nb\rc\n\n d \n",
    "several line ends": b"a\r\r\nb\r",
    "no line end": b"a\n\nb",
    "byte order mark": b"\xef\xbb\xbfa\nb\n",
    "other line separators": "a\u2028b\x0bc\n".encode(),
    "not UTF-8": b"a\xff\n",
}


def finite(value):
    """JSON has no NaN. That a cell holds a number is all that is compared."""
    return 0.0 if isinstance(value, float) and not math.isfinite(value) else value


def load(format, data, options):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "rows.data")
        path.write_bytes(data)
        try:
            rows = datasets.load_dataset(
                format, data_files=str(path), split="train", cache_dir=folder + "/cache", **options
            )
            return rows.column_names, [list(map(finite, row.values())) for row in rows]
        except Exception:
            return None, None


def case(format, name, data, options=None, columns_and_rows=None):
    columns, rows = columns_and_rows or load(format, data, options or {})
    return {
        "format": {"name": format, "options": options or {}},
        "case": name,
        "data": base64.b64encode(data).decode(),
        "columns": columns,
        "rows": rows,
    }


cases = [case("json", name, data) for name, data in JSON.items()]
cases += [case("json", f"field: {name}", data, {"field": "data"}) for name, data in FIELD.items()]
cases += [case("csv", name, data) for name, data in CSV.items()]
cases += [case("csv", name, data, None, (None, None)) for name, data in SHIFTED.items()]
cases += [case("text", name, data) for name, data in TEXT.items()]
cases += [case(*arguments) for arguments in OPTIONS]
lines = ",\n".join(json.dumps(case, allow_nan=False) for case in cases)
pathlib.Path(__file__).with_name("text_cases.json").write_text(f"[\n{lines}\n]\n")
print(len(cases), "cases,", sum(case["rows"] is None for case in cases), "refused")
