//! `kill -9` in the middle of a job: every example is there exactly once, with the same bytes.

use whence_proto::v1::job_service_client::JobServiceClient;
use whence_proto::v1::{JobState, SubmitJobRequest};
use whence_schemas::{FunctionSpec, JobSpec};
use whence_tests::cluster::{Cluster, channel, watch};
use whence_tests::fixtures::{translation_job, translations};
use whence_tests::processes::Process;
use whence_tests::table;

/// Returns a job that is slow enough for its workers to be killed in the middle.
fn job() -> JobSpec {
    let mut spec = JobSpec {
        shard_tokens: 150,
        ..translation_job(&translations(), "train[:60]", "integrated_gradients")
    };
    let n_steps = serde_json::json!({"n_steps": 6});
    spec.attribution
        .method
        .params
        .clone_from(n_steps.as_object().expect("an object"));
    spec.attribution.step_scores = vec![FunctionSpec::named("probability")];
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_and_coordinators_lose_and_double_nothing() {
    let spec = job();
    let undisturbed = run_undisturbed(&spec).await;
    let root = tempfile::tempdir().unwrap();
    let (coordinator, address) = Process::coordinator(root.path(), "127.0.0.1:0");
    let spec_json = serde_json::to_string(&spec).unwrap();
    let mut client = JobServiceClient::new(channel(&address));
    let submitted = client.submit_job(SubmitJobRequest { spec_json });
    let id = submitted.await.unwrap().into_inner().job_id;

    let (victim, survivor) = (Process::worker(&address), Process::worker(&address));
    let at_first = watch(channel(&address), &id, |status| status.slots_done >= 2).await;
    assert_eq!(
        at_first.state(),
        JobState::Running,
        "too fast to be killed: {at_first:?}"
    );
    victim.kill();
    let before = watch(channel(&address), &id, |status| {
        status.slots_done > at_first.slots_done
    })
    .await;
    assert_eq!(
        before.state(),
        JobState::Running,
        "too fast to be killed: {before:?}"
    );
    coordinator.kill();
    let (coordinator, address) = Process::coordinator(root.path(), &address);
    let after = watch(channel(&address), &id, |_| true).await;
    assert!(
        after.slots_done >= before.slots_done,
        "forgotten: {before:?}, then {after:?}"
    );
    let later = watch(channel(&address), &id, |status| {
        status.slots_done > after.slots_done
    })
    .await;
    // Kill coordinator and worker together, so that only the store remembers the job.
    if later.state() == JobState::Running {
        survivor.kill();
    }
    coordinator.kill();
    let (_coordinator, address) = Process::coordinator(root.path(), &address);
    let _worker = Process::worker(&address);
    let sealed = watch(channel(&address), &id, |_| false).await;
    assert_eq!(
        (sealed.state(), sealed.rows_done, sealed.rows_failed),
        (JobState::Sealed, 60, 0)
    );

    assert_eq!(
        table::read(root.path(), &spec),
        table::read(undisturbed.path(), &spec)
    );
    assert_eq!(table::sealed(root.path(), &spec).rows, 60);
}

/// Runs a job to its end without any failure. Returns the storage root, for comparison.
async fn run_undisturbed(spec: &JobSpec) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let cluster = Cluster::with_worker(root.path().display()).await;
    cluster.run(spec).await;
    cluster.stop().await;
    root
}
