//! `whence attribute-dataset`: the whole pipeline, repeated, interrupted and with bad rows.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use whence_tests::fixtures::copy_files;

use crate::run::{
    assert_snapshot, attribute_dataset, command, ended, files, fixture, marian, names,
    translations, whence,
};

#[test]
fn the_first_example_and_the_way_on_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("the root");
    let ran = attribute_dataset(&root, "train[:12]", &["--step_scores", "logit"]);
    ran.ended_with(
        0,
        &["attributed 12 rows in", "table: ", "next:  whence sql"],
    );
    assert_snapshot("dataset_first_example", &ran.stdout);
    let question = ran
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("next:  whence sql "));
    let (root, query) = question.unwrap().split_once(" \"").unwrap();
    let root = root.strip_prefix("--root ").unwrap().trim_matches('\'');
    let answer = whence(&["sql", "--root", root, query.trim_end_matches('"')]).succeeded();
    assert!(answer.contains("source_token"), "{answer}");
}

#[test]
fn the_same_command_again_computes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = attribute_dataset(folder.path(), "train[:5]", &[]);
    let before = files(folder.path());
    let second = attribute_dataset(folder.path(), "train[:5]", &[]);
    second.ended_with(0, &["already complete; nothing to compute: 5 rows"]);
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(files(folder.path()), before);
}

#[test]
fn an_interrupted_job_goes_on_to_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let small = ["--shard_tokens", "120", "--hide"];
    attribute_dataset(&whole, "train[:60]", &small).ended_with(0, &["attributed 60 rows"]);

    let (model, data, root) = (marian(), translations(), broken.display().to_string());
    let mut arguments = vec![
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &data,
        "--root",
        &root,
    ];
    arguments.extend(["--dataset_split", "train[:60]", "-in", "translation.en"]);
    arguments.extend(["-gen", "translation.fr", "-v"]);
    arguments.extend(small);
    let mut running = command(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let messages = BufReader::new(running.stderr.take().expect("messages are piped"));
    let mut messages = messages.lines().map_while(Result::ok);
    // With `-v`, a worker logs each slot that it fills.
    assert!(messages.any(|line| line.contains("slot filled")));
    let pid = running.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let rest: Vec<_> = messages.collect();
    assert_eq!(running.wait().unwrap().code(), Some(130), "{rest:?}");
    let rest = rest.join("\n");
    assert!(
        rest.contains("is not finished") && rest.contains("hint: run the same command again"),
        "{rest}"
    );

    let resumed = attribute_dataset(&broken, "train[:60]", &small);
    resumed.ended_with(0, &["resuming job"]);
    let answer = |root: &Path| {
        let root = root.display().to_string();
        let query = "SELECT * FROM attributions ORDER BY example_id, step, side, source_position";
        whence(&["sql", "--root", &root, "--format", "csv", query]).succeeded()
    };
    let expected = answer(&whole);
    assert!(expected.lines().count() > 1000);
    assert!(answer(&broken) == expected, "the tables differ");
}

#[test]
fn bad_rows_are_counted_and_the_rest_is_attributed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.jsonl");
    let rows = r#"{"text": "Click the tab.", "label": "a"}
{"text": null, "label": "b"}
{"text": "  ", "label": "c"}
not json
{"text": "Bold text", "label": "d"}
"#;
    fs::write(&data, rows).unwrap();
    let (model, data) = (marian(), data.display().to_string());
    let root = folder.path().join("out").display().to_string();
    let mut arguments = vec![
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &data,
        "--root",
        &root,
    ];
    arguments.extend(["-in", "text", "--columns", "label", "--hide"]);
    let ran = whence(&arguments);
    ran.ended_with(
        0,
        &[
            "3 of 5 rows failed",
            "line 4 is not JSON",
            "example 1: ",
            "example 2: ",
            "example 3: ",
        ],
    );
    let query = "SELECT example_id, status, columns['label'] AS label FROM examples ORDER BY 1";
    let answer = whence(&["sql", "--root", &root, "--format", "csv", query]).succeeded();
    assert_eq!(
        answer,
        "example_id,status,label\n0,ok,a\n1,error,b\n2,error,c\n3,error,\n4,ok,d\n"
    );
}

#[test]
fn a_dataset_of_bad_rows_alone_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.jsonl");
    fs::write(&data, "{\"text\": \"\"}\n{\"text\": null}\n").unwrap();
    let (model, data) = (marian(), data.display().to_string());
    let root = folder.path().join("out").display().to_string();
    let arguments = [
        "attribute-dataset",
        "-m",
        &model,
        "-d",
        &data,
        "--root",
        &root,
    ];
    whence(&[&arguments[..], &["-in", "text"]].concat())
        .ended_with(1, &["none of the 2 rows could be attributed"]);
}

