//! Several generated sequences per example: each is a row of its own, the same in any shard and
//! run.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int32Type;
use whence_proto::v1::JobState;
use whence_schemas::{JobSpec, output};
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::{job_in_small_shards, translation_job};
use whence_tests::table;

/// Returns `spec` changed to generate translations with the options `generation` (JSON), instead of
/// forcing them.
fn generating(mut spec: JobSpec, generation: &serde_json::Value) -> JobSpec {
    spec.dataset.generated_field = None;
    spec.attribution.generation = serde_json::from_value(generation.clone()).unwrap();
    spec
}

/// Returns the rows of each example's first sequence, with all columns.
fn first_samples(rows: &RecordBatch) -> RecordBatch {
    let samples = rows.column_by_name(output::SAMPLE).unwrap();
    let is_first = samples.as_primitive::<Int32Type>().iter();
    let is_first: BooleanArray = is_first.map(|sample| Some(sample == Some(0))).collect();
    filter_record_batch(rows, &is_first).unwrap()
}

fn texts(rows: &RecordBatch) -> Vec<Option<&str>> {
    let texts = rows.column_by_name(output::GENERATED_TEXT).unwrap();
    texts.as_string::<i32>().iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_returned_beam_is_a_row_and_the_first_is_the_only_one_of_another_job() {
    let root = tempfile::tempdir().unwrap();
    let beams = |num_return_sequences| {
        let generation = serde_json::json!({
            "num_beams": 4, "max_new_tokens": 12, "num_return_sequences": num_return_sequences,
        });
        generating(job_in_small_shards("train[:12]"), &generation)
    };
    let (three, one) = (beams(3), beams(1));
    let cluster = Cluster::with_worker(root.path().display()).await;
    let status = cluster.run(&three).await;
    assert_eq!(
        (status.state(), status.rows_done, status.rows_failed),
        (JobState::Sealed, 12, 0),
        "{status:?}"
    );
    cluster.run(&one).await;
    cluster.stop().await;

    let rows = table::read(root.path(), &three);
    assert_eq!(rows.num_rows(), 36);
    assert_eq!(table::sealed(root.path(), &three).rows, 12);
    assert_eq!(first_samples(&rows), table::read(root.path(), &one));
    // Any two beams differ in at least one token.
    let targets = rows.column_by_name(output::TARGET_TOKEN_IDS).unwrap();
    let targets = targets.as_list::<i32>();
    for example in 0..12 {
        assert_ne!(
            &targets.value(3 * example),
            &targets.value(3 * example + 1),
            "example {example}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drawn_sequences_depend_on_seed_and_example_alone() {
    let root = tempfile::tempdir().unwrap();
    let generation = serde_json::json!({
        "do_sample": true, "temperature": 1.5, "max_new_tokens": 8, "num_return_sequences": 4,
    });
    let small = generating(job_in_small_shards("train[:10]"), &generation);
    let large = JobSpec {
        shard_tokens: 100_000,
        ..small.clone()
    };
    let other_seed = JobSpec {
        seed: 1,
        ..small.clone()
    };
    let mut cluster = Cluster::with_worker(root.path().display()).await;
    cluster.add_worker(whence_worker::Config {
        batch_size: 1,
        ..whence_worker::Config::default()
    });
    let (in_small, in_large, _) = tokio::join!(
        cluster.run(&small),
        cluster.run(&large),
        cluster.run(&other_seed)
    );
    cluster.stop().await;
    assert!(
        in_small.slots_total > in_large.slots_total,
        "{in_small:?} {in_large:?}"
    );
    let rows = table::read(root.path(), &small);
    assert_eq!(rows.num_rows(), 40);
    assert_eq!(table::read(root.path(), &large), rows);
    let others = table::read(root.path(), &other_seed);
    assert_ne!(texts(&others), texts(&rows));
    let of_first = &texts(&rows)[..4];
    assert!(of_first[1..].iter().any(|text| text != &of_first[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_example_has_one_row_and_a_large_result_of_many_sequences_is_split() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = folder.path().join("rows.jsonl");
    let text = |row: usize| match row {
        5 => r#"{"translation": {"en": null}}"#.to_owned(),
        row => format!(r#"{{"translation": {{"en": "Click the tab {row} and choose."}}}}"#),
    };
    let lines: Vec<_> = (0..40).map(text).collect();
    std::fs::write(&dataset, lines.join("\n")).unwrap();
    let generation = serde_json::json!({
        "num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 8,
    });
    let of_rows = translation_job(&dataset, "train", "saliency");
    let spec = generating(of_rows, &generation);
    let root = folder.path().join("root");
    let mut cluster = Cluster::start(impatient(root.to_str().unwrap()))
        .await
        .unwrap();
    cluster.add_worker(whence_worker::Config {
        max_result_bytes: 20 << 10,
        ..whence_worker::Config::default()
    });
    let status = cluster.run(&spec).await;
    cluster.stop().await;
    assert_eq!(
        (status.state(), status.rows_done, status.rows_failed),
        (JobState::Sealed, 40, 1),
        "{status:?}"
    );
    assert!(status.slots_total > 1, "{status:?}");
    let rows = table::read(&root, &spec);
    assert_eq!(rows.num_rows(), 39 * 4 + 1);
    let manifest = table::sealed(&root, &spec);
    assert_eq!((manifest.rows, manifest.errors), (40, 1));
}
