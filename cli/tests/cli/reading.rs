//! Commands that only read: they write nothing, refuse what is not a storage root, and name a
//! damaged file.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::run::{attribute_dataset, command, ended, files, whence};

fn job(root: &str) -> String {
    let query = [
        "sql",
        "--root",
        root,
        "--format",
        "csv",
        "SELECT job FROM jobs",
    ];
    let jobs = whence(&query).succeeded();
    jobs.lines().nth(1).expect("there is a job").to_owned()
}

/// Returns `folder` and all folders below it.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(folders(&path));
        }
    }
    found.sort();
    found
}

#[test]
fn reading_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    attribute_dataset(&root, "train[:3]", &["--hide"]).succeeded();
    // Coordinators write objects here before linking them. A copied root may lack this folder.
    fs::remove_dir_all(root.join("_staging")).unwrap();
    let (before, made) = (files(&root), folders(&root));
    for folder in &made {
        fs::set_permissions(folder, Permissions::from_mode(0o555)).unwrap();
    }
    let name = root.display().to_string();
    let job = job(&name);
    let answer = whence(&[
        "sql",
        "--root",
        &name,
        "--format",
        "csv",
        "SELECT count(*) AS n FROM steps",
    ]);
    assert!(answer.succeeded().starts_with("n\n"));
    whence(&["show", &job, "1", "--root", &name]).succeeded();
    assert!(
        whence(&["views", "duckdb", "--root", &name])
            .succeeded()
            .contains("read_parquet")
    );
    assert_eq!((files(&root), folders(&root)), (before, made.clone()));
    // Restore write permission, so that the temporary folder can be removed.
    for folder in &made {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_folder_that_is_no_root_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().display().to_string();
    let said = format!("`{name}` is not a storage root");
    whence(&["sql", "--root", &name, "SELECT 1"]).is_refused_with(&[&said, "hint: "]);
    whence(&["show", "abc", "--root", &name]).is_refused_with(&[&said]);
    whence(&["views", "duckdb", "--root", &name]).is_refused_with(&[&said]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let file = file.display().to_string();
    whence(&["sql", "--root", &file, "SELECT 1"]).is_refused_with(&["it is not a directory"]);
}

/// Flips bits all over a table file; some of them make the Parquet reader panic.
#[test]
fn a_damaged_table_is_named() {
    let folder = tempfile::tempdir().unwrap();
    attribute_dataset(folder.path(), "train[:2]", &["--hide"]).succeeded();
    let tables = files(&folder.path().join("tables"));
    let [(path, whole)] = &tables[..] else {
        panic!("one table file");
    };
    let root = folder.path().display().to_string();
    let ask = || {
        let query = "SELECT sum(score) FROM attributions";
        let mut command = command(&["sql", "--root", &root, "--format", "csv", query]);
        ended(command.env("RUST_BACKTRACE", "1").output().unwrap())
    };
    ask().succeeded();
    let truncated = &whole[..whole.len() - 9];
    let mut found = 0;
    for place in [
        whole.len() / 3,
        whole.len() - 40,
        whole.len() - 400,
        whole.len() - 900,
    ] {
        let mut damaged = whole.clone();
        for byte in &mut damaged[place..place + 8] {
            *byte ^= 0x5a;
        }
        fs::write(path, &damaged).unwrap();
        let ran = ask();
        assert!(ran.status == 0 || ran.status == 1, "{}", ran.stderr);
        for noise in ["backtrace", "panicked at", "RUST_BACKTRACE"] {
            assert!(!ran.stderr.contains(noise), "{}", ran.stderr);
        }
        if ran.status == 1 && ran.stderr.contains("is damaged: ") {
            assert!(
                ran.stderr.contains("the table file `tables/attributions/"),
                "{}",
                ran.stderr
            );
            found += 1;
        }
    }
    assert!(found > 0, "no damage was noticed");
    fs::write(path, truncated).unwrap();
    ask().ended_with(1, &["the table file `tables/attributions/", "is damaged: "]);
}
