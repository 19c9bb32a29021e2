//! Datasets on the Hub, which is one on loopback here.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its functions included"
)]

use std::path::Path;
use std::sync::Arc;

use whence_datasets::resolve::HubDatasets;
use whence_datasets::{Cell, Copies, DatasetReader, Error, Notice, Pinned, open_at, pin};
use whence_fake_hub::FakeHub;
use whence_hub::{Settings, no_progress};
use whence_schemas::location::{DatasetLocation, DatasetOrigin};

const NAME: &str = "ns/name";

fn datasets(fake: &FakeHub, cache: &Path, offline: &str) -> HubDatasets {
    let cache = cache.to_str().unwrap().to_owned();
    let settings = Settings::from_env(|name| match name {
        "HF_ENDPOINT" => Some(fake.endpoint()),
        "HF_HOME" => Some(cache.clone()),
        "HF_HUB_OFFLINE" => Some(offline.to_owned()),
        _ => None,
    });
    HubDatasets::new(settings.unwrap(), Arc::new(no_progress)).unwrap()
}

fn found(hub: &HubDatasets) -> (DatasetLocation, Option<Notice>) {
    let (origin, notice) = hub.find(NAME, None).unwrap();
    (DatasetLocation::of(origin), notice)
}

fn pinned(hub: &HubDatasets, location: &DatasetLocation, split: &str) -> Result<Pinned, Error> {
    pin(location, split, open_at(location, hub)?.as_ref())
}

/// Returns the `text` of the first row of the pinned files.
fn first_row(
    hub: &HubDatasets,
    location: &DatasetLocation,
    pinned: &Pinned,
    cache: &Path,
) -> String {
    let copies = Copies::new(cache.join("unpacked"), 1 << 20);
    let source = open_at(location, hub).unwrap();
    let reader = DatasetReader::new(source, &pinned.format, copies).unwrap();
    let mut rows = reader
        .rows(&pinned.files[0], 0, &["text".parse().unwrap()])
        .unwrap();
    match &rows.next().unwrap().unwrap().unwrap()[..] {
        [Cell::Text(text)] => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn requests(fake: &FakeHub, part: &str) -> usize {
    let log = fake.take_log();
    log.iter()
        .filter(|request| request.path.contains(part))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_repository_is_read_as_a_folder_is_and_only_the_files_that_are_needed() {
    let fake = FakeHub::start().await;
    let cache = tempfile::tempdir().unwrap();
    let card = b"---\nconfigs:\n- {config_name: a, data_files: 'data/*.csv'}\n---\n";
    fake.publish(
        "datasets",
        NAME,
        "main",
        &[
            ("README.md", card),
            ("data/0.csv", b"text\nzero\n"),
            ("data/1.csv", b"text\none\n"),
            ("other.jsonl", b"{}\n"),
        ],
    );
    tokio::task::spawn_blocking(move || {
        let hub = datasets(&fake, cache.path(), "0");
        let (location, notice) = found(&hub);
        assert_eq!(notice, None);
        let before = pinned(&hub, &location, "train").unwrap();
        let paths: Vec<_> = before.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["data/0.csv", "data/1.csv"]);
        assert_eq!(
            requests(&fake, "/data/"),
            0,
            "nothing is fetched to pin a dataset"
        );
        assert_eq!(first_row(&hub, &location, &before, cache.path()), "zero");
        assert!(
            fake.take_log()
                .iter()
                .all(|request| !request.path.contains("1.csv"))
        );

        // A branch moves on; a commit does not.
        fake.publish("datasets", NAME, "main", &[("data/0.csv", b"text\nnew\n")]);
        assert_eq!(pinned(&hub, &location, "train").unwrap(), before);
        let moved = found(&hub).0;
        assert_ne!(
            pinned(&hub, &moved, "train").unwrap().digest(),
            before.digest()
        );

        // What is in the cache is read without a connection.
        fake.take_log();
        let offline = datasets(&fake, cache.path(), "1");
        assert_eq!(pinned(&offline, &location, "train").unwrap(), before);
        assert_eq!(
            first_row(&offline, &location, &before, cache.path()),
            "zero"
        );
        assert_eq!(fake.take_log(), []);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_repository_with_a_script_is_read_from_the_hubs_copy() {
    let fake = FakeHub::start().await;
    let cache = tempfile::tempdir().unwrap();
    fake.publish("datasets", NAME, "main", &[("name.py", b"import datasets")]);
    let parquet = include_bytes!("shapes/one.parquet");
    tokio::task::spawn_blocking(move || {
        let hub = datasets(&fake, cache.path(), "0");
        let error = hub.find(NAME, None).unwrap_err();
        assert!(
            error.to_string().contains("script") && error.help().is_some(),
            "{error}"
        );

        fake.publish(
            "datasets",
            NAME,
            "refs/convert/parquet",
            &[
                ("default/held_out/0000.parquet", parquet),
                ("default/train/0000.parquet", parquet),
            ],
        );
        let (location, notice) = found(&hub);
        let repository = NAME.to_owned();
        assert_eq!(notice, Some(Notice::ParquetBranch { repository }));
        assert!(matches!(
            location.origin,
            DatasetOrigin::Hub {
                is_export: true,
                ..
            }
        ));
        let pinned = pinned(&hub, &location, "held_out").unwrap();
        assert_eq!(first_row(&hub, &location, &pinned, cache.path()), "1 one");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_hub_does_not_have_is_named() {
    let fake = FakeHub::start().await;
    let cache = tempfile::tempdir().unwrap();
    fake.publish("datasets", NAME, "main", &[("a.csv", b"text\na\n")]);
    tokio::task::spawn_blocking(move || {
        let hub = datasets(&fake, cache.path(), "0");
        for (name, revision, part) in [
            ("ns/other", None, "ns/other"),
            (NAME, Some("v2"), "v2"),
            ("ns/na/me", None, "ns/na/me"),
        ] {
            let error = hub.find(name, revision).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        let offline = datasets(&fake, cache.path(), "1");
        let error = offline.find("ns/other", None).unwrap_err();
        assert!(error.to_string().contains("offline"), "{error}");
    })
    .await
    .unwrap();
}
