//! The path of a root may contain characters with a meaning in patterns and strings.

use std::path::Path;
use std::process::Command;

use whence_tests::python;

use crate::run::{attribute_dataset, ended, whence};

const NAMES: &[&str] = &[
    "out [v1]",
    "a*b?",
    "it's",
    "a\\b",
    "say \"so\"",
    "~home",
    "é ü",
];

/// Makes a root of each name, runs the views in `engine` with `script`, and expects the number of
/// its examples.
fn found_by(engine: &str, script: &str) {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        attribute_dataset(&folder.path().join(name), "train[:2]", &["--hide"]).succeeded();
        let views = Command::new(env!("CARGO_BIN_EXE_whence"))
            .args(["views", engine, "--root", &format!("./{name}")])
            .current_dir(folder.path())
            .output();
        let views = ended(views.expect("the command runs")).succeeded();
        let asked = Command::new(python::interpreter())
            .args(["-c", script, &views])
            .current_dir(folder.path())
            .output();
        assert_eq!(
            ended(asked.expect("Python runs")).succeeded(),
            "2\n",
            "{name}"
        );
    }
}

pub(crate) fn duckdb_finds_a_root_of_any_name() {
    found_by(
        "duckdb",
        "import duckdb, sys
duckdb.sql(sys.argv[1])
print(duckdb.sql('SELECT count(*) FROM examples').fetchall()[0][0])",
    );
    both_meanings_are_refused();
}

pub(crate) fn polars_finds_a_root_of_any_name() {
    found_by(
        "polars",
        "import sys
names = {}
exec(sys.argv[1], names)
print(names['examples'].collect().height)",
    );
}

/// DuckDB cannot open a path that has both a backslash and a character of patterns.
fn both_meanings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a\\b[1]");
    attribute_dataset(&root, "train[:2]", &["--hide"]).succeeded();
    let root: &Path = &root;
    let views = whence(&["views", "duckdb", "--root", &root.display().to_string()]);
    views.is_refused_with(&["DuckDB cannot open", "rename the folder"]);
}
