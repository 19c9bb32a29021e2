//! Stores of every kind: a job ends in each of them as in a directory.

use std::path::Path;

use whence_proto::v1::JobState;
use whence_schemas::JobSpec;
use whence_schemas::store::{self, memory};
use whence_tests::buckets::{Bucket, Fault, Provider};
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::short_job;
use whence_tests::history::{History, Undisturbed};

/// Starts a cluster and runs the job to its end. `begin` is called after the store was checked.
async fn complete(root: &str, spec: &JobSpec, begin: impl FnOnce()) {
    let mut cluster = Cluster::start(impatient(root)).await.unwrap();
    begin();
    cluster.add_worker(whence_worker::Config::default());
    let status = cluster.run(spec).await;
    assert_eq!(status.state(), JobState::Sealed, "{status:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_the_same_in_buckets_of_every_kind() {
    let spec = short_job(20, 30);
    let undisturbed = Undisturbed::run(&spec).await;
    for provider in Provider::ALL {
        let bucket = Bucket::start_as(provider).await;
        complete(&bucket.url("root"), &spec, || {}).await;
        History::begin("a bucket").ends_in_bucket_as(&undisturbed, &bucket);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_after_the_write_cost_nothing_in_gcs_and_azure() {
    let spec = short_job(20, 30);
    let undisturbed = Undisturbed::run(&spec).await;
    for provider in [Provider::Gcs, Provider::Azure] {
        let bucket = Bucket::start_as(provider).await;
        let loses = || bucket.fail(Fault::LosesAnswers(2));
        complete(&bucket.url("root"), &spec, loses).await;
        let (_, failed) = bucket.num_requests();
        assert!(failed > 0, "{provider:?}: nothing went wrong");
        let mut history = History::begin("every second put answered with 500");
        history.went_wrong(failed);
        history.ends_in_bucket_as(&undisturbed, &bucket);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_and_a_worker_of_one_process_share_a_store_in_memory() {
    let spec = short_job(20, 30);
    let undisturbed = Undisturbed::run(&spec).await;
    let root = memory("shared");
    complete(&root, &spec, || {}).await;
    let copy = tempfile::tempdir().unwrap();
    copy_all(&root, copy.path()).await;
    History::begin("memory").ends_as(&undisturbed, copy.path());
}

/// Writes every object of a store into `folder`.
async fn copy_all(root: &str, folder: &Path) {
    let store = store::open_to_read(root).unwrap();
    for object in store.list("").await.unwrap() {
        let bytes = store.get(&object.key).await.unwrap().unwrap();
        let path = folder.join(&object.key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
