//! The Python of `docs/analysis.md` runs and prints what is shown below it.
//!
//! The commands of the page are tested with the README's. Here only those run that make what Python
//! reads: jobs, exported files and scripts of views.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use whence_tests::python;

use crate::run::ended;

/// What makes the files that Python reads.
const MAKERS: &[&str] = &["whence attribute-dataset", "whence views", "JOB="];

/// Returns the fenced blocks of a page: their languages and texts.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).collect()
}

/// Returns the commands of a `console` block, each on one line.
fn commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push(command.to_owned()),
            (None, Some(last)) if last.ends_with('\\') => {
                last.pop();
                *last += line.trim_start();
            }
            // What a command prints.
            (None, _) => {}
        }
    }
    commands
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a program in `folder`. Returns what it prints.
fn run(program: &Path, argument: &str, folder: &Path) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_whence")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(["-c", argument])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("HF_HUB_OFFLINE", "1")
        .env_remove("WHENCE_ROOT")
        .output();
    ended(output.expect("the program runs")).succeeded()
}

pub(crate) fn python_of_the_page_on_analysis_prints_what_is_shown() {
    let page = fs::read_to_string(workspace().join("docs/analysis.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tests = workspace().join("tests").canonicalize().unwrap();
    symlink(tests, folder.path().join("tests")).unwrap();
    let interpreter = python::interpreter();
    let (mut printed, mut shown) = (String::new(), 0);
    for (language, text) in blocks(&page) {
        match language {
            "console" => {
                let makes =
                    |command: &String| MAKERS.iter().any(|maker| command.starts_with(maker));
                for command in commands(text).iter().filter(|command| makes(command)) {
                    run(Path::new("bash"), command, folder.path());
                }
            }
            "python" => printed = run(&interpreter, text, folder.path()),
            "text" => {
                shown += 1;
                let lines = |text: &str| -> Vec<String> {
                    text.trim_end()
                        .lines()
                        .map(|line| line.trim_end().to_owned())
                        .collect()
                };
                assert_eq!(lines(&printed), lines(text));
            }
            _ => {}
        }
    }
    assert_eq!(shown, 3, "DuckDB, Polars and pandas");
}
