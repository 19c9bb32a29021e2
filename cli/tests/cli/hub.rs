//! Datasets by their names on the Hub, which is one on loopback here.

use std::process::Output;

use whence_fake_hub::FakeHub;

use crate::run::{command, marian};

const ROWS: &[u8] = br#"{"en": "Close it."}
{"en": "Open the window."}
{"en": "Click the tab."}
"#;

/// A Hub with one dataset, and the folders that the program writes to.
struct Stage {
    fake: FakeHub,
    commit: String,
    folder: tempfile::TempDir,
    // Dropped last: the Hub runs on it.
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let fake = runtime.block_on(FakeHub::start());
        let files: [(&str, &[u8]); 2] = [("data/train.jsonl", ROWS), ("data/test.jsonl", ROWS)];
        Self {
            commit: fake.publish("datasets", "inseq/dummy_enit", "main", &files),
            fake,
            folder: tempfile::tempdir().unwrap(),
            _runtime: runtime,
        }
    }

    fn run(&self, arguments: &[&str], offline: &str) -> (Option<i32>, String) {
        let mut command = command(arguments);
        command
            .env("HF_ENDPOINT", self.fake.endpoint())
            .env("HF_HOME", self.folder.path().join("hf"))
            .env("HF_HUB_OFFLINE", offline);
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().expect("the command runs");
        let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
        (status.code(), text.into_owned())
    }
}

#[test]
fn a_dataset_on_the_hub_is_attributed_by_its_name_and_again_offline() {
    let stage = Stage::new();
    let root = stage.folder.path().join("out").display().to_string();
    let model = marian();
    let mut arguments = vec!["attribute-dataset", "--model", &model, "--root", &root];
    arguments.extend(["--dataset_name", "inseq/dummy_enit", "--dataset_split"]);
    arguments.extend(["train[:2]", "-in", "en", "--hide"]);
    arguments.extend(["--generation-kwargs", r#"{"max_new_tokens": 1}"#]);
    let (status, text) = stage.run(&arguments, "0");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("attributed 2 rows"), "{text}");
    assert!(text.contains("dataset=dummy_enit-train"), "{text}");
    let log = stage.fake.log();
    assert!(
        log.iter()
            .any(|request| request.path.contains("train.jsonl"))
    );
    assert!(
        !log.iter()
            .any(|request| request.path.contains("test.jsonl"))
    );

    let (status, text) = stage.run(&arguments, "1");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("already complete"), "{text}");
}

#[test]
fn the_doctor_prints_what_a_dataset_holds() {
    let stage = Stage::new();
    let doctor = |name: &str| stage.run(&["doctor", "--dataset", name, "--split", "test"], "0");
    let (status, text) = doctor("inseq/dummy_enit");
    assert_eq!(status, Some(0), "{text}");
    for part in [
        stage.commit.as_str(),
        "train: 1 file: data/train.jsonl",
        "test: 1 file: data/test.jsonl",
        "columns    en",
        r#"first row  {"en": "Close it."}"#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (status, text) = doctor("inseq/none");
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("FAILED inseq/none"), "{text}");
}

#[test]
fn the_doctor_counts_the_rows_of_a_file_that_is_read_quickly() {
    let stage = Stage::new();
    let file = stage.folder.path().join("rows.jsonl");
    std::fs::write(&file, ROWS).unwrap();
    let name = file.display().to_string();
    let (status, text) = stage.run(&["doctor", "--dataset", &name], "1");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("rows       train: 3"), "{text}");
}
