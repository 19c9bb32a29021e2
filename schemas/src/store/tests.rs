//! One conformance suite for all stores, and tests of how URLs are opened.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::memory::InMemory;

use super::*;

fn in_memory() -> RemoteSlotStore {
    RemoteSlotStore::new(Arc::new(InMemory::new()), "root".into(), "s3://bucket/root")
}

/// Checks what the rest of the system relies on, whatever the store.
async fn conforms(store: &dyn SlotStore) {
    let first = Bytes::from_static(b"first");
    let second = Bytes::from_static(b"second");
    assert_eq!(
        store.create("a/x=1/b", first.clone()).await.unwrap(),
        Created::Now
    );
    assert_eq!(
        store.create("a/x=1/b", second).await.unwrap(),
        Created::Already
    );
    assert_eq!(store.get("a/x=1/b").await.unwrap(), Some(first.clone()));
    assert_eq!(store.get_range("a/x=1/b", 1..4).await.unwrap(), &b"irs"[..]);
    assert_eq!(store.get("a/none").await.unwrap(), None);
    assert_eq!(store.head("a/none").await.unwrap(), None);
    assert_eq!(store.head("a/x=1/b").await.unwrap().unwrap().bytes, 5);
    assert!(store.get_range("a/none", 0..1).await.is_err());

    store.create("a/x=1/a", first.clone()).await.unwrap();
    store.create("ab/c", first).await.unwrap();
    let keys = |listed: Vec<Listed>| {
        listed
            .into_iter()
            .map(|object| object.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(store.list("a").await.unwrap()), ["a/x=1/a", "a/x=1/b"]);
    assert_eq!(
        keys(store.list("nothing").await.unwrap()),
        Vec::<String>::new()
    );

    probe(store).await.unwrap();
    let after_one = store.list("_meta").await.unwrap();
    probe(store).await.unwrap();
    assert_eq!(store.list("_meta").await.unwrap(), after_one);
}

#[tokio::test]
async fn a_directory_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conforms(&LocalSlotStore::open(directory.path()).unwrap()).await;
}

#[tokio::test]
async fn a_bucket_conforms() {
    conforms(&in_memory()).await;
}

#[tokio::test]
async fn a_store_in_memory_conforms_and_is_the_same_for_all_who_open_it() {
    let url = memory("conforms");
    conforms(open(&url).unwrap().as_ref()).await;
    let again = open(&memory("conforms")).unwrap();
    assert!(again.head("a/x=1/b").await.unwrap().is_some());
    let folder = open(&format!("{url}/a")).unwrap();
    assert!(folder.head("x=1/b").await.unwrap().is_some());
    assert_eq!(objects(&url).unwrap().url_of("a"), "memory://conforms/a/");
}

#[test]
fn a_store_in_memory_that_nobody_has_made_is_refused() {
    let error = open("memory://unknown").unwrap_err().to_string();
    assert!(
        error.contains("`memory://unknown`") && error.contains("is for tests"),
        "{error}"
    );
}

#[tokio::test]
async fn an_examination_tells_each_check_and_where_its_objects_are() {
    let store = in_memory();
    probe(&store).await.unwrap();
    let examination = examine(&store).await;
    assert_eq!(examination.passed.len(), 4, "{examination:?}");
    assert_eq!(store.list(&examination.folder).await.unwrap().len(), 9);
    let (check, error) = examine(&Overwrites(store)).await.failed.unwrap();
    assert_eq!(check, "create an object twice");
    assert!(matches!(error, StoreError::Unsafe { .. }), "{error}");
}

/// A store that ignores the condition, as some S3-compatible servers do.
#[derive(Debug)]
struct Overwrites(RemoteSlotStore);

#[async_trait]
impl SlotStore for Overwrites {
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StoreError> {
        self.0.create(key, bytes).await.map(|_| Created::Now)
    }
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.0.get(key).await
    }
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.0.get_range(key, range).await
    }
    async fn head(&self, key: &str) -> Result<Option<Listed>, StoreError> {
        self.0.head(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.0.list(prefix).await
    }
    fn url(&self) -> &str {
        self.0.url()
    }
}

#[tokio::test]
async fn a_store_that_ignores_the_condition_is_refused() {
    let error = probe(&Overwrites(in_memory())).await.unwrap_err();
    assert!(matches!(error, StoreError::Unsafe { .. }), "{error}");
}

#[tokio::test]
async fn a_store_that_passed_once_and_ignores_the_condition_now_is_refused() {
    let honest = in_memory();
    probe(&honest).await.unwrap();
    let error = probe(&Overwrites(honest)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unsafe { .. }), "{error}");
}

#[test]
fn a_path_and_its_file_url_open_the_same_store() {
    let directory = tempfile::tempdir().unwrap();
    let by_path = open(directory.path().to_str().unwrap()).unwrap();
    assert!(by_path.url().starts_with("file:///"));
    assert_eq!(open(by_path.url()).unwrap().url(), by_path.url());
}

#[test]
fn an_unknown_scheme_is_refused_by_name() {
    let error = open("ftp://host/x").unwrap_err().to_string();
    assert!(
        error.contains("`ftp://host/x`") && error.contains("s3://bucket/prefix"),
        "{error}"
    );
}
