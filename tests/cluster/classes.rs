//! Jobs that ask for workers of a class.

use std::collections::BTreeSet;

use whence_proto::v1::JobState;
use whence_schemas::{JobSpec, WorkerRequirements};
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::job_in_small_shards;
use whence_tests::table;

const LITTLE: u64 = 1 << 29;
const MUCH: u64 = 1 << 30;

fn worker(id: &str, memory: u64) -> whence_worker::Config {
    whence_worker::Config {
        id: Some(id.parse().unwrap()),
        memory: Some(memory),
        ..whence_worker::Config::default()
    }
}

fn job(workers: WorkerRequirements) -> JobSpec {
    JobSpec {
        workers,
        ..job_in_small_shards("train[:12]")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_computed_by_workers_of_its_class_alone_and_says_so_if_there_are_none() {
    let root = tempfile::tempdir().unwrap();
    let url = root.path().display().to_string();
    let mut cluster = Cluster::start(impatient(&url)).await.unwrap();
    cluster.add_worker(worker("little", LITTLE));
    let spec = job(WorkerRequirements {
        memory: Some(MUCH),
        numerics: Some(whence_engine::numerics_class()),
        device: Some("cpu".to_owned()),
    });
    let id = cluster.submit(&spec).await.unwrap();
    let waiting = cluster
        .watch(&id, |status| !status.waiting_for.is_empty())
        .await;
    assert_eq!(waiting.state(), JobState::Running);
    assert!(waiting.waiting_for.contains("memory"), "{waiting:?}");
    // Others are not held up by it.
    let other = cluster.run(&job(WorkerRequirements::default())).await;
    assert_eq!(other.state(), JobState::Sealed);

    cluster.add_worker(worker("much", MUCH));
    let sealed = cluster.watch(&id, |_| false).await;
    assert_eq!((sealed.state(), sealed.rows_failed), (JobState::Sealed, 0));
    assert_eq!(sealed.waiting_for, "");
    cluster.stop().await;
    let footers = table::footers(root.path(), &spec);
    let by: BTreeSet<_> = footers
        .iter()
        .map(|footer| footer.worker.as_str())
        .collect();
    assert_eq!(by, BTreeSet::from(["much"]));
}
