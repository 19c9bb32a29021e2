//! Revisions, commits and lists of files.

use whence_hub::{RepoId, Revision, no_progress};

use crate::setup::{MODEL, Setup, model, resolved};

#[tokio::test]
async fn a_snapshot_stays_when_its_branch_moves() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let before = resolved(&hub).await;
    let moved = setup
        .fake
        .publish("models", MODEL, "main", &[("config.json", b"{\"a\": 1}")]);
    let after = resolved(&hub).await;
    assert_eq!(after.commit.as_str(), moved);
    assert_ne!(before, after);
    let read = async |snapshot| {
        let path = hub.fetch_named(snapshot, "config.json", &no_progress).await;
        std::fs::read_to_string(path.unwrap().unwrap()).unwrap()
    };
    assert_eq!(read(&before).await, "{}");
    assert_eq!(read(&after).await, "{\"a\": 1}");
}

#[tokio::test]
async fn a_commit_is_not_looked_up() {
    let setup = Setup::new().await;
    let commit = Revision::new(&"a".repeat(40)).unwrap();
    let snapshot = setup.hub().resolve(&model(), &commit).await.unwrap();
    assert_eq!(snapshot.commit.as_str(), commit.as_str());
    assert_eq!(setup.fake.log(), []);
}

#[tokio::test]
async fn the_hubs_parquet_copy_of_a_dataset_is_a_revision() {
    let setup = Setup::new().await;
    let path = "default/train/0000.parquet";
    let revision = Revision::parquet();
    let commit = setup
        .fake
        .publish("datasets", "ns/data", revision.as_str(), &[(path, b"PAR1")]);
    let hub = setup.hub();
    let dataset = RepoId::dataset("ns/data").unwrap();
    let snapshot = hub.resolve(&dataset, &revision).await.unwrap();
    assert_eq!(snapshot.commit.as_str(), commit);
    let tree = hub.tree(&snapshot).await.unwrap();
    let fetched = hub
        .fetch(&snapshot, &tree.files[0], &no_progress)
        .await
        .unwrap();
    assert!(fetched.ends_with(path), "{}", fetched.display());
    // Found again offline.
    let offline = setup.hub_with(&[("HF_HUB_OFFLINE", "1")]);
    assert_eq!(
        offline.resolve(&dataset, &revision).await.unwrap(),
        snapshot
    );
}

#[tokio::test]
async fn a_long_list_of_files_has_several_pages() {
    let setup = Setup::new().await;
    let names: Vec<_> = (0..2500).map(|n| format!("data/part {n:05}.txt")).collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), b"x".as_slice()))
        .collect();
    setup.fake.publish("datasets", "ns/many", "main", &files);
    let hub = setup.hub();
    let dataset = RepoId::dataset("ns/many").unwrap();
    let snapshot = hub.resolve(&dataset, &Revision::default()).await.unwrap();
    setup.fake.take_log();
    let tree = hub.tree(&snapshot).await.unwrap();
    let found: Vec<_> = tree.files.iter().map(|file| &file.path).collect();
    assert_eq!(found, names.iter().collect::<Vec<_>>());
    assert_eq!(setup.fake.log().len(), 3);
    // A blank in a path survives the way to the Hub.
    hub.fetch(&snapshot, &tree.files[7], &no_progress)
        .await
        .unwrap();
}
