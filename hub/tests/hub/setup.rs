//! A Hub with a model and a dataset, and an empty cache.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use whence_fake_hub::{FakeHub, Logged};
use whence_hub::{Hub, RepoFile, RepoId, Revision, Settings, Snapshot};
use whence_schemas::retry::RetryPolicy;

/// A weights file that is sent in several pieces.
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const WEIGHTS_BYTES: usize = 1_000_000;

/// The model's name on the Hub.
pub(crate) const MODEL: &str = "ns/model";

pub(crate) struct Setup {
    pub(crate) fake: FakeHub,
    pub(crate) cache: TempDir,
}

/// Returns bytes that differ from place to place.
pub(crate) fn weights() -> Vec<u8> {
    (0..WEIGHTS_BYTES).map(|at| (at * at / 7) as u8).collect()
}

impl Setup {
    pub(crate) async fn new() -> Self {
        let fake = FakeHub::start().await;
        let files: [(&str, &[u8]); 3] = [
            ("config.json", b"{}"),
            ("README.md", b"# A model\n"),
            (WEIGHTS, &weights()),
        ];
        fake.publish("models", MODEL, "main", &files);
        let cache = tempfile::tempdir().unwrap();
        Self { fake, cache }
    }

    /// Reads settings from variables, with pauses and timeouts that suit a test.
    pub(crate) fn settings(&self, variables: &[(&str, &str)]) -> Settings {
        settings(&self.fake.endpoint(), self.cache.path(), variables)
    }

    pub(crate) fn hub_with(&self, variables: &[(&str, &str)]) -> Hub {
        Hub::new(self.settings(variables)).unwrap()
    }

    /// Returns a client that knows nothing but the cache.
    pub(crate) fn hub(&self) -> Hub {
        self.hub_with(&[])
    }

    /// Returns the files that the cache holds, sorted.
    pub(crate) fn cached_files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.cache.path().to_owned()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let path = path.strip_prefix(self.cache.path()).unwrap();
                    found.push(path.display().to_string());
                }
            }
        }
        found.sort();
        found
    }
}

pub(crate) fn settings(endpoint: &str, home: &Path, variables: &[(&str, &str)]) -> Settings {
    let home = home.to_str().unwrap();
    let usual = [("HF_ENDPOINT", endpoint), ("HF_HOME", home)];
    let variables: Vec<_> = variables.iter().chain(&usual).collect();
    let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
    let settings = Settings::from_env(|name| find(name).map(|(_, value)| (*value).to_owned()));
    Settings {
        retry: RetryPolicy {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(10),
            give_up_after: Duration::from_mins(1),
        },
        ..settings.unwrap()
    }
}

pub(crate) fn model() -> RepoId {
    RepoId::model(MODEL).unwrap()
}

/// Resolves the model's main branch.
pub(crate) async fn resolved(hub: &Hub) -> Snapshot {
    hub.resolve(&model(), &Revision::default()).await.unwrap()
}

/// Resolves the model's main branch and finds one of its files.
pub(crate) async fn file(hub: &Hub, path: &str) -> (Snapshot, RepoFile) {
    let snapshot = resolved(hub).await;
    let tree = hub.tree(&snapshot).await.unwrap();
    let file = tree.files.into_iter().find(|file| file.path == path);
    (snapshot, file.unwrap())
}

/// Returns how many bytes of files were sent.
pub(crate) fn bytes_sent(log: &[Logged]) -> u64 {
    log.iter().map(|request| request.bytes_sent).sum()
}
