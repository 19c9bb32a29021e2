//! The README and the page on analysis are correct: their commands run and print what they show.
//!
//! The `console` blocks are run in order, each line after `$ ` as in a shell, in a temporary folder
//! that looks like a clone. The text below a command must be what it prints. Three things differ from
//! a reader's shell: `cargo run` starts the program that the tests were built with, the coordinator
//! takes a free port, and the Hub is one on loopback, where the model and the dataset of the README
//! are fixtures of the repository. `kill %N` stops the N-th program that was started with `&`, which
//! must then end successfully. `cargo nextest run` is skipped, because it is what runs this test.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::runtime::Runtime;
use whence_fake_hub::FakeHub;

const TEST_COMMAND: &str = "cargo nextest run --workspace";

/// A command of the README and the output shown below it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    shown: String,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the workspace")
}

/// Returns the steps of all `console` blocks.
fn steps(text: &str) -> Vec<Step> {
    let blocks = text.split("```console\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.flat_map(steps_of_block).collect()
}

fn steps_of_block(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        let continues = steps
            .last()
            .is_some_and(|step| step.command.ends_with('\\'));
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step {
                command: command.to_owned(),
                shown: String::new(),
            }),
            (None, Some(step)) if continues => {
                step.command.pop();
                step.command += line.trim_start();
            }
            (None, Some(step)) => {
                step.shown += line.trim_end();
                step.shown.push('\n');
            }
            (None, None) => panic!("a block starts with a command: {line}"),
        }
    }
    steps
}

/// The model and the dataset that the README takes from the Hub.
const MODEL: &str = "Helsinki-NLP/opus-mt-en-it";
const DATASET: &str = "inseq/dummy_enit";

/// A Hub on loopback with what the README takes from it.
struct Hub {
    fake: FakeHub,
    /// Serves it; nobody waits for it.
    _runtime: Runtime,
}

impl Hub {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let fake = runtime.block_on(FakeHub::start());
        let model = workspace().join("tests/models/lo-en-fr-tiny");
        let published = fake.publish_folder("models", MODEL, "main", &model);
        published.expect("the model is a folder");
        let rows = workspace().join("tests/data/libreoffice-help-en-fr.test.jsonl");
        let rows = fs::read_to_string(rows).expect("the committed dataset");
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).expect("a row");
            let (en, it) = (&row["translation"]["en"], &row["translation"]["fr"]);
            format!("{}\n", serde_json::json!({"en": en, "it": it}))
        };
        let rows: String = rows.lines().take(40).map(row).collect();
        let files: [(&str, &[u8]); 1] = [("data/train.jsonl", rows.as_bytes())];
        fake.publish("datasets", DATASET, "main", &files);
        Self {
            fake,
            _runtime: runtime,
        }
    }
}

/// A folder that looks like a clone, and the background programs running in it.
struct Clone {
    hub: Hub,
    folder: tempfile::TempDir,
    address: String,
    running: Vec<Child>,
}

impl Clone {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["tests", "docs"] {
            symlink(workspace().join(name), folder.path().join(name)).expect("a link");
        }
        // Bind a free port and release it at once, so that the coordinator can take it.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        Self {
            hub: Hub::start(),
            folder,
            address: free.expect("a free port").to_string(),
            running: Vec::new(),
        }
    }

    fn shell(&self, command: &str) -> Command {
        let test = std::env::current_exe().expect("a test has a path");
        let programs = test
            .parent()
            .and_then(Path::parent)
            .expect("target/PROFILE/deps");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell
            .args(["-c", command])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("WHENCE_LISTEN", &self.address)
            .env("HF_ENDPOINT", self.hub.fake.endpoint())
            .env("HF_HOME", self.folder.path().join("hf"))
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_HUB_OFFLINE")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        // The first program in the background is the coordinator.
        if !self.running.is_empty() {
            shell.env("WHENCE_COORDINATOR", format!("http://{}", self.address));
        }
        shell
    }

    fn run(&mut self, step: &Step) {
        let command = step.command.replace("cargo run --bin whence --", "whence");
        if let Some(command) = command.strip_suffix('&') {
            let mut shell = self.shell(&format!("exec {command}"));
            self.running.push(shell.spawn().expect("bash runs"));
            return;
        }
        if let Some(jobs) = command.strip_prefix("kill ") {
            return self.stop(jobs);
        }
        let output = self.shell(&command).output().expect("bash runs");
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{messages}", step.command);
        if !step.shown.is_empty() {
            let printed = String::from_utf8_lossy(&output.stdout);
            let printed: Vec<_> = printed.lines().map(str::trim_end).collect();
            let shown: Vec<_> = step.shown.lines().collect();
            assert_eq!(printed, shown, "{}", step.command);
        }
    }
}

impl Clone {
    /// Stops background programs, given by their job numbers as in a shell: `%2 %1`.
    fn stop(&mut self, jobs: &str) {
        for job in jobs.split_whitespace() {
            let number: usize = job.trim_start_matches('%').parse().expect("a job number");
            let program = &mut self.running[number - 1];
            let pid = program.id().to_string();
            let sent = Command::new("kill").arg(pid).status().expect("kill runs");
            assert!(sent.success(), "{job} had ended by itself");
            let ended = program.wait().expect("a child of this test");
            assert!(ended.success(), "{job} ended with {ended}");
        }
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        for program in &mut self.running {
            // Fails if the program has already ended, which is fine.
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// Runs the commands of a page, in order, in a folder of its own.
fn run_page(page: &str) {
    let text = fs::read_to_string(workspace().join(page)).expect("a page of the tree");
    let steps = steps(&text);
    assert!(steps.len() > 5, "{steps:?}");
    let mut clone = Clone::new();
    for step in steps.iter().filter(|step| step.command != TEST_COMMAND) {
        clone.run(step);
    }
}

#[test]
fn every_command_of_the_readme_runs_and_prints_what_is_shown() {
    run_page("README.md");
}

#[test]
fn every_command_of_the_page_on_analysis_runs_and_prints_what_is_shown() {
    run_page("docs/analysis.md");
}

#[test]
fn ci_runs_the_test_command_of_the_readme() {
    let read = |name: &str| fs::read_to_string(workspace().join(name)).expect("a file of the tree");
    let is_shown = steps(&read("README.md"))
        .iter()
        .any(|step| step.command == TEST_COMMAND);
    assert!(is_shown, "the README shows `{TEST_COMMAND}`");
    assert!(read(".ci/run").lines().any(|line| line == TEST_COMMAND));
}

#[test]
fn a_block_is_read_as_commands_and_what_they_print() {
    let text = "a\n```console\n$ one \\\n    two\nshown\n$ three\n```\nb";
    let step = |command: &str, shown: &str| Step {
        command: command.to_owned(),
        shown: shown.to_owned(),
    };
    assert_eq!(steps(text), [step("one two", "shown\n"), step("three", "")]);
}
