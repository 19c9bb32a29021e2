//! SQL queries on tables in an S3 bucket, as `whence sql` runs them.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use whence::query::Session;
use whence_proto::v1::JobState;
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::{translation_job, translations};
use whence_tests::s3::Bucket;

#[tokio::test(flavor = "multi_thread")]
async fn tables_in_a_bucket_answer() {
    let bucket = Bucket::start().await;
    let root = bucket.url("tables of mine");
    let mut cluster = Cluster::start(impatient(&root)).await.unwrap();
    cluster.add_worker(whence_worker::Config::default());
    let spec = translation_job(&translations(), "train[:7]", "saliency");
    let status = cluster.run(&spec).await;
    assert_eq!(status.state(), JobState::Sealed);

    let session = Session::open(&root, 64 << 20).await.unwrap();
    let query = "SELECT count(DISTINCT a.example_id) FROM attributions a JOIN jobs j ON j.job = a.job \
                 WHERE j.state = 'sealed' AND j.method = 'saliency'";
    let answer = session.ask(query).await.unwrap().collect().await.unwrap();
    assert_eq!(answer[0].column(0).as_primitive::<Int64Type>().value(0), 7);
    cluster.stop().await;
}
