//! Unsafe stores, workers that cannot do the work, bad rows, and two coordinators.

use std::time::Duration;

use arrow::array::{Array, AsArray};
use whence_coordinator::Coordinator;
use whence_proto::v1::JobState;
use whence_schemas::{ErrorKind, JobSpec, chain, output};
use whence_tests::buckets::{Bucket, Fault, Provider};
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::{job_in_small_shards, translation_job};
use whence_tests::history::{History, Undisturbed};
use whence_tests::table;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_conditions_is_refused_at_the_start() {
    for provider in Provider::ALL {
        let bucket = Bucket::start_as(provider).await;
        bucket.fail(Fault::IgnoresConditions);
        let root = bucket.url("root");
        let error = Coordinator::start(impatient(&root)).await.unwrap_err();
        let message = chain(&error);
        for part in ["replaced an object", &root] {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_becomes_an_error_row_and_the_rest_is_attributed() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    let long = "word ".repeat(5000);
    let text = [
        r#"{"translation": {"en": "Click here.", "fr": "Cliquez ici."}}"#.to_owned(),
        r#"{"translation": {"en": "", "fr": "Cliquez ici."}}"#.to_owned(),
        r#"{"translation": {"en": null, "fr": "Cliquez ici."}}"#.to_owned(),
        r#"{"translation": {"en": "Click here."}}"#.to_owned(),
        "{not json".to_owned(),
        format!(r#"{{"translation": {{"en": "{long}", "fr": "Cliquez ici."}}}}"#),
        r#"{"translation": {"en": "Click there.", "fr": "Cliquez là."}}"#.to_owned(),
    ];
    std::fs::write(&rows, text.join("\n")).unwrap();
    let root = tempfile::tempdir().unwrap();
    let spec = translation_job(&rows, "train", "saliency");
    let cluster = Cluster::with_worker(root.path().display()).await;
    let status = cluster.run(&spec).await;
    assert_eq!(
        (status.state(), status.rows_done, status.rows_failed),
        (JobState::Sealed, 7, 5)
    );
    cluster.stop().await;

    let rows = table::read(root.path(), &spec);
    let messages = rows
        .column_by_name(output::ERROR_MESSAGE)
        .unwrap()
        .as_string::<i32>()
        .clone();
    let message = |row: usize| {
        messages
            .is_valid(row)
            .then(|| messages.value(row).to_owned())
    };
    assert_eq!((message(0), message(6)), (None, None));
    let expected = [
        "is empty",
        "is null",
        "no field `translation.fr`",
        "is not JSON",
        "512",
    ];
    for (row, expected) in (1..).zip(expected) {
        let message = message(row).unwrap_or_default();
        assert!(message.contains(expected), "row {row}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_model_says_so_and_the_job_fails_with_its_words() {
    let root = tempfile::tempdir().unwrap();
    let mut spec = job_in_small_shards("train[:5]");
    spec.model.path = "/nowhere/model".to_owned();
    let cluster = Cluster::with_worker(root.path().display()).await;
    let status = cluster.run(&spec).await;
    assert_eq!(status.state(), JobState::Failed);
    assert!(
        status.message.contains("/nowhere/model"),
        "{}",
        status.message
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_fails_the_job_with_the_nearest_name() {
    let root = tempfile::tempdir().unwrap();
    let mut spec = job_in_small_shards("train[:5]");
    spec.attribution.method.name = "salience".to_owned();
    let cluster = Cluster::with_worker(root.path().display()).await;
    let status = cluster.run(&spec).await;
    assert_eq!(status.state(), JobState::Failed);
    assert!(status.message.contains("`saliency`"), "{}", status.message);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_too_large_for_one_object_is_split_down_to_its_rows() {
    let root = tempfile::tempdir().unwrap();
    let spec = JobSpec {
        shard_tokens: 100_000,
        ..job_in_small_shards("train[:16]")
    };
    let mut cluster = Cluster::start(impatient(root.path().to_str().unwrap()))
        .await
        .unwrap();
    cluster.add_worker(whence_worker::Config {
        max_result_bytes: 24 << 10,
        ..whence_worker::Config::default()
    });
    let status = cluster.run(&spec).await;
    assert_eq!(
        (status.state(), status.rows_done, status.rows_failed),
        (JobState::Sealed, 16, 0),
        "{status:?}"
    );
    assert!(status.slots_total > 1, "{status:?}");
    cluster.stop().await;
    let undisturbed = Undisturbed::run(&spec).await;
    History::begin("results too large for one object").ends_as(&undisturbed, root.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_coordinator_makes_the_older_step_down() {
    let root = tempfile::tempdir().unwrap();
    let older = Cluster::start(impatient(root.path().to_str().unwrap()))
        .await
        .unwrap();
    let newer = Cluster::start(impatient(root.path().to_str().unwrap()))
        .await
        .unwrap();
    let spec = job_in_small_shards("train[:5]");
    // Call the coordinator directly: its server may stop before a client gets the reason.
    let refused = async {
        loop {
            match older.coordinator.jobs().submit(spec.clone()).await {
                Err(refused) => return refused.to_string(),
                Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(20), refused).await;
    let refused = refused.expect("the older coordinator serves on");
    assert!(refused.contains("stepped down"), "{refused}");
    assert!(newer.submit(&spec).await.is_ok());
}
