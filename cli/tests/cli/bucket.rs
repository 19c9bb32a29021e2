//! Tables and datasets in buckets, as `whence sql` and `whence attribute-dataset` read them.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use whence::query::{Order, Session};
use whence_proto::v1::JobState;
use whence_tests::buckets::{Bucket, Provider};
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::{translation_job, translations};

use crate::run::{Ran, marian, whence};

#[tokio::test(flavor = "multi_thread")]
async fn tables_in_a_bucket_answer() {
    let bucket = Bucket::start().await;
    let root = bucket.url("tables of mine");
    let mut cluster = Cluster::start(impatient(&root)).await.unwrap();
    cluster.add_worker(whence_worker::Config::default());
    let spec = translation_job(&translations(), "train[:7]", "saliency");
    let status = cluster.run(&spec).await;
    assert_eq!(status.state(), JobState::Sealed);

    let session = Session::open(&root, 64 << 20, Order::Any).await.unwrap();
    let query = "SELECT count(DISTINCT a.example_id) FROM attributions a JOIN jobs j ON j.job = a.job \
                 WHERE j.state = 'sealed' AND j.method = 'saliency'";
    let answer = session.ask(query).await.unwrap().collect().await.unwrap();
    assert_eq!(answer[0].column(0).as_primitive::<Int64Type>().value(0), 7);
    cluster.stop().await;
}

/// Attributes the first rows of a dataset into `root`.
fn attribute(dataset: &[&str], root: &str) -> Ran {
    let model = marian();
    let mut arguments = vec!["attribute-dataset", "--model", &model, "--root", root];
    arguments.extend(["-in", "en", "--hide", "--generation-kwargs"]);
    arguments.push(r#"{"max_new_tokens": 1}"#);
    arguments.extend(dataset);
    whence(&arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_bucket_is_a_dataset() {
    let bucket = Bucket::start().await;
    let rows = b"{\"en\": \"Close it.\"}\n{\"en\": \"Open the window.\"}\n";
    for key in [
        "rows/a/train-0.jsonl",
        "rows/a/train-1.jsonl",
        "rows/a/test.jsonl",
        "rows/x.csv",
    ] {
        bucket.put(key, rows);
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("out").display().to_string();
    tokio::task::block_in_place(|| {
        let named = bucket.url("rows/a");
        let ran = attribute(&["--dataset", &named], &root);
        ran.ended_with(0, &["attributed 4 rows"]);
        assert!(folder.path().join("out/tables").exists(), "{}", ran.stdout);
        let pattern = bucket.url("rows/**/t*-[1-9].jsonl");
        let files = attribute(&["--dataset_files", &pattern], &root);
        files.ended_with(0, &["attributed 2 rows"]);
        let one = bucket.url("rows/a/test.jsonl");
        attribute(&["-d", &one], &root).ended_with(0, &["attributed 2 rows", "dataset=test"]);

        let nothing = bucket.url("nothing");
        attribute(&["-d", &nothing], &root).is_refused_with(&["nothing", "no data file"]);
        bucket.put("rows/a/test.jsonl", b"{\"en\": \"Changed.\"}\n");
        let again = attribute(&["-d", &one], &root);
        again.ended_with(0, &["attributed 1 row"]);
        let other = ["-d", "json", "--dataset_files", "sftp://host/a.jsonl"];
        attribute(&other, &root).is_refused_with(&["`sftp://` is not read"]);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_and_its_tables_are_in_buckets_of_gcs_and_azure() {
    for provider in [Provider::Gcs, Provider::Azure] {
        let bucket = Bucket::start_as(provider).await;
        let row = b"{\"en\": \"Close it.\"}\n";
        bucket.put("rows/a/train-0.jsonl", row);
        bucket.put("rows/a/train-1.jsonl", row);
        let (named, root) = (bucket.url("rows/a"), bucket.url("out"));
        let pattern = bucket.url("rows/*/t*-[1-9].jsonl");
        tokio::task::block_in_place(|| {
            attribute(&["-d", &named], &root).ended_with(0, &["attributed 2 rows"]);
            attribute(&["--dataset_files", &pattern], &root).ended_with(0, &["attributed 1 row"]);
            let query = "SELECT count(*) AS n FROM examples WHERE status = 'ok'";
            let answer = whence(&["sql", "--root", &root, "--format", "csv", query]).succeeded();
            assert_eq!(answer, "n\n3\n");
        });
    }
}