#[test]
fn an_older_job_of_the_root_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    // A specification and a plan without slots, as a coordinator that died would leave them.
    attribute_dataset(root, "train[:5]", &["--run_id", "older", "--hide"]).succeeded();
    let sql = |query: &str| {
        let root = root.display().to_string();
        whence(&["sql", "--root", &root, "--format", "csv", query]).succeeded()
    };
    let older = sql("SELECT job FROM jobs");
    let older = older.lines().nth(1).unwrap();
    fs::remove_file(root.join(format!("jobs/{older}/sealed.json"))).unwrap();
    let slots = files(&root.join("tables"));
    for (slot, _) in &slots {
        fs::remove_file(slot).unwrap();
    }
    attribute_dataset(root, "train[:3]", &["--hide"]).ended_with(0, &["attributed 3 rows"]);
    let states = sql("SELECT state, rows FROM jobs ORDER BY rows");
    assert_eq!(states, "state,rows\nsealed,3\nopen,5\n");
}

/// A folder's splits get tables with different names; for a single file, its name is enough.
#[test]
fn a_table_is_named_by_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("wiki");
    fs::create_dir(&data).unwrap();
    for split in ["train", "test"] {
        let row = format!("{{\"text\": \"The {split} begins.\"}}\n");
        fs::write(data.join(format!("{split}-0.jsonl")), row).unwrap();
    }
    let null = folder.path().join("__HIVE_DEFAULT_PARTITION__.jsonl");
    fs::write(&null, "{\"text\": \"None.\"}\n").unwrap();
    let root = folder.path().join("out").display().to_string();
    let run = |data: &Path, split: &str| {
        let (model, data) = (marian(), data.display().to_string());
        let mut arguments = vec!["attribute-dataset", "-m", &model, "-d", &data, "--hide"];
        arguments.extend(["--split", split, "-in", "text", "--root", &root, "-q"]);
        whence(&arguments)
    };
    run(&data, "train").ended_with(0, &["/dataset=wiki-train/"]);
    run(&data, "test").ended_with(0, &["/dataset=wiki-test/"]);
    run(&data.join("test-0.jsonl"), "train").ended_with(0, &["/dataset=test-0/"]);
    run(&null, "train").ended_with(0, &["/dataset=HIVE_DEFAULT_PARTITION/"]);
}

#[test]
fn a_pipe_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("rows.jsonl");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let (model, root) = (marian(), folder.path().join("out").display().to_string());
    let pipe = pipe.display().to_string();
    let mut arguments = vec![
        "attribute-dataset",
        "-m",
        &model,
        "--root",
        &root,
        "-in",
        "text",
    ];
    arguments.extend(["-d", &pipe]);
    whence(&arguments).is_refused_with(&["a pipe can be read only once"]);
}

#[test]
fn the_home_folder_is_found_where_the_shell_leaves_it() {
    let home = tempfile::tempdir().unwrap();
    let (model, data) = (marian(), translations());
    let mut arguments = vec!["attribute-dataset", "-m", &model, "-d", &data, "--hide"];
    arguments.extend([
        "--split",
        "train[:1]",
        "-in",
        "translation.en",
        "--root",
        "~/out",
    ]);
    let mut command = command(&arguments);
    let ran = ended(command.env("HOME", home.path()).output().unwrap());
    ran.ended_with(0, &[&format!("table: {}/out/", home.path().display())]);
    assert!(home.path().join("out/tables").is_dir());
}

#[test]
fn an_example_is_shown_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    attribute_dataset(
        folder.path(),
        "train[:6]",
        &["--shard_tokens", "60", "--hide"],
    )
    .succeeded();
    let jobs = [
        "sql",
        "--root",
        &root,
        "--format",
        "csv",
        "SELECT job FROM jobs",
    ];
    let job = whence(&jobs).succeeded().lines().nth(1).unwrap()[..6].to_owned();
    let shown = whence(&["show", &job, "4", "--root", &root]);
    shown.ended_with(0, &["example 4: "]);
    assert!(shown.stdout.contains("Source Saliency Heatmap"));
    whence(&["show", &job, "6", "--root", &root]).is_refused_with(&["it has 0 to 5"]);
    whence(&["show", "zzz", "--root", &root]).is_refused_with(&["there is no job `zzz`"]);
}

