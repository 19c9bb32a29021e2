"""The shapes of datasets for `goldens.py`: files, and what is asked of them.

A file's content is a text, or the name of a file of `data/` after `@`, or the path it links to
after `->`. A load gives the arguments of `load_dataset`; its rows are the values of `text`.
"""

import json

CSV = "text\n{0}\n"
LINE = '{{"text": "{0}"}}\n'


def table(*names, form=CSV):
    """Files that each hold one row: their own name."""
    return {name: form.format(name) for name in names}


def lines(*names):
    return table(*names, form=LINE)


def card(configs, *more):
    return "\n".join(["---", *more, "configs:", *configs, "---", "# A title", ""])


ALL = [{"split": "all"}]
TRAIN = [{"split": "train"}]
BOTH = [{"split": "train"}, {"split": "test"}]



def saved(split, *files):
    state = {"_data_files": [{"filename": name} for name in files], "_fingerprint": "0", "_format_columns": None,
             "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False, "_split": split}
    info = {"features": {"text": {"dtype": "string", "_type": "Value"}}}
    return {"state.json": json.dumps(state), "dataset_info.json": json.dumps(info)}


TWO_CONFIGS = card([
    "- config_name: en",
    "  data_files: en/*.csv",
    "- config_name: fr",
    "  data_files:",
    "  - split: train",
    "    path: [fr/b.csv, fr/a.csv]",
    "  - split: held.out",
    "    path: fr/c.csv",
])
TWO_FILES = {**table("en/a.csv", "en/b.csv", "fr/a.csv", "fr/b.csv", "fr/c.csv")}

SHAPES = [
    ("one file", lines("rows.jsonl"), ALL),
    ("files are sorted by path", table("b.csv", "a.csv", "a/z.csv", "B.csv", "10.csv", "9.csv"), ALL),
    ("file names tell splits", table("train.csv", "test.csv", "dev.csv"), ALL + BOTH),
    ("folder names tell splits", table("train/b.csv", "train/a.csv", "test/a.csv"), ALL + BOTH),
    ("a folder's name comes before a file's", table("train/test.csv", "train/a.csv", "test.csv"), ALL),
    ("keywords have boundaries", table("latest.csv", "contest.csv"), ALL),
    ("keywords inside names", table("my-train_0.csv", "my-train_1.csv", "my.valid.csv", "x eval 3.csv"), ALL),
    ("all keywords", table("training.csv", "validation1.csv", "testing-2.csv", "evaluation.csv", "val.csv"), ALL),
    ("a file that two patterns match", table("train-train.csv", "test.csv"), ALL),
    ("deep folders of splits", table("x/data_train/y/a.csv", "x/test-1/b.csv"), ALL),
    ("a file named and a folder named", table("train.csv", "dev/a.csv"), ALL),
    ("shards", table(
        "data/train-00001-of-00002.csv", "data/train-00000-of-00002.csv",
        "data/test-00000-of-00001.csv", "data/fr-00000-of-00001.csv",
        "data/de-00000-of-00001-abc.csv", "other.csv"), ALL + [{"split": "fr"}]),
    ("shards with dots in the split", table("data/a.b-00000-of-00001.csv"), [{"split": "a.b"}]),
    ("shards with a dash in the split", table("data/a-b-00000-of-00001.csv"), ALL),
    ("shards not in data", table("train-00000-of-00002.csv", "train-00001-of-00002.csv", "x-00000-of-00001.csv"), ALL),
    ("hidden files", {**table("a.csv", ".b.csv", ".git/c.csv", "__pycache__/d.csv", "x/__y/e.csv"), "__f.csv": CSV.format("f")}, ALL),
    ("descriptions are no data", {**lines("a.json"), "config.json": "{}", "dataset_info.json": "{}", "dataset_infos.json": "{}"}, ALL),
    ("the commonest extension", {**table("a.csv", "b.csv"), **lines("c.jsonl")}, ALL),
    ("a tie goes to jsonl", {**table("a.csv"), **lines("b.jsonl")}, ALL),
    ("a tie goes to parquet", {**table("a.csv"), "b.parquet": "@one.parquet", **lines("c.jsonl")}, ALL),
    ("a tie goes to arrow", {**lines("a.json"), "b.arrow": "@one.arrow"}, ALL),
    ("a tie goes to the last of the alphabet", {"a.txt": "one\n", "b.tsv": "text\nx\n"}, ALL),
    ("json beside jsonl", {**lines("a.json", "b.jsonl", "c.ndjson")}, ALL),
    ("tabs", {"a.tsv": "text\tn\na, b\t1\n"}, ALL),
    ("tabs and commas in two splits", {"train.csv": "text\na\n", "test.tsv": "text\tn\nb\t1\n"}, ALL),
    ("two formats in two splits", {**table("train.csv"), **lines("test.jsonl")}, ALL),
    ("compound extensions", {"a.jsonl.gz": "@one.jsonl.gz", "b.jsonl": LINE.format("b")}, ALL),
    ("only compressed", {"train.jsonl.gz": "@one.jsonl.gz", "test.jsonl.zst": "@one.jsonl.zst"}, ALL),
    ("an extension in the middle", {"a.csv.bak": CSV.format("a"), "b.csv": CSV.format("b")}, ALL),
    ("an extension in capitals", {"a.CSV": CSV.format("a")}, ALL),
    ("no extension", {"a": CSV.format("a")}, ALL),
    ("no files", {"README.md": "# nothing\n"}, ALL),
    ("archives", {"a.zip": "@two.zip"}, ALL),
    ("archives beside files", {"a.zip": "@two.zip", **lines("b.jsonl")}, ALL),
    ("parquet", {"train.parquet": "@one.parquet", "test.parquet": "@two.parquet"}, ALL + BOTH),
    ("text", {"a.txt": "one\ntwo\n\nthree"}, ALL),
    ("pictures", {"a.png": "x", "b.png": "x", "metadata.csv": "file_name,text\na.png,a\n"},
        [{"split": "all", "refused": "`imagefolder`"}]),
    ("a web dataset", {"a.tar": "x"}, ALL),
    ("logs of agents", {"x.eval": "{}", **table("a.csv")}, ALL),
    ("tasks of agents", {"t/task.toml": "a = 1", **table("a.csv")}, ALL),
    ("links", {"blobs/1": LINE.format("linked"), "snap/train.jsonl": "->../blobs/1"}, [{"split": "all", "data_dir": "snap"}]),
    ("a link to a folder", {"real/a.csv": CSV.format("a"), "b.csv": CSV.format("b"), "linked": "->real"}, ALL),
    ("files by pattern", table("a.csv", "b.csv", "x/c.csv", "x/.d.csv"), [
        {"data_files": ["*.csv"]}, {"data_files": ["**/*.csv"]}, {"data_files": ["**"]},
        {"data_files": ["b.csv", "a.csv"]}, {"data_files": ["a.csv", "*.csv"]},
        {"data_files": ["x/.d.csv"]}, {"data_files": ["x/.*.csv"]}, {"data_files": ["[ab].csv"]},
        {"data_files": ["[!a].csv"]}, {"data_files": ["?.csv"]}, {"data_files": ["./x/*"]},
        {"data_files": ["none.csv"]}, {"data_files": ["none*.csv"]}, {"data_files": ["x"]},
        {"data_files": ["x**"]}, {"data_files": ["*.csv"], "split": "test"},
    ]),
    ("files of a folder within", table("a.csv", "x/train.csv", "x/test.csv", "y/a.csv"), [
        {"data_dir": "x", "split": "all"}, {"data_dir": "x", "split": "test"}, {"data_dir": "y"},
        {"data_dir": "x", "data_files": ["test.csv"]}, {"data_dir": "none"},
    ]),
    ("files of another extension", {"a.dat": CSV.format("a"), "b.csv": CSV.format("b")}, [
        {"data_files": ["a.dat"]}, {"builder": "csv", "data_files": ["a.dat"]},
        {"builder": "csv", "data_files": ["*"]}, {"builder": "csv", "data_files": ["b.csv", "a.dat"]},
        {"builder": "text", "data_files": ["a.dat"]}, {"builder": "json", "data_files": ["b.csv"]},
    ]),
    ("a builder and a folder", {**table("x/train.csv", "x/test.csv"), **lines("y/a.jsonl")}, [
        {"builder": "csv", "data_dir": "x", "split": "all"}, {"builder": "json", "data_dir": "y"},
        {"builder": "csv", "data_dir": "x", "data_files": ["test.csv"]},
    ]),
    ("two configurations", {**TWO_FILES, "README.md": TWO_CONFIGS}, [
        {}, {"config": "en"}, {"config": "fr"}, {"config": "fr", "split": "held.out"},
        {"config": "fr", "split": "all"}, {"config": "de"}, {"config": "en", "split": "test"},
        {"data_files": ["fr/*.csv"]}, {"config": "en", "data_files": ["fr/c.csv"]}, {"data_dir": "fr"},
    ]),
    ("a default configuration", {**TWO_FILES, "README.md": card([
        "- {config_name: en, data_files: en/*.csv}", "- {config_name: fr, data_files: fr/*.csv, default: true}"])},
        [{}, {"config": "en"}]),
    ("a configuration named default", {**TWO_FILES, "README.md": card([
        "- {config_name: en, data_files: en/*.csv}", "- {config_name: default, data_files: fr/*.csv}"])}, [{}]),
    ("two default configurations", {**TWO_FILES, "README.md": card([
        "- {config_name: en, data_files: en/*.csv, default: true}",
        "- {config_name: fr, data_files: fr/*.csv, default: true}"])}, [{}, {"config": "en"}]),
    ("one configuration with a folder", {**table("x/train.csv", "x/test.csv", "a.csv"), "README.md": card([
        "- {config_name: only, data_dir: x}"])}, ALL + [{"config": "only"}]),
    ("a folder and files in it", {**table("x/train.csv", "x/b.csv", "a.csv"), "README.md": card([
        "- {config_name: only, data_dir: x, data_files: b.csv}"])}, ALL),
    ("a list of patterns", {**table("a.csv", "b.csv", "c.csv"), "README.md": card([
        "- config_name: default", "  data_files: [c.csv, 'a*', none*.csv]"])}, ALL),
    ("a pattern without a match", {**table("a.csv"), "README.md": card([
        "- {config_name: default, data_files: none.csv}"])}, ALL),
    ("a separator", {"a.csv": "text;n\na,b;1\n", "README.md": card([
        "- {config_name: default, data_files: a.csv, sep: ';'}"])}, ALL),
    ("a delimiter", {"a.csv": "text|n\na,b|1\n", "README.md": card([
        "- {config_name: default, data_files: a.csv, delimiter: '|'}"])}, ALL),
    ("names of columns", {"a.csv": "a,b\nc,d\n", "README.md": card([
        "- {config_name: default, data_files: a.csv, names: [text, n]}"])}, ALL),
    ("a field", {"a.json": '{"data": [{"text": "x"}, {"text": "y"}], "n": 1}', "README.md": card([
        "- {config_name: default, data_files: a.json, field: data}"])}, ALL),
    ("paragraphs", {"a.txt": "one\ntwo\n\nthree\n", "README.md": card([
        "- {config_name: default, data_files: a.txt, sample_by: paragraph}"])}, ALL),
    ("an argument that nobody has", {**table("a.csv"), "README.md": card([
        "- {config_name: default, data_files: a.csv, colour: red}"])}, ALL),
    ("an argument that whence has not", {"a.csv": "text\na\nb\nc\n", "README.md": card([
        "- {config_name: default, data_files: a.csv, nrows: 2}"])},
        [{"split": "all", "refused": "`nrows: 2`"}]),
    ("a card without configurations", {**table("train.csv", "test.csv"), "README.md": "---\nlicense: mit\n---\n"}, ALL),
    ("a card whose configurations are wrong", {**table("a.csv"), "README.md": card(["- {data_files: a.csv}"])}, ALL),
    ("a split name that is wrong", {**table("a.csv"), "README.md": card([
        "- config_name: default", "  data_files: [{split: a-b, path: a.csv}]"])}, ALL),
    ("the same split twice", {**table("a.csv", "b.csv"), "README.md": card([
        "- config_name: default", "  data_files: [{split: a, path: a.csv}, {split: a, path: b.csv}]"])}, ALL),
    ("settings beside the card", {**TWO_FILES, "README.md": TWO_CONFIGS, ".huggingface.yaml":
        "configs:\n- {config_name: other, data_files: fr/c.csv}\n"}, [{}]),
    ("a configuration with the format of the first", {"a.csv": CSV.format("a"), "b.csv": CSV.format("b"), "README.md": card([
        "- {config_name: a, data_files: a.csv}", "- {config_name: b, data_files: b.csv, sep: ';'}"])},
        [{"config": "b"}]),
    ("a name of dataset_info", {**table("a.csv"), "README.md":
        "---\ndataset_info:\n  config_name: plain\n  features:\n  - {name: text, dtype: string}\n---\n"}, ALL),
    ("brackets in names", {"a[1].csv": CSV.format("a"), "b.csv": CSV.format("b")}, ALL),
    ("blanks and letters in names", table("à b.csv", "学.csv", "z.csv"), ALL),
    ("an empty split", {"train.csv": CSV.format("a"), "test.py": "pass"}, ALL + BOTH),
    ("no train", table("test.csv"), [{"split": "train"}, {"split": "test"}]),
    ("saved by save_to_disk", {**saved("train", "data-1.arrow", "data-0.arrow"), "data-0.arrow": "@one.arrow",
        "data-1.arrow": "@two.arrow", "data-2.arrow": "@one.arrow", "statistics.json": '[{"text": "no row"}]'},
        [{"from_disk": True}]),
    ("saved without a split", {**saved(None, "data-0.arrow"), "data-0.arrow": "@one.arrow"}, [{"from_disk": True}]),
    ("saved splits", {"dataset_dict.json": '{"splits": ["fr", "en"]}',
        **{f"fr/{name}": text for name, text in saved("fr", "data-0.arrow").items()}, "fr/data-0.arrow": "@one.arrow",
        **{f"en/{name}": text for name, text in saved("en", "data-0.arrow").items()}, "en/data-0.arrow": "@two.arrow"},
        [{"from_disk": True, "split": "fr"}, {"from_disk": True, "split": "en"}, {"from_disk": True, "split": "train"}]),
    ("arguments of the call", {"a.csv": "text;n\na,b;1\n", "b.txt": "one\n\ntwo\n"}, [
        {"builder": "csv", "data_files": ["a.csv"], "arguments": {"sep": ";"}},
        {"builder": "text", "data_files": ["b.txt"], "arguments": {"sample_by": "document"}},
        {"builder": "csv", "data_files": ["a.csv"], "arguments": {"colour": "red"}},
    ]),
]

SPLITS = [
    "train", "test", "all", "train[:20]", "train[5:]", "train[10:20]", "train[-5:]", "train[:-5]",
    "train[5:2]", "train[:0]", "train[:]", "train[:9999]", "train[-9999:2]", "train[:1_00]",
    "train[10%:20%]", "train[:25%]+test[:3]", "train[:1%]", "train[:3%]", "train[:5%]", "train[:7%]",
    "train[-10%:]", "train[:-10%]", "train[99%:]", "train[10:50%]", "train[50%:100]",
    "train[1%:2%](pct1_dropremainder)", "train[:100%](pct1_dropremainder)", "test[:1%](pct1_dropremainder)",
    "train[:10%](closest)", "train[:10](closest)", "train(closest)", "train[:10%](half)",
    "train[:10%]+test[:10%](pct1_dropremainder)", "train+train[:1%]+train[:1%](pct1_dropremainder)",
    "train + test", "train+test", "test+train[:3]+test", "train++test", "+train", " train", "train ",
    "train[10]", "train [:3]", "train[:1.5%]", "train[:150%]", "train[-101%:]", "train[_1:]", "train[1__0:]",
    "train[a:]", "train[]", "train[:5]x", "tr ain", "", "dev", "all[:3]", "test+all", "train[:99999999999999999999]",
    "train[:100%]", "train[0%:0%]", "train[-1:]", "train[248:300]",
]
