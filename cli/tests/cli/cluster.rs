//! The command against a coordinator and a worker that run as separate processes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::run::{command, free_port, marian, translations, whence};

/// A child process that is killed when the test ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if the process has already ended, which is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `whence coordinator` on a free port. Returns it and its URL.
pub(crate) fn coordinator(root: &Path) -> (Running, String) {
    coordinator_on("127.0.0.1:0", root)
}

/// Starts `whence coordinator` on `listen`. Returns it and its URL.
fn coordinator_on(listen: &str, root: &Path) -> (Running, String) {
    started(root, &["--listen", listen])
}

/// Starts `whence coordinator` on a free port with more flags. Returns it and its URL.
pub(crate) fn coordinator_with(root: &Path, flags: &[&str]) -> (Running, String) {
    started(root, &[&["--listen", "127.0.0.1:0"], flags].concat())
}

fn started(root: &Path, flags: &[&str]) -> (Running, String) {
    let root = root.display().to_string();
    listening(command(
        &[&["coordinator", "--root", &root, "-v"], flags].concat(),
    ))
}

/// Starts a coordinator, which has to be told `-v`. Returns it and its URL.
pub(crate) fn listening(mut coordinator: Command) -> (Running, String) {
    let mut child = coordinator
        .stderr(Stdio::piped())
        .spawn()
        .expect("the coordinator starts");
    let mut messages = BufReader::new(child.stderr.take().expect("messages are piped"));
    let mut line = String::new();
    while !line.contains("listening address=") {
        line.clear();
        let read = messages.read_line(&mut line).expect("messages can be read");
        assert!(read > 0, "the coordinator ended");
    }
    // Keep reading, or the coordinator would block once the pipe is full.
    std::thread::spawn(move || messages.lines().for_each(drop));
    let (_, address) = line.trim_end().split_once("address=").expect("an address");
    let address = console::strip_ansi_codes(address).into_owned();
    (Running(child), format!("http://{address}"))
}

#[test]
fn a_job_is_submitted_watched_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let (_coordinator, url) = coordinator(folder.path());
    let at = ["--coordinator", &url];
    assert_eq!(whence(&["status", at[0], at[1]]).succeeded(), "");

    let (model, data) = (marian(), translations());
    let mut submit = vec!["submit", "-m", &model, "-d", &data, at[0], at[1]];
    submit.extend(["--split", "train[:10]", "-in", "translation.en"]);
    submit.extend(["-gen", "translation.fr"]);
    let job = whence(&submit).succeeded().trim_end().to_owned();
    whence(&submit).ended_with(0, &["was submitted before"]);
    let listed = whence(&["status", at[0], at[1]]).succeeded();
    assert!(
        listed.contains("running") && listed.contains("0 of 10 rows"),
        "{listed}"
    );

    let worker = command(&["worker", at[0], at[1]])
        .stderr(Stdio::null())
        .spawn();
    let _worker = Running(worker.expect("the worker starts"));
    let watched = whence(&["watch", &job[..8], at[0], at[1]]).succeeded();
    assert!(
        watched.contains("sealed") && watched.contains("10 of 10 rows"),
        "{watched}"
    );
    let told = whence(&["status", &job, "--json", at[0], at[1]]).succeeded();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["spec"]["attribution"]["method"]["name"], "saliency");
    let query = "SELECT count(*) AS n FROM examples WHERE status = 'ok'";
    let answer = whence(&["sql", "--root", &root, "--format", "csv", query]).succeeded();
    assert_eq!(answer, "n\n10\n");
    let told = whence(&["doctor", "-m", &marian(), "--root", &root, at[0], at[1]]).succeeded();
    assert!(told.contains("its weights"), "{told}");
}