#[test]
fn a_log_gets_lines_or_json_if_it_asks_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = attribute_dataset(folder.path(), "train[:3]", &["--quiet", "--hide"]);
    assert!(quiet.stderr.starts_with("table: "), "{}", quiet.stderr);
    let auto = attribute_dataset(folder.path(), "train[:4]", &["--hide"]);
    assert!(
        auto.stderr.starts_with("attributed 4 rows in "),
        "{}",
        auto.stderr
    );
    let lines = ["--hide", "--progress", "lines"];
    let told = attribute_dataset(folder.path(), "train[:5]", &lines);
    assert!(told.stderr.starts_with("0 of 5 rows, "), "{}", told.stderr);
    assert!(!told.stderr.contains('\x1b'));
    let json = ["--hide", "--progress", "json"];
    let told = attribute_dataset(folder.path(), "train[:6]", &json);
    let objects = told.stderr.lines().filter(|line| line.starts_with('{'));
    let objects: Vec<serde_json::Value> = objects
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects[0]["state"], "running");
    let last = objects.last().unwrap();
    assert_eq!(
        (&last["state"], &last["rows_done"]),
        (&"sealed".into(), &6.into())
    );
}

/// Otherwise `whence … | head` would report an error.
#[test]
fn a_reader_that_leaves_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    attribute_dataset(folder.path(), "train[:40]", &["--hide"]).succeeded();
    let query = "SELECT a.* FROM attributions a, range(0, 20)";
    let mut running = command(&["sql", "--root", &root, "--format", "csv", query])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut first = String::new();
    let mut reader = BufReader::new(running.stdout.take().expect("output is piped"));
    reader.read_line(&mut first).unwrap();
    drop(reader);
    let ran = ended(running.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
}

#[test]
fn a_job_is_named_by_what_its_sampler_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (sampler, root) = (folder.path().join("sampler"), folder.path().join("root"));
    fs::create_dir(&sampler).unwrap();
    copy_files(Path::new(&fixture("samplers/models/bert")), &sampler);
    let kwargs = serde_json::json!({"sampler": sampler, "num_probes": 2, "max_probe_steps": 3});
    let kwargs = kwargs.to_string();
    let options = ["-a", "reagent", "--attribution-kwargs", &kwargs, "--hide"];
    let run = || attribute_dataset(&root, "train[:2]", &options);
    run().ended_with(0, &["attributed 2 rows"]);
    run().ended_with(0, &["already complete; nothing to compute: 2 rows"]);
    fs::write(sampler.join("special_tokens_map.json"), "{}").unwrap();
    run().ended_with(0, &["attributed 2 rows"]);
    fs::remove_file(sampler.join("tokenizer_config.json")).unwrap();
    run().ended_with(1, &["sampler", "`mask_token`"]);
}

#[test]
fn a_dry_run_says_what_the_job_would_cost_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let told = attribute_dataset(&root, "train[:20]", &["--dry-run"]).succeeded();
    assert!(told.contains("20 in 1 shard, about"), "{told}");
    assert!(told.contains("on 20 rows of the job"), "{told}");
    for name in ["job", "passes", "memory", "table", "time"] {
        assert!(told.lines().any(|line| line.starts_with(name)), "{told}");
    }
    let told = attribute_dataset(&root, "train[:20]", &["--dry-run=json"]).succeeded();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["rows"], &told["shards"]), (&20.into(), &1.into()));
    assert_eq!(told["measured_rows"], 20);
    for name in ["rows_backward", "weights_bytes", "table_bytes", "seconds"] {
        assert!(
            told[name].as_f64().is_some_and(|number| number > 0.0),
            "{told}"
        );
    }
    assert!(!root.exists());
}

#[test]
fn a_range_of_examples_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    attribute_dataset(&root, "train[:5]", &["--hide-attributions"]).succeeded();
    let job = names(&root.join("jobs")).remove(0);
    let root = root.display().to_string();
    let show = |range: &str, more: &[&str]| {
        whence(&[&["show", &job, range, "--root", &root], more].concat())
    };
    let shown = show("1:3", &[]);
    for (number, is_there) in [(0, false), (1, true), (2, true), (3, false)] {
        let line = format!("example {number}: ");
        assert_eq!(shown.stderr.contains(&line), is_there, "{}", shown.stderr);
    }
    assert_eq!(show(":", &[]).stderr.matches(" → ").count(), 5);
    let page = folder.path().join("page.html").display().to_string();
    show("3:", &["--viz-path", &page]).ended_with(0, &["wrote: "]);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("example 3") && page.contains("example 4"));
    show("7:9", &[]).is_refused_with(&["has no examples 7:9"]);
    show("4:2", &[]).is_refused_with(&["up to, but without, its second"]);
}
