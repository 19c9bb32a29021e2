//! Sweeps: every cell once, what is there already not again, and no cell stopped by another.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::cluster::{Running, coordinator_with};
use crate::run::{Ran, command, files, fixture, marian, whence};

/// Writes a sweep of three methods, two models and two datasets.
fn write_sweep(path: &Path, methods: &[&str], more: &str) {
    let texts = ["libreoffice-help-en-fr.test.jsonl", "short-en-fr.jsonl"];
    let texts = texts.map(|name| fixture(&format!("data/{name}")));
    let yaml = format!(
        "defaults: {{input: translation.en, generated: translation.fr, split: 'train[:2]'}}
axes:
  model: [{marian}, {t5}]
  method: [{methods}]
  texts:
    - {{label: help, dataset: {help}}}
    - {{label: short, dataset: {short}}}
{more}",
        marian = marian(),
        t5 = fixture("models/t5-random"),
        methods = methods.join(", "),
        help = texts[0],
        short = texts[1],
    );
    fs::write(path, yaml).unwrap();
}

const METHODS: [&str; 3] = ["saliency", "attention", "input_x_gradient"];

/// A folder with the file of a sweep and a storage root.
struct Scene {
    folder: tempfile::TempDir,
    file: String,
    root: String,
}

impl Scene {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sweep.yaml");
        write_sweep(&file, &METHODS, more);
        Self {
            file: file.display().to_string(),
            root: folder.path().join("root").display().to_string(),
            folder,
        }
    }

    fn sweep(&self, what: &str, more: &[&str]) -> Ran {
        let at = ["sweep", what, &self.file, "--root", &self.root];
        whence(&[&at, more].concat())
    }

    /// Returns the cells as JSON.
    fn cells(&self, more: &[&str]) -> Vec<Value> {
        let told = self
            .sweep("status", &[&["--json"], more].concat())
            .succeeded();
        told.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Returns the jobs of cells, after checking that each is complete.
fn complete(cells: &[Value]) -> BTreeSet<String> {
    let jobs = cells.iter().map(|cell| {
        assert_eq!(cell["state"], "sealed", "{cell}");
        assert_eq!(cell["rows_done"], 2, "{cell}");
        assert_eq!(cell["rows_failed"], 0, "{cell}");
        cell["job"].as_str().unwrap().to_owned()
    });
    jobs.collect()
}

#[test]
fn an_edited_sweep_computes_only_what_is_new() {
    let scene = Scene::new("");
    scene
        .sweep("plan", &[])
        .ended_with(0, &["12 cells of 12 jobs: 12 new"]);
    assert!(!Path::new(&scene.root).exists(), "planning writes nothing");
    scene
        .sweep("run", &[])
        .ended_with(0, &["12 cells of 12 jobs: 12 sealed"]);
    let before = files(Path::new(&scene.root).join("tables").as_path());
    let jobs = complete(&scene.cells(&[]));
    assert_eq!(jobs.len(), 12);

    // One method more, and a value that is the same job under another name.
    let same = format!(
        "include: [{{model: {}, method: saliency, dataset: {}}}]",
        marian(),
        fixture("data/short-en-fr.jsonl")
    );
    write_sweep(
        Path::new(&scene.file),
        &[&METHODS[..], &["lime"]].concat(),
        &same,
    );
    scene
        .sweep("plan", &[])
        .ended_with(0, &["17 cells of 16 jobs: 4 new, 13 sealed"]);
    scene
        .sweep("run", &[])
        .ended_with(0, &["17 cells of 16 jobs: 17 sealed"]);
    let cells = scene.cells(&[]);
    assert!(complete(&cells).is_superset(&jobs));
    assert_eq!(cells[16]["labels"]["texts"], "-");
    let after = files(Path::new(&scene.root).join("tables").as_path());
    assert!(before.iter().all(|file| after.contains(file)));
}

#[test]
fn a_cell_that_fails_does_not_stop_the_others() {
    let data = fixture("data/short-en-fr.jsonl");
    let broken = format!("include: [{{model: ./no-such-model, dataset: {data}}}]");
    let scene = Scene::new(&broken);
    let ran = scene.sweep("run", &[]);
    ran.ended_with(
        1,
        &[
            "no-such-model",
            "1 refused, 12 sealed",
            "1 of 13 cells failed",
        ],
    );
    assert!(ran.stdout.contains("refused"), "{}", ran.stdout);
    let cells = scene.cells(&[]);
    assert_eq!(complete(&cells[..12]).len(), 12);
    assert_eq!(cells[12]["state"], "refused");
    assert!(
        cells[12]["message"]
            .as_str()
            .unwrap()
            .contains("no-such-model")
    );
}

#[test]
fn a_budget_is_kept() {
    let scene = Scene::new("budget: {rows: 23}");
    scene
        .sweep("run", &[])
        .is_refused_with(&["24 rows left", "`budget.rows` allows 23"]);
    write_sweep(
        Path::new(&scene.file),
        &METHODS,
        "budget: {device_hours: 0}",
    );
    let ran = scene.sweep("run", &[]);
    ran.ended_with(
        1,
        &["`budget` are used up; 12 jobs are not complete", "12 open"],
    );
    write_sweep(
        Path::new(&scene.file),
        &METHODS,
        "budget: {rows: 24, device_hour_price: 3600}",
    );
    let told = scene.sweep("run", &["--dry-run=json"]).succeeded();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["jobs"], &told["rows"]), (&12.into(), &24.into()));
    assert_eq!(told["seconds"], told["price"]);
    scene.sweep("run", &["--dry-run"]).ended_with(0, &[]);
    scene.sweep("run", &[]).ended_with(0, &["12 sealed"]);
    // What is complete is not left to compute.
    write_sweep(Path::new(&scene.file), &METHODS, "budget: {rows: 0}");
    scene.sweep("run", &[]).ended_with(0, &["12 sealed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_cost_no_cell_of_a_cluster() {
    let scene = Scene::new("");
    let flags = ["--lease-ttl", "1s", "--heartbeat", "200ms"];
    let (_coordinator, url) = coordinator_with(Path::new(&scene.root), &flags);
    let worker = || {
        let started = command(&["worker", "--coordinator", &url])
            .stderr(Stdio::null())
            .spawn();
        Running(started.expect("the worker starts"))
    };
    let at = ["sweep", "run", &scene.file, "--cluster", &url];
    let mut running = command(&at)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut workers = [worker(), worker()];
    for kill in 0..6 {
        sleep(Duration::from_millis(1500)).await;
        workers[kill % 2] = worker();
    }
    assert!(running.wait().unwrap().success());
    let jobs = complete(&scene.cells(&["--cluster", &url]));
    assert_eq!(jobs.len(), 12);
    // The store says the same, and has each row once.
    assert_eq!(complete(&scene.cells(&[])), jobs);
    let query = "SELECT count(*) AS rows, max(times) AS most FROM \
                 (SELECT count(*) AS times FROM examples GROUP BY job, example_id)";
    let told = whence(&["sql", "--root", &scene.root, "--format", "csv", query]).succeeded();
    assert_eq!(told, "rows,most\n24,1\n");
    for job in &jobs {
        whence(&["verify", job, "--root", &scene.root]).succeeded();
    }
    let cancel = ["sweep", "cancel", &scene.file, "--coordinator", &url];
    // Complete cells stay complete.
    whence(&cancel).ended_with(0, &["12 sealed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_on_a_cluster_can_be_cancelled() {
    let scene = Scene::new("");
    let (_coordinator, url) = coordinator_with(Path::new(&scene.root), &[]);
    let at = ["sweep", "run", &scene.file, "--cluster", &url];
    let mut running = command(&at)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let open = || {
        let cells = scene.cells(&["--cluster", &url]);
        cells.iter().all(|cell| cell["state"] == "running")
    };
    while !open() {
        sleep(Duration::from_millis(100)).await;
    }
    let cancel = ["sweep", "cancel", &scene.file, "--coordinator", &url];
    whence(&cancel).ended_with(0, &["12 cancelled", "another `run_id`"]);
    assert_eq!(running.wait().unwrap().code(), Some(1));
}

#[test]
fn failed_rows_of_all_cells_are_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.jsonl");
    // The second text needs more memory than there is at first.
    let long = "window ".repeat(400);
    fs::write(
        &data,
        format!("{{\"en\": \"Open it.\"}}\n{{\"en\": \"{long}\"}}\n"),
    )
    .unwrap();
    let file = folder.path().join("sweep.yaml");
    let yaml = format!(
        "defaults: {{model: {}, dataset: {}, input: en, generation_kwargs: {{max_new_tokens: 3}}}}
axes: {{method: [saliency, attention]}}",
        marian(),
        data.display()
    );
    fs::write(&file, yaml).unwrap();
    let scene = Scene {
        file: file.display().to_string(),
        root: folder.path().join("root").display().to_string(),
        folder,
    };
    scene
        .sweep("retry", &[])
        .ended_with(0, &["no complete cell has a failed row"]);
    scene
        .sweep("run", &["--memory", "131MiB"])
        .ended_with(0, &["2 sealed"]);
    let cells = scene.cells(&[]);
    assert!(
        cells.iter().all(|cell| cell["rows_failed"] == 1),
        "{cells:?}"
    );
    let ran = scene.sweep("retry", &["--memory", "1GiB"]);
    ran.ended_with(0, &["2 sealed"]);
    assert!(!ran.stdout.contains("failed"), "{}", ran.stdout);
    let repaired = scene.cells(&[]);
    assert!(
        repaired.iter().all(|cell| cell["rows_failed"] == 0),
        "{repaired:?}"
    );
    assert_ne!(repaired[0]["job"], cells[0]["job"]);
    let again = scene.sweep("run", &[]);
    again.ended_with(0, &["2 sealed"]);
    assert!(!again.stdout.contains("failed"), "{}", again.stdout);
    scene
        .sweep("retry", &[])
        .ended_with(0, &["no complete cell has a failed row"]);
    assert!(scene.folder.path().exists());
}

#[test]
fn a_file_is_refused_by_what_is_wrong_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sweep.yaml");
    for (yaml, parts) in [
        ("axes: {methd: [lime]}", &["`methd` is no option"] as &[_]),
        ("axis: {}", &["axis"]),
        (
            "axes: {method: [lime]}",
            &["the cell lime:", "--model-name-or-path"],
        ),
        (
            "defaults: {methd: lime}",
            &["`methd`", "did you mean `method`?"],
        ),
        ("axes:\n  method: [lime\n", &["sweep.yaml"]),
    ] {
        fs::write(&file, yaml).unwrap();
        whence(&["sweep", "plan", &file.display().to_string()]).is_refused_with(parts);
    }
    whence(&["sweep", "plan", "no-such.yaml"]).is_refused_with(&["`no-such.yaml` cannot be read"]);
}

#[test]
fn the_schema_is_the_one_of_the_options() {
    let schema = whence(&["sweep", "schema"]).succeeded();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sweep.schema.json");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &schema).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), schema);
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let options = schema["$defs"]["options"]["properties"]
        .as_object()
        .unwrap();
    assert!(options.len() > 30);
    for name in [
        "model",
        "attribution_method",
        "method",
        "input",
        "seed",
        "worker_memory",
    ] {
        assert!(options.contains_key(name), "{name}");
    }
}
