//! A store that refuses, breaks off, lies about a put or crawls costs time, never a row.

use std::time::Duration;

use whence_proto::v1::JobState;
use whence_tests::buckets::{Bucket, Fault};
use whence_tests::cluster::{Cluster, impatient};
use whence_tests::fixtures::{short_job, slow_job};
use whence_tests::history::{Figures, History, Undisturbed};
use whence_tests::machines::Machines;
use whence_tests::proxy::{Proxy, Wire};
use whence_tests::seeds::{rounds, seed};

/// How long an outage lasts: longer than the client's first retries.
const OUTAGE: Duration = Duration::from_secs(3);
/// An outage that lasts longer than a commit is tried.
const LONG_OUTAGE: Duration = Duration::from_secs(9);
/// Most requests per second of a cluster during an outage.
const MOST_PER_SECOND: usize = 100;
/// Bytes after which a bad wire has broken: some requests and answers pass before.
const WITHIN: usize = 20_000;

/// A cluster whose store is behind a bad wire.
struct Scene {
    undisturbed: Undisturbed,
    bucket: Bucket,
    proxy: Proxy,
    cluster: Cluster,
    job: String,
    history: History,
}

impl Scene {
    /// Starts a coordinator without workers, and submits a job to it. So far, nothing goes wrong.
    async fn begin(test: &'static str, rows: u64, seed: u64) -> Self {
        let spec = short_job(rows, 30);
        let undisturbed = Undisturbed::run(&spec).await;
        let bucket = Bucket::start().await;
        let proxy = Proxy::start(bucket.address(), seed).await;
        let url = Bucket::url_at(proxy.address(), "root");
        let cluster = Cluster::start(impatient(&url)).await.unwrap();
        let job = cluster.submit(&spec).await.unwrap();
        Self {
            undisturbed,
            bucket,
            proxy,
            cluster,
            job,
            history: History::of_seed(test, seed),
        }
    }

    fn add_worker(&mut self) {
        self.cluster.add_worker(whence_worker::Config::default());
    }

    /// Waits for the end of the job, stops everything and checks the table.
    async fn end(mut self) -> Figures {
        let sealed = self.cluster.watch(&self.job, |_| false).await;
        let is_whole = sealed.state() == JobState::Sealed && sealed.rows_failed == 0;
        assert!(is_whole, "{sealed:?}");
        self.bucket.fail(Fault::None);
        self.cluster.stop().await;
        let (_, failed) = self.bucket.num_requests();
        self.history.went_wrong(failed + self.proxy.broken());
        self.history
            .ends_in_bucket_as(&self.undisturbed, &self.bucket)
    }
}

/// Lets every request of a running job fail for a while.
async fn survives_an_outage(test: &'static str, fault: Fault) {
    for seed in (seed()..).take(rounds()) {
        let mut scene = Scene::begin(test, 150, seed).await;
        scene.add_worker();
        scene
            .cluster
            .watch(&scene.job, |status| status.slots_done > 0)
            .await;
        let (before, _) = scene.bucket.num_requests();
        scene.bucket.fail(fault);
        // The outage itself.
        tokio::time::sleep(OUTAGE).await;
        scene.bucket.fail(Fault::None);
        let (after, failed) = scene.bucket.num_requests();
        assert!(failed > 0, "nobody noticed the outage");
        let per_second = (after - before) / OUTAGE.as_secs() as usize;
        assert!(
            per_second < MOST_PER_SECOND,
            "{per_second} requests per second"
        );
        let status = scene.cluster.watch(&scene.job, |_| true).await;
        assert_eq!(
            status.state(),
            JobState::Running,
            "over before the outage: {status:?}"
        );
        scene
            .history
            .note(format!("{per_second} requests per second meanwhile"));
        scene.end().await;
    }
}

/// Lets something go wrong now and then, from the first lease to the end.
async fn survives_throughout(test: &'static str, fault: Fault, wire: Wire) {
    for seed in (seed()..).take(rounds()) {
        let mut scene = Scene::begin(test, 60, seed).await;
        scene.bucket.fail(fault);
        scene.proxy.set(wire);
        scene.add_worker();
        let figures = scene.end().await;
        let is_slow = matches!(wire, Wire::Slow { .. });
        assert!(
            is_slow || figures.faults > 0,
            "nothing went wrong: {figures}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_answers_503_for_a_while() {
    survives_an_outage("503 for 3 s", Fault::Unavailable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_the_credentials_for_a_while() {
    survives_an_outage("403 for 3 s", Fault::Forbidden).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_computed_outlasts_an_outage_that_no_retry_outlasts() {
    let spec = slow_job(60, 30, 8);
    let undisturbed = Undisturbed::run(&spec).await;
    let bucket = Bucket::start().await;
    let mut history = History::begin("403 for 9 s, with a spool");
    let mut machines = Machines::start(&bucket.url("root")).await;
    let job = machines.submit(&spec).await;
    let worker = machines.worker(&[]);
    machines.watch(&job, |status| status.slots_done > 0).await;
    bucket.fail(Fault::Forbidden);
    tokio::time::sleep(LONG_OUTAGE).await;
    let waiting = worker.log().count("it waits on this machine");
    // While results wait, the worker computes others.
    assert!(waiting > 2, "{waiting} results wait");
    bucket.fail(Fault::None);
    let sealed = machines.watch(&job, |_| false).await;
    assert_eq!((sealed.state(), sealed.rows_failed), (JobState::Sealed, 0));
    history.saw(&machines);
    history.costs_at_most(0);
    history.note(format!("{waiting} results waited on disk"));
    history.ends_in_bucket_as(&undisturbed, &bucket);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_answers_503_now_and_then() {
    survives_throughout("503 for 5 % of requests", Fault::Overloaded(5), Wire::Whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_loses_answers_after_it_has_written() {
    survives_throughout(
        "every second put answered with 500",
        Fault::LosesAnswers(2),
        Wire::Whole,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_reset_in_the_middle_of_a_body() {
    survives_throughout("resets", Fault::None, Wire::Resets { within: WITHIN }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_end_too_early() {
    survives_throughout(
        "truncated answers",
        Fault::None,
        Wire::Truncates { within: WITHIN },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wire_that_crawls() {
    let bytes_per_second = 200_000;
    survives_throughout("200 kB/s", Fault::None, Wire::Slow { bytes_per_second }).await;
}
