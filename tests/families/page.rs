//! Writes or checks the table of `docs/models.md`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::measure::Measured;

const BEGIN: &str = "<!-- table: cargo test -p whence-tests --test families -->\n";
const END: &str = "<!-- end of table -->\n";

/// Factor by which a measured error may exceed the page's, because processors add in other orders.
const ROOM: f64 = 8.0;

type Row = (String, Measured);

/// Returns the table of all models.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| model | logits, float32 | logits, float64 | gradients, float64 | greedy tokens |\n\
         |---|---|---|---|---|\n",
    );
    for (name, measured) in rows {
        let equal = if measured.generation_is_equal {
            "equal"
        } else {
            "differ"
        };
        let [single, double, gradients] = numbers(measured);
        writeln!(
            table,
            "| {name} | {single:.0e} | {double:.0e} | {gradients:.0e} | {equal} |"
        )
        .unwrap();
    }
    table
}

fn numbers(measured: &Measured) -> [f64; 3] {
    [measured.logits_f32, measured.logits_f64, measured.gradients]
}

/// Writes the table into the page if `WHENCE_WRITE_DOCS` is set, and otherwise checks the page.
pub(crate) fn write_or_check(table: &str, rows: &[Row]) {
    let path = path();
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (old, after) = rest.split_once(END).unwrap();
    if std::env::var_os("WHENCE_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    let old: Vec<_> = old.lines().skip(2).collect();
    assert_eq!(
        old.len(),
        rows.len(),
        "the page lacks a model; run with WHENCE_WRITE_DOCS=1"
    );
    for (line, (name, measured)) in old.into_iter().zip(rows) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [page_name, single, double, gradients, equal] = cells[..] else {
            panic!("`{line}` is not a row of the table");
        };
        assert_eq!((page_name, equal), (name.as_str(), "equal"));
        let promised = [single, double, gradients].map(|cell| cell.parse::<f64>().unwrap());
        for (promised, measured) in promised.into_iter().zip(numbers(measured)) {
            assert!(
                measured <= ROOM * promised,
                "{name}: {measured:e}, the page says {promised:e}; run with WHENCE_WRITE_DOCS=1"
            );
        }
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/models.md")
}
