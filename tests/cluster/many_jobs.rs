//! A coordinator of a storage root with a thousand jobs serves soon after its start, on a store whose
//! answers take as long as those of a bucket in the same region.

use std::time::Duration;

use tokio::time::Instant;
use whence_proto::v1::job_service_client::JobServiceClient;
use whence_proto::v1::{GetJobRequest, JobState, ListJobsRequest};
use whence_schemas::{JobSpec, layout};
use whence_tests::buckets::Bucket;
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::short_job;

/// Jobs that have ended, and jobs that have not been started.
const ENDED: usize = 900;
const OPEN: usize = 100;
/// How long an answer of the store takes.
const LATENCY: Duration = Duration::from_millis(20);
/// Keys per page of a listing, as on S3.
const PAGE_KEYS: usize = 1000;
/// Longest time until the first answer. One object after another would take more than a minute.
const SERVED_WITHIN: Duration = Duration::from_secs(10);

/// Copies a job that was run to its end, so often and under other names, without its table.
fn copies(bucket: &Bucket, spec: &JobSpec) -> Vec<JobSpec> {
    let object = |key: String| bucket.get(&format!("root/{key}")).expect("it was written");
    let (plan, submitted) = (
        object(layout::plan(&spec.id())),
        object(layout::submitted(&spec.id())),
    );
    let sealed = object(layout::sealed(&spec.id()));
    let copy = |number: usize| JobSpec {
        run_id: Some(format!("copy {number}")),
        ..spec.clone()
    };
    let copies: Vec<_> = (0..ENDED + OPEN).map(copy).collect();
    for (number, copy) in copies.iter().enumerate() {
        let put = |key: String, bytes: &[u8]| bucket.put(&format!("root/{key}"), bytes);
        let id = copy.id();
        put(layout::plan(&id), &plan);
        put(layout::submitted(&id), &submitted);
        put(layout::spec(&id), copy.canonical_json().as_bytes());
        if number < ENDED {
            put(layout::sealed(&id), &sealed);
        }
    }
    copies
}

#[expect(
    clippy::print_stdout,
    reason = "figures belong into the output of the test"
)]
#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_of_a_thousand_jobs_serves_within_seconds() {
    let bucket = Bucket::start().await;
    bucket.set_page_keys(PAGE_KEYS);
    let url = bucket.url("root");
    let spec = short_job(2, 30);
    let cluster = Cluster::with_worker(&url).await;
    assert_eq!(cluster.run(&spec).await.state(), JobState::Sealed);
    cluster.stop().await;
    let copies = copies(&bucket, &spec);

    bucket.set_latency(LATENCY);
    let (before, _) = bucket.num_requests();
    let start = Instant::now();
    let cluster = Cluster::start(impatient(&url)).await.unwrap();
    let mut client = JobServiceClient::new(cluster.channel.clone());
    let mut state_of = async |spec: &JobSpec| {
        let job_id = spec.id().to_string();
        let found = client.get_job(GetJobRequest { job_id }).await.unwrap();
        found.into_inner().status.unwrap().state()
    };
    assert_eq!(state_of(&copies[ENDED]).await, JobState::Running);
    let served = start.elapsed();
    assert_eq!(state_of(&copies[0]).await, JobState::Sealed);
    let (after, _) = bucket.num_requests();
    assert!(served < SERVED_WITHIN, "{served:?}");
    let listed = client.list_jobs(ListJobsRequest {}).await.unwrap();
    let listed = listed.into_inner().jobs;
    assert_eq!(listed.len(), ENDED + OPEN + 1);
    let told = format!(
        "1,000 jobs on S3 with {} ms per answer: served after {:.1} s, {} requests; all known after {:.1} s",
        LATENCY.as_millis(),
        served.as_secs_f64(),
        after - before,
        start.elapsed().as_secs_f64(),
    );
    println!("{told}");
    cluster.stop().await;
}
