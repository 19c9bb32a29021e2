//! Models by name.

use std::fs;

use whence_hub::{LocalModel, ModelError, ModelName, no_progress};

use crate::setup::{Setup, WEIGHTS, weights};

async fn fetch(setup: &Setup, name: &str) -> Result<LocalModel, ModelError> {
    let name = ModelName::parse(name).unwrap();
    setup.hub().fetch_model(&name, &no_progress).await
}

/// Returns the names of the files in a folder, sorted.
fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_model_is_a_folder_with_exactly_the_files_that_it_needs() {
    let setup = Setup::new().await;
    let model = fetch(&setup, "ns/model").await.unwrap();
    assert_eq!(names(&model.path), ["config.json", WEIGHTS]);
    assert_eq!(fs::read(model.path.join(WEIGHTS)).unwrap(), weights());
    // The pinned name leads to the same folder, offline too.
    let pinned = model.name.to_string();
    assert!(pinned.starts_with("hf://ns/model@"), "{pinned}");
    let hub = setup.hub_with(&[("HF_HUB_OFFLINE", "1")]);
    let again = hub
        .fetch_model(&ModelName::parse(&pinned).unwrap(), &no_progress)
        .await;
    assert_eq!(again.unwrap(), model);
}

#[tokio::test]
async fn only_one_copy_of_the_weights_is_downloaded() {
    let setup = Setup::new().await;
    let files: [(&str, &[u8]); 4] = [
        ("config.json", b"{}"),
        ("model.safetensors", &weights()),
        ("pytorch_model.bin", &weights()),
        ("tf_model.h5", &weights()),
    ];
    setup.fake.publish("models", "ns/many", "main", &files);
    fetch(&setup, "ns/many").await.unwrap();
    let log = setup.fake.log();
    let stored = log.iter().filter(|request| request.is_storage);
    let paths: Vec<_> = stored.map(|request| request.path.clone()).collect();
    assert!(
        paths.len() == 1 && paths[0].contains("safetensors"),
        "{paths:?}"
    );
}

#[tokio::test]
async fn a_gguf_file_lies_beside_what_describes_it() {
    let setup = Setup::new().await;
    let files: [(&str, &[u8]); 4] = [
        ("q4/a.gguf", b"GGUF a"),
        ("q8/a.gguf", b"GGUF b"),
        ("README.md", b"#"),
        ("tokenizer.json", b"{}"),
    ];
    setup.fake.publish("models", "ns/gguf", "main", &files);
    let model = fetch(&setup, "ns/gguf:q8/a.gguf").await.unwrap();
    assert_eq!(fs::read(&model.path).unwrap(), b"GGUF b");
    assert_eq!(
        names(model.path.parent().unwrap()),
        ["a.gguf", "tokenizer.json"]
    );
    let other = fetch(&setup, "hf://ns/gguf/q4/a.gguf").await.unwrap();
    assert_eq!(fs::read(&other.path).unwrap(), b"GGUF a");

    let error = fetch(&setup, "ns/gguf").await.unwrap_err().to_string();
    assert!(
        error.contains("name one after a colon: `q4/a.gguf`, `q8/a.gguf`"),
        "{error}"
    );
    let error = fetch(&setup, "ns/gguf:b.gguf")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("has no file `b.gguf`"), "{error}");
}

#[tokio::test]
async fn a_model_whose_blobs_were_deleted_is_downloaded_again() {
    let setup = Setup::new().await;
    let model = fetch(&setup, "ns/model").await.unwrap();
    fs::remove_dir_all(setup.cache.path().join("hub/models--ns--model/blobs")).unwrap();
    assert_eq!(fetch(&setup, "ns/model").await.unwrap(), model);
    assert_eq!(fs::read(model.path.join(WEIGHTS)).unwrap(), weights());
}

#[tokio::test]
async fn without_links_a_model_is_copied() {
    let setup = Setup::new().await;
    let hub = setup.hub_with(&[("HF_HUB_DISABLE_SYMLINKS", "1")]);
    let name = ModelName::parse("ns/model").unwrap();
    let model = hub.fetch_model(&name, &no_progress).await.unwrap();
    assert!(!model.path.join(WEIGHTS).is_symlink());
    assert_eq!(fs::read(model.path.join(WEIGHTS)).unwrap(), weights());
}
