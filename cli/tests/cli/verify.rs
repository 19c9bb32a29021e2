//! `whence verify`, and what a damaged table does to a job that is run again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Ran, attribute_dataset, files, sql, whence};

fn attribute(root: &Path) -> Ran {
    attribute_dataset(root, "train[:6]", &["--hide", "-a", "attention"])
}

/// Returns the id of the only job below a root.
fn job(root: &Path) -> String {
    let jobs = sql(root, "SELECT job FROM jobs", &["--format", "csv"]).succeeded();
    jobs.lines().nth(1).expect("a job").to_owned()
}

fn verify(root: &Path) -> Ran {
    whence(&["verify", &job(root), "--root", &root.display().to_string()])
}

/// Returns the only table file below a root.
fn table_file(root: &Path) -> PathBuf {
    let tables = root.join("tables");
    let mut files = files(&tables).into_iter().map(|(path, _)| path);
    let file = files.find(|path| path.extension().is_some_and(|end| end == "parquet"));
    tables.join(file.expect("a table file"))
}

#[test]
fn a_whole_table_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    attribute(folder.path()).succeeded();
    let told = verify(folder.path()).succeeded();
    assert!(
        told.contains("1 file (") && told.contains("complete"),
        "{told}"
    );
}

#[test]
fn damage_is_found_by_verify_and_before_a_job_is_called_complete() {
    let folder = tempfile::tempdir().unwrap();
    attribute(folder.path()).succeeded();
    let file = table_file(folder.path());
    let whole = fs::read(&file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    let doubled = [&whole[..], &whole[..]].concat();
    for damaged in [&flipped, &doubled, &whole[..whole.len() - 1].to_vec()] {
        fs::write(&file, damaged).unwrap();
        verify(folder.path()).ended_with(1, &["is not whole", name, "is damaged", "hint: "]);
        attribute(folder.path()).ended_with(1, &["is not whole", name]);
    }
    fs::remove_file(&file).unwrap();
    verify(folder.path()).ended_with(1, &[name, "is missing"]);
    fs::write(&file, &whole).unwrap();
    let other = file.with_file_name("part-p000007.parquet");
    fs::write(&other, &whole).unwrap();
    verify(folder.path()).ended_with(1, &["part-p000007.parquet", "is not of this job"]);
    fs::remove_file(&other).unwrap();
    verify(folder.path()).succeeded();
    let again = attribute(folder.path());
    assert!(
        again.stderr.contains("already complete"),
        "{}",
        again.stderr
    );
}
