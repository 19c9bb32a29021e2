//! Offline mode: only the cache, never a socket.

use std::io;
use std::net::TcpListener;

use whence_hub::{Error, Hub, RepoId, Revision, no_progress};
use whence_schemas::ErrorKind;

use crate::setup::{Setup, WEIGHTS, file, model, resolved, settings};

const OFFLINE: [(&str, &str); 1] = [("HF_HUB_OFFLINE", "1")];

#[tokio::test]
async fn what_the_cache_holds_is_found_offline() {
    let setup = Setup::new().await;
    let (snapshot, weights) = file(&setup.hub(), WEIGHTS).await;
    let fetched = setup
        .hub()
        .fetch(&snapshot, &weights, &no_progress)
        .await
        .unwrap();
    setup.fake.take_log();

    let hub = setup.hub_with(&OFFLINE);
    assert_eq!(resolved(&hub).await, snapshot);
    let tree = hub.tree(&snapshot).await.unwrap();
    assert!(tree.is_complete);
    assert_eq!(tree.files.len(), 3);
    let again = hub.fetch(&snapshot, &weights, &no_progress).await.unwrap();
    assert_eq!(again, fetched);
    assert_eq!(setup.fake.log(), []);
}

#[tokio::test]
async fn without_an_answer_the_commit_in_the_cache_is_used() {
    let setup = Setup::new().await;
    let (snapshot, weights) = file(&setup.hub(), WEIGHTS).await;
    let hub = setup.hub();
    hub.fetch(&snapshot, &weights, &no_progress).await.unwrap();
    // Nobody listens on a port that was just closed.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let endpoint = format!("http://{}", closed.unwrap());
    let unreachable = Hub::new(settings(&endpoint, setup.cache.path(), &[])).unwrap();
    assert_eq!(resolved(&unreachable).await, snapshot);
}

#[tokio::test]
async fn what_the_cache_lacks_opens_no_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let setup = Setup::new().await;
    let (snapshot, weights) = file(&setup.hub(), WEIGHTS).await;
    let hub = Hub::new(settings(&endpoint, setup.cache.path(), &OFFLINE)).unwrap();

    let other = Revision::new("v1").unwrap();
    let other_model = whence_hub::Snapshot {
        repo: RepoId::model("ns/none").unwrap(),
        commit: snapshot.commit.clone(),
    };
    let errors = [
        hub.resolve(&model(), &other).await.unwrap_err(),
        hub.tree(&other_model).await.unwrap_err(),
        hub.fetch(&snapshot, &weights, &no_progress)
            .await
            .unwrap_err(),
        hub.fetch_named(&snapshot, "a.txt", &no_progress)
            .await
            .unwrap_err(),
        hub.open(&snapshot, &weights).unwrap_err(),
    ];
    for error in &errors {
        assert!(matches!(error, Error::Offline(_)), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    let asked = listener.accept().unwrap_err();
    assert_eq!(asked.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(
        errors[0].to_string(),
        "the model `ns/model` at `v1` is not in the cache, and offline mode does not ask the Hub"
    );
}

#[tokio::test]
async fn a_snapshot_without_its_list_may_be_incomplete() {
    let setup = Setup::new().await;
    let (snapshot, config) = file(&setup.hub(), "config.json").await;
    setup
        .hub()
        .fetch(&snapshot, &config, &no_progress)
        .await
        .unwrap();
    let trees = setup.cache.path().join("hub/models--ns--model/trees");
    std::fs::remove_dir_all(trees).unwrap();
    let tree = setup.hub_with(&OFFLINE).tree(&snapshot).await.unwrap();
    assert!(!tree.is_complete);
    assert_eq!(tree.files, [config]);
}

#[tokio::test]
async fn datasets_alone_can_be_offline() {
    let setup = Setup::new().await;
    let hub = setup.hub_with(&[("HF_DATASETS_OFFLINE", "1")]);
    resolved(&hub).await;
    let dataset = RepoId::dataset("ns/data").unwrap();
    let error = hub
        .resolve(&dataset, &Revision::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Offline(_)), "{error:?}");
}
