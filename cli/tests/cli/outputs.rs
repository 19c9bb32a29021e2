//! Output files: bad paths are reported before the work, and afterward a file is complete or
//! untouched.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::run::{attribute_dataset, command, ended, fixture, marian, names, whence};

const ONE_TOKEN: [&str; 2] = ["--generation-kwargs", r#"{"max_new_tokens": 1}"#];

fn attribute(texts: &[&str], more: &[&str]) -> crate::run::Ran {
    let model = fixture("models/gpt2-random");
    let arguments = [
        &["attribute", "--hide", "-m", &model, "-i"][..],
        texts,
        &ONE_TOKEN,
        more,
    ];
    whence(&arguments.concat())
}

#[test]
fn nothing_attributed_is_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    let save = ["--save-path", path.to_str().unwrap()];
    let failed = attribute(&[""], &save);
    failed.is_refused_with(&["the input text is empty"]);
    assert!(!failed.stderr.contains("wrote:"), "{}", failed.stderr);
    assert!(names(folder.path()).is_empty());
    fs::write(&path, "results of yesterday").unwrap();
    attribute(&[""], &save).is_refused_with(&["the input text is empty"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "results of yesterday");
    // The file has what could be attributed; the exit status says that something is missing.
    let half = attribute(&["the old house", ""], &save);
    half.ended_with(
        1,
        &[
            "wrote: ",
            "example 1: the input text is empty",
            "1 of 2 texts",
        ],
    );
    let saved = fs::read_to_string(&path).unwrap();
    assert!(saved.contains("the old house"));
    assert_eq!(names(folder.path()), ["out.json"]);
}

#[test]
fn a_bad_path_is_found_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (missing, good) = (at("none/out.json"), at("out"));
    // The model does not exist either, so this also shows that paths are checked first.
    let refuse = |more: &[&str], said: &str| {
        for command in [
            &["attribute", "--hide", "-m", "/nowhere", "-i", "text"][..],
            &[
                "attribute-dataset",
                "--hide",
                "-m",
                "/nowhere",
                "-d",
                "x.jsonl",
                "-in",
                "text",
            ],
        ] {
            whence(&[command, more].concat()).is_refused_with(&[said]);
        }
    };
    let save = format!("cannot write --save-path `{missing}`: the folder `");
    refuse(&["--save-path", &missing], &save);
    refuse(
        &["--viz-path", folder.path().to_str().unwrap()],
        "it is a folder; name a file in it",
    );
    refuse(
        &["--save-path", &good, "--viz-path", &good],
        "name the same file",
    );
    let shown = [
        "attribute",
        "-m",
        "/nowhere",
        "-i",
        "text",
        "--save-path",
        "-",
    ];
    whence(&shown).is_refused_with(&["standard output", "--hide-attributions"]);
    let query = ["sql", "--root", "/nowhere", "SELECT 1", "-o", &missing];
    whence(&query).is_refused_with(&["cannot write --output `"]);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn standard_output_and_pipes_are_written_to_directly() {
    let saved = attribute(&["the old house"], &["--save-path", "-"]).succeeded();
    let json: serde_json::Value = serde_json::from_str(&saved).unwrap();
    assert_eq!(
        json["attributes"]["info"]["input_texts"][0],
        "the old house"
    );
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    attribute(&["the old house"], &["--save-path", pipe.to_str().unwrap()]).succeeded();
    assert_eq!(reader.join().unwrap(), saved);
}

#[test]
fn a_run_that_is_stopped_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    fs::write(&path, "results of yesterday").unwrap();
    let (model, save) = (marian(), path.display().to_string());
    let mut arguments = vec!["attribute", "-m", &model, "-i"];
    // Many batches of one text: the first is drawn long before the last has been computed.
    arguments.extend(["Bold text"; 400]);
    arguments.extend([
        "--batch-size",
        "1",
        "-a",
        "integrated_gradients",
        "--save-path",
        &save,
    ]);
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let mut running = command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut drawn = BufReader::new(running.stdout.take().unwrap());
        let mut line = String::new();
        drawn.read_line(&mut line).unwrap();
        assert_eq!(
            names(folder.path()).len(),
            2,
            "a file is being written beside"
        );
        let pid = running.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        // Keep reading, so that the signal stops the command and not a broken pipe.
        drawn.read_to_end(&mut Vec::new()).unwrap();
        ended(running.wait_with_output().unwrap()).ended_with(status, &["no file was written"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "results of yesterday");
        assert_eq!(names(folder.path()), ["out.json"]);
    }
}

#[test]
fn an_answer_replaces_a_file_only_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    attribute_dataset(&root, "train[:2]", &["--hide"]).succeeded();
    let (root, path) = (root.display().to_string(), folder.path().join("answer.csv"));
    fs::write(&path, "yesterday").unwrap();
    let ask = |query: &str| {
        let to_file = ["--format", "csv", "-o", path.to_str().unwrap()];
        whence(&[&["sql", "--root", &root, query][..], &to_file].concat())
    };
    ask("SELECT count(*) / 0 AS n FROM examples").ended_with(1, &["error: "]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "yesterday");
    ask("SELECT count(*) AS n FROM examples").succeeded();
    assert_eq!(fs::read_to_string(&path).unwrap(), "n\n2\n");
    assert_eq!(names(folder.path()), ["answer.csv", "root"]);
}

/// Escape codes in a log only get in the way, of people and of programs.
#[test]
fn no_escape_codes_reach_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let (model, root) = (marian(), folder.path().display().to_string());
    let data = crate::run::translations();
    let mut arguments = vec![
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &data,
        "--root",
        &root,
    ];
    arguments.extend(["--split", "train[:2]", "-in", "translation.en", "-vv"]);
    let mut command = command(&arguments);
    command
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color")
        .env("COLORTERM", "truecolor");
    let ran = ended(command.output().unwrap());
    assert!(
        ran.stderr.contains("serving"),
        "messages are shown: {}",
        ran.stderr
    );
    assert!(
        !ran.stderr.contains('\x1b') && !ran.stdout.contains('\x1b'),
        "{}",
        ran.stderr
    );
}
