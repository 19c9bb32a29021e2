//! Schedules: made, changed and looked at with the command, and fired by a coordinator.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::cluster::coordinator_with;
use crate::run::{Ran, fixture, marian, whence};

/// How long a coordinator may take to see what is due: it looks every ten seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// A storage root and the file of a sweep.
struct Scene {
    folder: tempfile::TempDir,
    root: String,
    file: String,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sweep.yaml");
        let yaml = format!(
            "defaults: {{model: {}, dataset: {}, split: 'train[:2]', input: translation.en}}
axes: {{method: [saliency, attention]}}",
            marian(),
            fixture("data/short-en-fr.jsonl")
        );
        fs::write(&file, yaml).unwrap();
        Self {
            root: folder.path().join("root").display().to_string(),
            file: file.display().to_string(),
            folder,
        }
    }

    fn schedule(&self, what: &[&str]) -> Ran {
        whence(&[&["schedule"], what, &["--root", &self.root]].concat())
    }

    fn history(&self, name: &str) -> Vec<Value> {
        let told = self.schedule(&["history", name, "--json"]).succeeded();
        told.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits until a schedule has so many times, and returns them.
    async fn decided(&self, name: &str, count: usize) -> Vec<Value> {
        let waited = timeout(PATIENCE, async {
            loop {
                let history = self.history(name);
                if history.len() >= count {
                    return history;
                }
                sleep(Duration::from_millis(300)).await;
            }
        });
        waited.await.expect("the coordinator fires")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_fired_by_the_coordinator_of_its_root() {
    let scene = Scene::new();
    let create = ["create", "often", &scene.file, "--every", "1s"];
    scene
        .schedule(&create)
        .ended_with(0, &["schedule `often` of 2 jobs", "next times: "]);
    let listed = scene.schedule(&["list"]).succeeded();
    assert!(
        listed.contains("often  every 1s  2 jobs  next "),
        "{listed}"
    );
    let (_coordinator, url) = coordinator_with(Path::new(&scene.root), &[]);
    let fired = scene.decided("often", 1).await;
    let first = fired
        .iter()
        .find(|time| time["outcome"] == "fired")
        .expect("one fired");
    assert_eq!(first["jobs"].as_array().unwrap().len(), 2);
    let job = first["jobs"][0].as_str().unwrap();
    let spec = timeout(PATIENCE, async {
        loop {
            let told = whence(&["status", job, "--json", "--coordinator", &url]);
            if told.status == 0 {
                return serde_json::from_str::<Value>(&told.stdout).unwrap()["spec"].clone();
            }
            sleep(Duration::from_millis(200)).await;
        }
    });
    let run = spec.await.expect("the job is submitted")["run_id"].clone();
    assert!(run.as_str().unwrap().starts_with("often@20"), "{run}");
    // No worker is there, so the next time finds the jobs before, and none is submitted.
    scene.schedule(&["pause", "often"]).succeeded();
    scene
        .schedule(&["pause", "often"])
        .ended_with(0, &["is paused already"]);
    assert!(scene.schedule(&["list"]).succeeded().contains("paused"));
    let triggered = scene.schedule(&["trigger", "often"]).succeeded();
    assert_eq!(triggered.lines().count(), 2, "{triggered}");
    let history = scene.history("often");
    let last = history.iter().find(|time| time["outcome"] == "triggered");
    assert!(last.is_some(), "{history:?}");
    scene.schedule(&["resume", "often"]).succeeded();
    scene.schedule(&["delete", "often"]).succeeded();
    scene
        .schedule(&["show", "often"])
        .is_refused_with(&["there is no schedule `often`"]);
    scene
        .schedule(&["list"])
        .ended_with(0, &["no schedule was created yet"]);
    assert!(scene.folder.path().exists());
}

#[test]
fn what_cannot_be_scheduled_is_refused_when_it_is_made() {
    let scene = Scene::new();
    let create = |name: &str, more: &[&str]| {
        let begin = ["create", name, &scene.file];
        scene.schedule(&[&begin, more].concat())
    };
    create("a", &[]).is_refused_with(&["--cron <EXPRESSION>", "--every <TIME>"]);
    create("A/b", &["--every", "1h"]).is_refused_with(&["`A/b` cannot name a schedule"]);
    create("a", &["--cron", "0 3 * *"]).is_refused_with(&["`0 3 * *` is no cron expression"]);
    create("a", &["--cron", "0 3 30 2 *"]).is_refused_with(&["names no time that ever comes"]);
    create("a", &["--cron", "0 3 * * *", "--zone", "Mars"]).is_refused_with(&["time zone `Mars`"]);
    create("a", &["--every", "0s"]).is_refused_with(&["every 0 seconds"]);
    create("a", &["--every", "1h", "--catch-up", "some"]).is_refused_with(&["`--catch-up some`"]);
    create("a", &["--every", "1h", "--catch-up", "3"]).is_refused_with(&["`--overlap queue`"]);
    create("a", &["--every", "999999999999d"]).is_refused_with(&["a year or less"]);
    fs::write(
        &scene.file,
        "defaults: {model: ./none, dataset: x, input: a}",
    )
    .unwrap();
    create("a", &["--every", "1h"]).ended_with(2, &["`x`"]);
    assert!(!Path::new(&scene.root).exists(), "nothing was written");
    scene
        .schedule(&["list"])
        .is_refused_with(&["there is no storage root"]);
}

#[test]
fn a_schedule_says_what_it_is() {
    let scene = Scene::new();
    let create = ["create", "nightly", &scene.file, "--cron", "0 3 * * *"];
    let more = [
        "--zone",
        "Europe/Berlin",
        "--catch-up",
        "4",
        "--overlap",
        "queue",
    ];
    scene.schedule(&[&create[..], &more].concat()).succeeded();
    let shown = scene.schedule(&["show", "nightly"]).succeeded();
    for part in [
        "cron `0 3 * * *` in Europe/Berlin",
        "queue: it waits",
        "the last 4 times",
        "2 jobs",
        "saliency, probability",
    ] {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
    scene
        .schedule(&["history", "nightly"])
        .ended_with(0, &["has not fired yet"]);
    let listed = scene.schedule(&["list", "--json"]).succeeded();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["when"]["cron"]["zone"], "Europe/Berlin");
    // Making it again replaces it.
    let again = ["create", "nightly", &scene.file, "--every", "2h"];
    scene.schedule(&again).succeeded();
    let shown = scene.schedule(&["show", "nightly"]).succeeded();
    assert!(shown.contains("every 2h"), "{shown}");
}
