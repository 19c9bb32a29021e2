//! Runs the command and checks its output, exit status and files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The output and exit status of a finished command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: i32,
}

impl Ran {
    /// Returns standard output. Panics if the command did not succeed.
    #[track_caller]
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.status, 0, "{}\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Checks that the command refused the request (exit status 2), with all of `parts` in the
    /// message.
    #[track_caller]
    pub(crate) fn is_refused_with(&self, parts: &[&str]) {
        self.ended_with(2, parts);
    }

    /// Checks the exit status, and that the message has all of `parts`.
    #[track_caller]
    pub(crate) fn ended_with(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, status, "{}\n{}", self.stdout, self.stderr);
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "no `{part}` in: {}",
                self.stderr
            );
        }
    }
}

/// Returns the command with an environment in which it behaves the same everywhere.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whence"));
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .env("RAYON_NUM_THREADS", "2")
        // No test asks the real Hub.
        .env("HF_HUB_OFFLINE", "1")
        .env(
            "WHENCE_SPOOL",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/spool"),
        )
        .env_remove("RUST_LOG")
        .env_remove("WHENCE_LOG_FORMAT")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("WHENCE_DEVICE")
        .env_remove("WHENCE_MEMORY")
        .env_remove("WHENCE_ROOT")
        .env_remove("WHENCE_COORDINATOR");
    command
}

/// Runs the command to its end.
pub(crate) fn whence(arguments: &[&str]) -> Ran {
    ended(command(arguments).output().expect("the command runs"))
}

/// Converts the output of a finished process.
pub(crate) fn ended(output: Output) -> Ran {
    Ran {
        stdout: String::from_utf8(output.stdout).expect("output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        status: output.status.code().expect("no signal ended it"),
    }
}

/// Returns the path of a committed fixture.
pub(crate) fn fixture(name: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    tests.join(name).display().to_string()
}

/// Returns the committed translation model.
pub(crate) fn marian() -> String {
    fixture("models/lo-en-fr-tiny")
}

/// Returns the committed test translations.
pub(crate) fn translations() -> String {
    fixture("data/libreoffice-help-en-fr.test.jsonl")
}

/// Runs `attribute-dataset` on the rows `split` of the test translations, with the root `root`.
pub(crate) fn attribute_dataset(root: &Path, split: &str, more: &[&str]) -> Ran {
    let (model, data) = (marian(), translations());
    let root = root.display().to_string();
    let mut arguments = vec!["attribute-dataset", "-m", &model, "-d", &data];
    arguments.extend(["--dataset_split", split, "-in", "translation.en"]);
    arguments.extend(["-gen", "translation.fr", "--root", &root]);
    arguments.extend(more);
    whence(&arguments)
}

/// Returns every file below `folder` with its bytes, except the files in which a coordinator
/// records itself.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).expect("a file");
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

/// Returns the sorted names of the entries of `folder`.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.into_string().expect("names are UTF-8"))
        .collect();
    names.sort();
    names
}

/// Compares `text` with the snapshot `name`.
pub(crate) fn assert_snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli/snapshots")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, text).expect("snapshots can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "`{}` is not what was printed:\n{text}\nrun with UPDATE_SNAPSHOTS=1 to take it over",
        path.display()
    );
}

/// Returns a port that nothing listens on.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Runs `whence sql`.
pub(crate) fn sql(root: &Path, query: &str, more: &[&str]) -> Ran {
    let root = root.display().to_string();
    whence(&[&["sql", "--root", &root, query][..], more].concat())
}

/// Returns a root with two jobs that have different columns.
pub(crate) fn two_jobs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    let first = [
        "--step_scores",
        "probability",
        "--attribute_target",
        "--hide",
    ];
    attribute_dataset(folder.path(), "train[:8]", &first).succeeded();
    let second = ["-a", "attention", "--columns", "id", "--hide"];
    attribute_dataset(folder.path(), "train[:5]", &second).succeeded();
    folder
}
