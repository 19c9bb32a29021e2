//! What a cluster leaves behind if nothing goes wrong.

use arrow::array::AsArray;
use whence_proto::v1::JobState;
use whence_schemas::{FunctionSpec, JobSpec, layout, output};
use whence_tests::buckets::Bucket;
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::job_in_small_shards;
use whence_tests::table;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_sealed_and_its_listing_is_its_manifest() {
    let root = tempfile::tempdir().unwrap();
    let spec = job_in_small_shards("train[:20]");
    let cluster = Cluster::with_worker(root.path().display()).await;
    let status = cluster.run(&spec).await;
    assert_eq!(status.state(), JobState::Sealed);
    assert_eq!(
        (status.rows_total, status.rows_done, status.rows_failed),
        (20, 20, 0)
    );
    assert!(
        status.slots_total > 3,
        "the rows make several shards: {status:?}"
    );

    let manifest = table::sealed(root.path(), &spec);
    assert_eq!((manifest.rows, manifest.errors), (20, 0));
    assert_eq!(table::read(root.path(), &spec).num_rows(), 20);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_submitted_again_is_found_and_nothing_is_computed() {
    let root = tempfile::tempdir().unwrap();
    let spec = job_in_small_shards("train[:6]");
    let cluster = Cluster::with_worker(root.path().display()).await;
    cluster.run(&spec).await;
    let before = table::files(root.path(), &spec);
    cluster.stop().await;

    // The new coordinator knows only the store and has no workers, so it cannot compute anything.
    let cluster = Cluster::start(impatient(root.path().to_str().unwrap()))
        .await
        .unwrap();
    let status = cluster.run(&spec).await;
    assert_eq!((status.state(), status.rows_done), (JobState::Sealed, 6));
    assert_eq!(table::files(root.path(), &spec), before);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_of_any_size_on_any_store_give_the_same_rows() {
    let directory = tempfile::tempdir().unwrap();
    let in_shards_of = |shard_tokens| JobSpec {
        shard_tokens,
        ..job_in_small_shards("train[:24]")
    };
    let (small, large) = (in_shards_of(100), in_shards_of(100_000));
    let mut cluster = Cluster::with_worker(directory.path().display()).await;
    cluster.add_worker(whence_worker::Config {
        batch_tokens: 64,
        ..whence_worker::Config::default()
    });
    cluster.run(&small).await;
    cluster.run(&large).await;
    cluster.stop().await;
    let expected = table::read(directory.path(), &large);
    assert_eq!(table::read(directory.path(), &small), expected);

    let bucket = Bucket::start().await;
    let cluster = Cluster::with_worker(bucket.url("root")).await;
    let status = cluster.run(&small).await;
    assert_eq!(status.state(), JobState::Sealed, "{status:?}");
    cluster.stop().await;
    let copy = tempfile::tempdir().unwrap();
    bucket.download("root", copy.path());
    assert_eq!(table::read(copy.path(), &small), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_keeps_what_it_has_and_hands_nothing_out() {
    let root = tempfile::tempdir().unwrap();
    let spec = job_in_small_shards("train");
    let mut cluster = Cluster::start(impatient(root.path().to_str().unwrap()))
        .await
        .unwrap();
    let id = cluster.submit(&spec).await.unwrap();
    cluster.add_worker(whence_worker::Config::default());
    cluster.watch(&id, |status| status.slots_done > 0).await;
    let cancelled = cluster
        .coordinator
        .jobs()
        .cancel(&id.parse().unwrap())
        .await
        .unwrap();
    assert!(
        cancelled.totals.slots_done < cancelled.totals.slots,
        "{cancelled:?}"
    );
    let error = cluster.submit(&spec).await.unwrap_err();
    assert!(
        error.message().contains("was cancelled") && error.message().contains("--run-id"),
        "{error}"
    );
    cluster.stop().await;
    assert!(!root.path().join(layout::sealed(&spec.id())).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn convergence_deltas_stand_beside_the_step_scores() {
    let root = tempfile::tempdir().unwrap();
    let mut spec = job_in_small_shards("train[:2]");
    let params = serde_json::json!({"n_steps": 4, "return_convergence_delta": true});
    spec.attribution.method = FunctionSpec {
        params: params.as_object().unwrap().clone(),
        ..FunctionSpec::named("integrated_gradients")
    };
    spec.attribution.step_scores = vec![FunctionSpec::named("probability")];
    whence_engine::pin(&mut spec.attribution).unwrap();
    let cluster = Cluster::with_worker(root.path().display()).await;
    assert_eq!(cluster.run(&spec).await.state(), JobState::Sealed);
    cluster.stop().await;
    let rows = table::read(root.path(), &spec);
    let steps = rows.column_by_name(output::STEPS).unwrap().as_list::<i32>();
    let scores = steps
        .values()
        .as_struct()
        .column_by_name(output::STEP_SCORES);
    assert_eq!(
        scores.unwrap().as_struct().column_names(),
        ["probability", "deltas"]
    );
}
