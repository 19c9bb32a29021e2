//! Python's own clients against the Hub of our tests, and one cache for Python and whence.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use tokio::runtime::Runtime;
use whence_fake_hub::{Access, FakeHub, Logged};
use whence_hub::{Hub, RepoId, Revision, Settings, Snapshot, no_progress};
use whence_tests::optional::{Need, OptionalTest};
use whence_tests::python;

/// The tests of this file.
pub(crate) const TESTS: &[OptionalTest] = &[
    OptionalTest {
        name: "hub::pythons_clients_take_the_fake_hub_for_the_real_one",
        need: Need::Package("datasets"),
        run: pythons_clients_take_the_fake_hub_for_the_real_one,
    },
    OptionalTest {
        name: "hub::python_finds_what_whence_downloaded",
        need: Need::Package("datasets"),
        run: python_finds_what_whence_downloaded,
    },
    OptionalTest {
        name: "hub::whence_finds_what_python_downloaded",
        need: Need::Package("datasets"),
        run: whence_finds_what_python_downloaded,
    },
];

/// Large enough that the Hub keeps it in storage.
const WEIGHTS: &[u8] = &[7; 300_000];
const FILES: [(&str, &[u8]); 3] = [
    ("config.json", b"{\"model_type\": \"llama\"}"),
    ("model.safetensors", WEIGHTS),
    ("sub/notes.txt", b"one\ntwo\n"),
];
const CSV: &[u8] = b"text,label\nhello,1\n\"a, b\",0\n";

/// Runs a Python program with the Hub and the cache folder. Returns the lines that it prints.
fn run(program: &str, hub: &FakeHub, home: &Path) -> Vec<String> {
    let output = Command::new(python::interpreter())
        .args(["-c", program])
        .env("HF_ENDPOINT", hub.endpoint())
        .env("HF_HOME", home)
        // Xet is another protocol than the one that is tested.
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        .env_remove("HF_TOKEN")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Returns a client of whence for the cache that Python uses.
fn client(hub: &FakeHub, home: &Path) -> Hub {
    let endpoint = hub.endpoint();
    let settings = Settings::from_env(|name| match name {
        "HF_ENDPOINT" => Some(endpoint.clone()),
        "HF_HOME" => Some(home.display().to_string()),
        _ => None,
    });
    Hub::new(settings.unwrap()).unwrap()
}

/// Downloads all files of `ns/model` with whence.
async fn download(hub: &Hub) -> Snapshot {
    let model = RepoId::model("ns/model").unwrap();
    let snapshot = hub.resolve(&model, &Revision::default()).await.unwrap();
    let tree = hub.tree(&snapshot).await.unwrap();
    let files: Vec<_> = tree.files.iter().collect();
    let fetched = hub.fetch_all(&snapshot, &files, &no_progress).await;
    for (path, (name, bytes)) in fetched.unwrap().iter().zip(FILES) {
        assert!(path.ends_with(name), "{}", path.display());
        assert_eq!(std::fs::read(path).unwrap(), bytes);
    }
    snapshot
}

/// Returns which files' bytes were asked for.
fn downloads(log: &[Logged]) -> BTreeSet<&str> {
    let sent = log.iter().filter(|request| request.bytes_sent > 0);
    let names = sent.map(|request| request.path.split('?').next().unwrap_or_default());
    names.filter_map(|path| path.rsplit('/').next()).collect()
}

const CLIENTS: &str = r#"
from datasets import load_dataset
from huggingface_hub import HfApi, hf_hub_download
print(load_dataset("ns/data", split="train")[:])
copy = load_dataset("ns/data", split="train", revision="refs/convert/parquet", streaming=True)
print(next(iter(copy)))
print(HfApi().list_repo_files("ns/model"))
print([(file.path, file.size) for file in HfApi().get_paths_info("ns/model", ["sub/notes.txt", "sub"], expand=False) if hasattr(file, "size")])
def refusal(*args, **kwargs):
    try:
        return hf_hub_download(*args, **kwargs)
    except Exception as error:
        return type(error).__name__
print(refusal("ns/none", "x"))
print(refusal("ns/model", "x"))
print(refusal("ns/model", "config.json", revision="v9"))
print(refusal("ns/gated", "config.json"))
print(refusal("ns/gated", "config.json", token="hf_wrong"))
print(open(hf_hub_download("ns/gated", "config.json", token="hf_right")).read())
"#;

fn pythons_clients_take_the_fake_hub_for_the_real_one() {
    Runtime::new().unwrap().block_on(async {
        let fake = FakeHub::start().await;
        fake.publish("models", "ns/model", "main", &FILES);
        fake.publish("models", "ns/gated", "main", &[("config.json", b"{}")]);
        fake.restrict("models", "ns/gated", Access::Gated, "hf_right");
        fake.publish("datasets", "ns/data", "main", &[("train.csv", CSV)]);
        let copy = [("default/train/0.csv", b"other\nx\n".as_slice())];
        fake.publish("datasets", "ns/data", "refs/convert/parquet", &copy);
        let home = tempfile::tempdir().unwrap();
        assert_eq!(
            run(CLIENTS, &fake, home.path()),
            [
                "{'text': ['hello', 'a, b'], 'label': [1, 0]}",
                "{'other': 'x'}",
                "['config.json', 'model.safetensors', 'sub/notes.txt']",
                "[('sub/notes.txt', 8)]",
                "RepositoryNotFoundError",
                "RemoteEntryNotFoundError",
                "RevisionNotFoundError",
                "GatedRepoError",
                "HfHubHTTPError",
                "{}",
            ]
        );
    });
}

const SNAPSHOT: &str = r#"
import os, sys
from huggingface_hub import snapshot_download
folder = snapshot_download("ns/model")
print(os.path.basename(folder))
print(open(f"{folder}/sub/notes.txt").read().split())
print(os.path.getsize(f"{folder}/model.safetensors"))
"#;

fn python_finds_what_whence_downloaded() {
    Runtime::new().unwrap().block_on(async {
        let fake = FakeHub::start().await;
        fake.publish("models", "ns/model", "main", &FILES);
        let home = tempfile::tempdir().unwrap();
        let snapshot = download(&client(&fake, home.path())).await;
        fake.take_log();
        let expected = [snapshot.commit.as_str(), "['one', 'two']", "300000"];
        assert_eq!(run(SNAPSHOT, &fake, home.path()), expected);
        assert_eq!(downloads(&fake.take_log()), BTreeSet::new());
        let offline = format!("import os; os.environ['HF_HUB_OFFLINE'] = '1'\n{SNAPSHOT}");
        assert_eq!(run(&offline, &fake, home.path()), expected);
        assert_eq!(fake.log(), []);
    });
}

fn whence_finds_what_python_downloaded() {
    Runtime::new().unwrap().block_on(async {
        let fake = FakeHub::start().await;
        fake.publish("models", "ns/model", "main", &FILES);
        let home = tempfile::tempdir().unwrap();
        let commit = run(SNAPSHOT, &fake, home.path()).swap_remove(0);
        let python = fake.take_log();
        assert_eq!(downloads(&python).len(), FILES.len());
        let snapshot = download(&client(&fake, home.path())).await;
        assert_eq!(snapshot.commit.as_str(), commit);
        assert_eq!(downloads(&fake.take_log()), BTreeSet::new());
        // Python again, over what whence has written.
        assert_eq!(run(SNAPSHOT, &fake, home.path())[0], commit);
        assert_eq!(downloads(&fake.log()), BTreeSet::new());
    });
}