#[test]
fn a_watched_submission_ends_with_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let (_coordinator, url) = coordinator(folder.path());
    let worker = command(&["worker", "--coordinator", &url])
        .stderr(Stdio::null())
        .spawn();
    let _worker = Running(worker.expect("the worker starts"));
    let (model, data) = (marian(), translations());
    let mut submit = vec!["submit", "-m", &model, "-d", &data, "--coordinator", &url];
    submit.extend(["--split", "train[:4]", "-in", "translation.en", "--watch"]);
    submit.extend(["-gen", "translation.fr"]);
    let ran = whence(&submit);
    let table = format!(
        "table: file://{}/tables/",
        folder.path().canonicalize().unwrap().display()
    );
    ran.ended_with(
        0,
        &[
            "attributed 4 rows in ",
            &table,
            "next:  whence sql --root file://",
        ],
    );
    // Standard output has nothing but the job's id, so that the next command can use it.
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert!(!ran.stderr.contains('\x1b'), "{}", ran.stderr);
}

#[test]
fn a_coordinator_that_is_starting_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let asking = command(&["status", "--coordinator", &url])
        .stderr(Stdio::piped())
        .spawn();
    let mut asking = Running(asking.expect("the command starts"));
    let mut messages = BufReader::new(asking.0.stderr.take().expect("messages are piped"));
    let mut line = String::new();
    messages.read_line(&mut line).unwrap();
    assert!(line.contains("trying for another"), "{line}");
    let _coordinator = coordinator_on(&format!("127.0.0.1:{port}"), folder.path());
    assert!(asking.0.wait().unwrap().success());
}

#[test]
fn a_cancelled_job_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (_coordinator, url) = coordinator(folder.path());
    let (model, data) = (marian(), translations());
    let mut submit = vec!["submit", "-m", &model, "-d", &data, "--coordinator", &url];
    submit.extend(["--split", "train[:3]", "-in", "translation.en"]);
    let job = whence(&submit).succeeded().trim_end().to_owned();
    let told = whence(&["cancel", &job, "--coordinator", &url]).succeeded();
    assert!(told.contains("cancelled"), "{told}");
    whence(&["watch", &job, "--coordinator", &url]).is_refused_with(&["was cancelled", "--run-id"]);
    whence(&submit).is_refused_with(&["was cancelled"]);
}

#[test]
fn every_attribute_command_computes_on_a_cluster_and_shows_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (_coordinator, url) = coordinator(&folder.path().join("root"));
    let worker = command(&["worker", "--coordinator", &url])
        .stderr(Stdio::null())
        .spawn();
    let _worker = Running(worker.expect("the worker starts"));
    let model = marian();
    let rows = folder.path().join("rows.jsonl");
    let row = r#"{"before": "The window is open.", "text": "Close it.", "after": "Fermez-la."}"#;
    std::fs::write(&rows, row).unwrap();
    let (rows, here) = (rows.display().to_string(), folder.path().join("here"));
    let here = here.display().to_string();
    let texts = [
        "-i",
        "Close the window.",
        "Open it.",
        "-g",
        "Fermez la fenêtre.",
        "Ouvrez-le.",
    ];
    let dataset = [
        "-d",
        &rows,
        "--root",
        &here,
        "--input",
        "text",
        "--generated",
        "after",
    ];
    let context = [
        "--input-context-text",
        "The window is open.",
        "--input-current-text",
        "Close it.",
        "--output-current-text",
        "Fermez-la.",
    ];
    let commands = [
        ("attribute", texts.to_vec()),
        ("attribute-dataset", dataset.to_vec()),
        ("attribute-context", context.to_vec()),
        (
            "attribute-context-dataset",
            [&dataset[..], &["--input-context-field", "before"]].concat(),
        ),
    ];
    for (name, own) in commands {
        let arguments = [&[name, "-m", &model][..], &own].concat();
        let shown = whence(&arguments).succeeded();
        assert!(shown.lines().count() > 2, "{name}: {shown}");
        let elsewhere = [&arguments[..], &["--cluster", &url]].concat();
        assert_eq!(whence(&elsewhere).succeeded(), shown, "{name}");
    }
}

#[test]
fn what_a_worker_cannot_be_given_is_refused_with_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let (_coordinator, url) = coordinator(folder.path());
    whence(&[
        "attribute-context",
        "-m",
        &marian(),
        "-fn",
        "contrast_prob",
        "--input-context-text",
        "The window is open.",
        "--input-current-text",
        "Close it.",
        "--contextless-output-next-tokens",
        "le",
        "--cluster",
        &url,
    ])
    .is_refused_with(&["--contextless-output-next-tokens is not available"]);
}
