//! `whence sql` on files: table files outside a storage root, and files of other programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Ran, command, ended, files, sql, two_jobs, whence};

/// Returns the table files below a root.
fn table_files(root: &Path) -> Vec<PathBuf> {
    let files = files(&root.join("tables")).into_iter();
    let files = files.map(|(path, _)| root.join("tables").join(path));
    files
        .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
        .collect()
}

/// Runs a command in `folder`, where there is no storage root.
fn in_folder(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command: Command = command(arguments);
    ended(command.current_dir(folder).output().unwrap())
}

#[test]
fn table_files_answer_as_their_root_does() {
    let folder = two_jobs();
    let loose = tempfile::tempdir().unwrap();
    // Renamed, and in folders that say nothing: what a file is comes from its footer.
    let mut copies = Vec::new();
    for (index, path) in table_files(folder.path()).iter().enumerate() {
        let copy = loose.path().join(format!("{index}.parquet"));
        fs::copy(path, &copy).unwrap();
        copies.push(copy.display().to_string());
    }
    assert_eq!(copies.len(), 2);
    for query in [
        "SELECT job, model, method, dataset, count(*), sum(CAST(score AS DOUBLE)) FROM attributions \
         GROUP BY ALL ORDER BY job",
        "SELECT job, method, seed, specification FROM jobs ORDER BY job",
    ] {
        let expected = sql(folder.path(), query, &[]).succeeded();
        let mut arguments = vec!["sql", query, "--tables"];
        arguments.extend(copies.iter().map(String::as_str));
        assert_eq!(whence(&arguments).succeeded(), expected);
        let below = loose.path().display().to_string();
        assert_eq!(
            whence(&["sql", query, "--tables", &below]).succeeded(),
            expected
        );
    }
    let states = ["sql", "SELECT DISTINCT state, rows FROM jobs", "--tables"];
    let states = whence(&[&states[..], &[&copies[0], "--format", "csv"]].concat());
    assert_eq!(states.succeeded(), "state,rows\nunknown,\n");
}

#[test]
fn what_is_no_table_file_is_refused_by_name() {
    let folder = two_jobs();
    let file = table_files(folder.path())[0].display().to_string();
    let twice = whence(&["sql", "SELECT 1", "--tables", &file, &file]);
    twice.is_refused_with(&[&file, "and so is another"]);
    let other = folder.path().join("other.parquet").display().to_string();
    sql(
        folder.path(),
        "SELECT 1 AS one",
        &["--format", "parquet", "-o", &other],
    )
    .succeeded();
    let refused = whence(&["sql", "SELECT 1", "--tables", &other]);
    refused.is_refused_with(&[&other, "is not a table file of whence", "SELECT * FROM '"]);
    whence(&["sql", "--tables", "none.parquet", "SELECT 1"])
        .is_refused_with(&["there is no file or folder `none.parquet`"]);
    whence(&["sql", "--tables", &file, "SELECT 1"])
        .is_refused_with(&["`SELECT 1`", "the query goes before --tables"]);
}

#[test]
fn files_of_other_programs_join_with_the_tables() {
    let folder = two_jobs();
    let labels = folder.path().join("labels.csv");
    fs::write(&labels, "id,label\n0,short\n1,long\n2,long\n").unwrap();
    let query = format!(
        "SELECT label, count(*) AS examples FROM examples JOIN '{}' ON id = example_id \
         WHERE method = 'attention' GROUP BY label ORDER BY label",
        labels.display()
    );
    let answer = sql(folder.path(), &query, &["--format", "csv"]).succeeded();
    assert_eq!(answer, "label,examples\nlong,2\nshort,1\n");
}

#[test]
fn files_need_no_storage_root() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "{\"text\": \"a\", \"n\": 1}\n{\"text\": \"b\", \"n\": 2}\n";
    for name in ["rows.jsonl", "rows.ndjson", "rows.json"] {
        fs::write(folder.path().join(name), rows).unwrap();
        let query = format!("SELECT sum(n) AS n FROM '{name}'");
        let answer = in_folder(folder.path(), &["sql", "--format", "csv", &query]);
        assert_eq!(answer.succeeded(), "n\n3\n", "{name}");
    }
    let made = "SELECT * FROM 'rows.jsonl'";
    for (name, format) in [("made.parquet", "parquet"), ("made.arrow", "arrow")] {
        in_folder(
            folder.path(),
            &["sql", made, "--format", format, "-o", name],
        )
        .succeeded();
        let query = format!("SELECT text FROM '{name}' WHERE n = 2");
        let answer = in_folder(folder.path(), &["sql", "--format", "csv", &query]);
        assert_eq!(answer.succeeded(), "text\nb\n", "{name}");
    }
    in_folder(folder.path(), &["sql", "SELECT * FROM jobs"])
        .is_refused_with(&["there is no storage root `./whence-out`"]);
    in_folder(folder.path(), &["sql", "SELECT * FROM 'none.csv'"])
        .is_refused_with(&["no file `none.csv`"]);
    fs::write(folder.path().join("array.json"), "[{\"n\": 1}]").unwrap();
    in_folder(folder.path(), &["sql", "SELECT * FROM 'array.json'"])
        .is_refused_with(&["one object per line"]);
}
