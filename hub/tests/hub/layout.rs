//! What the cache holds, and what is not downloaded again.

use std::fs;
use std::os::unix::fs::symlink;

use whence_hub::{RepoId, Revision, no_progress};

use crate::setup::{Setup, WEIGHTS, bytes_sent, file, resolved, weights};

#[tokio::test]
async fn files_lie_where_python_looks_for_them() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let snapshot = resolved(&hub).await;
    let tree = hub.tree(&snapshot).await.unwrap();
    let files: Vec<_> = tree.files.iter().collect();
    let paths = hub
        .fetch_all(&snapshot, &files, &no_progress)
        .await
        .unwrap();
    let names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["README.md", "config.json", WEIGHTS]);
    assert_eq!(fs::read(&paths[2]).unwrap(), weights());

    let commit = snapshot.commit.as_str();
    let repo = "hub/models--ns--model";
    let digests = files.iter().map(|file| file.digest().unwrap());
    let digests: Vec<_> = digests.map(|digest| digest.as_str().to_owned()).collect();
    let mut expected = vec![
        "hub/CACHEDIR.TAG".to_owned(),
        format!("{repo}/refs/main"),
        format!("{repo}/trees/{commit}.json"),
    ];
    for (file, digest) in files.iter().zip(&digests) {
        expected.push(format!("hub/.locks/models--ns--model/{digest}.lock"));
        expected.push(format!("{repo}/blobs/{digest}"));
        expected.push(format!("{repo}/snapshots/{commit}/{}", file.path));
    }
    expected.sort();
    assert_eq!(setup.cached_files(), expected);
    let main = fs::read_to_string(setup.cache.path().join(format!("{repo}/refs/main"))).unwrap();
    assert_eq!(main, commit);
}

#[tokio::test]
async fn nothing_is_downloaded_twice() {
    let setup = Setup::new().await;
    let (snapshot, weights) = file(&setup.hub(), WEIGHTS).await;
    let first = setup.hub().fetch(&snapshot, &weights, &no_progress).await;
    setup.fake.take_log();
    // Another process, which knows the commit.
    let hub = setup.hub();
    let second = hub.fetch(&snapshot, &weights, &no_progress).await;
    assert_eq!(first.unwrap(), second.unwrap());
    hub.tree(&snapshot).await.unwrap();
    assert_eq!(setup.fake.log(), []);
}

#[tokio::test]
async fn the_same_bytes_in_another_commit_are_linked() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file_before) = file(&hub, WEIGHTS).await;
    hub.fetch(&snapshot, &file_before, &no_progress)
        .await
        .unwrap();
    setup
        .fake
        .publish("models", "ns/model", "main", &[(WEIGHTS, &weights())]);
    let (moved, file_after) = file(&hub, WEIGHTS).await;
    assert_ne!(moved, snapshot);
    setup.fake.take_log();
    let path = hub.fetch(&moved, &file_after, &no_progress).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    assert_eq!(setup.fake.log(), []);
}

#[tokio::test]
async fn a_blob_in_the_store_of_shared_xet_files_is_used() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    let cache = setup.cache.path().join("hub");
    let store = cache.join("blobs/ab");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("abcdef"), weights()).unwrap();
    let blobs = cache.join("models--ns--model/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let digest = file.digest().unwrap();
    symlink("../../blobs/ab/abcdef", blobs.join(digest.as_str())).unwrap();
    let path = hub.fetch(&snapshot, &file, &no_progress).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    assert_eq!(bytes_sent(&setup.fake.log()), 0);
}

#[tokio::test]
async fn without_links_files_are_plain_files() {
    let setup = Setup::new().await;
    let hub = setup.hub_with(&[("HF_HUB_DISABLE_SYMLINKS", "1")]);
    let (snapshot, file) = file(&hub, WEIGHTS).await;
    let path = hub.fetch(&snapshot, &file, &no_progress).await.unwrap();
    assert!(!path.is_symlink());
    assert_eq!(fs::read(path).unwrap(), weights());
}

#[tokio::test]
async fn a_file_that_is_missing_is_asked_for_once() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let snapshot = resolved(&hub).await;
    let readme = hub
        .fetch_named(&snapshot, "README.md", &no_progress)
        .await
        .unwrap();
    assert_eq!(fs::read(readme.unwrap()).unwrap(), b"# A model\n");
    let weights = hub
        .fetch_named(&snapshot, WEIGHTS, &no_progress)
        .await
        .unwrap();
    assert!(weights.unwrap().ends_with(WEIGHTS));
    setup.fake.take_log();
    for _ in 0..2 {
        let none = hub
            .fetch_named(&snapshot, "dataset_infos.json", &no_progress)
            .await;
        assert_eq!(none.unwrap(), None);
    }
    assert_eq!(setup.fake.log().len(), 1);
    let note = format!(
        "hub/models--ns--model/.no_exist/{}/dataset_infos.json",
        snapshot.commit
    );
    assert!(setup.cached_files().contains(&note));
}

#[tokio::test]
async fn no_path_is_followed_out_of_the_cache() {
    let setup = Setup::new().await;
    let hub = setup.hub();
    let snapshot = resolved(&hub).await;
    let error = hub
        .fetch_named(&snapshot, "../../x", &no_progress)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("leads out of the repository"),
        "{error}"
    );
    assert_eq!(hub.cached(&snapshot, "../../refs/main"), None);
    setup
        .fake
        .publish("datasets", "ns/evil", "main", &[("../../x.txt", b"x")]);
    let evil = RepoId::dataset("ns/evil").unwrap();
    let evil = hub.resolve(&evil, &Revision::default()).await.unwrap();
    let error = hub.tree(&evil).await.unwrap_err();
    assert!(error.to_string().contains("`../../x.txt`"), "{error}");
}
