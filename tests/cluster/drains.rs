//! Workers that are told to end keep everything they have finished, up to the current group.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use whence_proto::v1::JobState;
use whence_proto::v1::SubmitJobRequest;
use whence_proto::v1::job_service_client::JobServiceClient;
use whence_schemas::{FunctionSpec, JobSpec, slot_file};
use whence_tests::cluster::{Cluster, channel, watch};
use whence_tests::fixtures::{translation_job, translations};
use whence_tests::processes::Process;
use whence_tests::table;

const ROWS: u64 = 30;
const GROUP: u64 = 2;

/// Returns a job with all rows in one shard, slow enough to be stopped in the middle.
fn job() -> JobSpec {
    let mut spec = JobSpec {
        shard_tokens: 1_000_000,
        ..translation_job(&translations(), "train[:30]", "integrated_gradients")
    };
    let n_steps = serde_json::json!({"n_steps": 4});
    spec.attribution.method = FunctionSpec {
        params: n_steps.as_object().unwrap().clone(),
        ..FunctionSpec::named("integrated_gradients")
    };
    spec
}

/// Starts a worker called `id` that attributes [`GROUP`] rows at a time.
fn worker(address: &str, id: &str) -> Process {
    let coordinator = format!("http://{address}");
    let group = GROUP.to_string();
    let arguments = [
        ["--coordinator", &coordinator],
        ["--batch-size", &group],
        ["--id", id],
    ];
    Process::start("whence-worker", &arguments.concat())
}

/// Returns how many rows each worker wrote to slots, by the worker's id.
fn rows_by_worker(root: &Path, spec: &JobSpec) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for path in table::files(root, spec) {
        let file = std::fs::read(&path).unwrap();
        let footer = slot_file::decode(file.into()).unwrap().footer;
        *rows.entry(footer.worker.to_string()).or_default() += footer.examples;
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_terminated_commits_the_rows_it_has_finished() {
    let spec = job();
    let undisturbed = tempfile::tempdir().unwrap();
    let cluster = Cluster::with_worker(undisturbed.path().display()).await;
    cluster.run(&spec).await;
    cluster.stop().await;

    let root = tempfile::tempdir().unwrap();
    let (_coordinator, address) = Process::coordinator(root.path(), "127.0.0.1:0");
    let spec_json = serde_json::to_string(&spec).unwrap();
    let mut client = JobServiceClient::new(channel(&address));
    let submitted = client.submit_job(SubmitJobRequest { spec_json });
    let id = submitted.await.unwrap().into_inner().job_id;
    let first = worker(&address, "first");
    let seen = watch(channel(&address), &id, |status| {
        status.rows_in_flight >= ROWS / 3
    })
    .await;
    assert_eq!(seen.state(), JobState::Running, "too fast: {seen:?}");
    // The computation ends within two seconds. The rest is for commits on a busy machine.
    let terminate = tokio::task::spawn_blocking(move || first.terminate());
    let ended = tokio::time::timeout(Duration::from_secs(10), terminate);
    let ended = ended.await.expect("it ends soon").unwrap();
    assert!(ended.success(), "{ended}");

    // Rows that were reported as finished are in slots now, and are not computed again.
    let kept = rows_by_worker(root.path(), &spec)["first"];
    assert!(kept >= seen.rows_in_flight, "{kept} rows kept of {seen:?}");
    let status = watch(channel(&address), &id, |_| true).await;
    assert_eq!(status.rows_done, kept, "{status:?}");
    assert!(kept < ROWS, "too fast: {kept} rows were finished");
    let _second = worker(&address, "second");
    let sealed = watch(channel(&address), &id, |_| false).await;
    assert_eq!(
        (sealed.state(), sealed.rows_done, sealed.rows_failed),
        (JobState::Sealed, ROWS, 0)
    );
    let rows = rows_by_worker(root.path(), &spec);
    assert_eq!(rows["first"], kept);
    assert_eq!(rows["second"], ROWS - kept);
    assert_eq!(
        table::read(root.path(), &spec),
        table::read(undisturbed.path(), &spec)
    );
}
