//! `kill -9` in the middle of a job, again and again, on a directory and on S3: every example is there
//! exactly once, with the same bytes, and who reads the table meanwhile sees no row twice.

use whence_proto::v1::JobState;
use whence_schemas::{FunctionSpec, JobSpec, layout};
use whence_tests::buckets::Bucket;
use whence_tests::fixtures::slow_job;
use whence_tests::history::{History, Undisturbed};
use whence_tests::machines::Machines;
use whence_tests::naive_reader::NaiveReader;
use whence_tests::processes::Process;
use whence_tests::seeds::{Random, rounds, seed};

/// What is killed twice in one run, in random order: a worker, the coordinator, or both, so that only the store
/// remembers the job.
const VICTIMS: [Victims; 9] = [
    Victims::Worker,
    Victims::Worker,
    Victims::Worker,
    Victims::Worker,
    Victims::Coordinator,
    Victims::Coordinator,
    Victims::Coordinator,
    Victims::Both,
    Victims::Both,
];
/// Attempts that a worker has at once, all of which it takes along.
const IN_FLIGHT: usize = 2;

fn job() -> JobSpec {
    let mut spec = slow_job(120, 30, 8);
    spec.attribution.step_scores = vec![FunctionSpec::named("probability")];
    spec
}

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victims {
    Worker,
    Coordinator,
    Both,
}

/// A cluster of two workers, of which some process dies whenever a slot is filled.
struct Cluster {
    machines: Machines,
    workers: Vec<Process>,
    random: Random,
    history: History,
    /// Attempts that may have been lost with those who died.
    most_lost: usize,
}

impl Cluster {
    async fn start(root: &str, history: History, seed: u64) -> Self {
        let mut machines = Machines::start(root).await;
        let workers = vec![machines.worker(&[]), machines.worker(&[])];
        Self {
            machines,
            workers,
            random: Random::new(seed),
            history,
            most_lost: 0,
        }
    }

    /// Runs a job to its end and kills meanwhile. Returns the history.
    async fn survive(mut self, spec: &JobSpec) -> History {
        let job = self.machines.submit(spec).await;
        let mut done = 0;
        let mut all = [VICTIMS, VICTIMS].concat();
        self.random.shuffle(&mut all);
        for victims in all {
            let status = self
                .machines
                .watch(&job, |status| status.slots_done > done)
                .await;
            let kills = self.history.kills();
            assert_eq!(
                status.state(),
                JobState::Running,
                "over after {kills} kills: {status:?}"
            );
            done = status.slots_done;
            if victims != Victims::Coordinator {
                self.kill_worker();
            }
            if victims != Victims::Worker {
                self.kill_coordinator(&job, done).await;
            }
            while self.workers.len() < 2 {
                self.workers.push(self.machines.worker(&[]));
            }
        }
        let sealed = self.machines.watch(&job, |_| false).await;
        assert_eq!(
            (sealed.state(), sealed.rows_failed),
            (JobState::Sealed, 0),
            "{sealed:?}"
        );
        self.history.saw(&self.machines);
        self.history.costs_at_most(self.most_lost);
        self.history
    }

    fn kill_worker(&mut self) {
        let victim = self.random.below(self.workers.len());
        self.workers.swap_remove(victim).kill();
        self.history.killed();
        self.most_lost += IN_FLIGHT;
    }

    async fn kill_coordinator(&mut self, job: &str, done: u64) {
        self.machines.kill_coordinator();
        self.history.killed();
        // The next one leases what is at work, until the workers tell it so.
        self.most_lost += IN_FLIGHT * 2;
        let away = self.machines.restart_coordinator().await;
        self.history.served_again_after(away);
        let status = self.machines.watch(job, |_| true).await;
        assert!(
            status.slots_done >= done,
            "forgotten: {done} slots, then {status:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_nothing_in_a_directory_is_lost_or_doubled() {
    let spec = job();
    let undisturbed = Undisturbed::run(&spec).await;
    for seed in (seed()..).take(rounds()) {
        let root = tempfile::tempdir().unwrap();
        let reader = NaiveReader::start(root.path().join(layout::table(&spec)));
        let history = History::of_seed("kills on a directory", seed);
        let cluster = Cluster::start(&root.path().display().to_string(), history, seed).await;
        let mut history = cluster.survive(&spec).await;
        let passes = reader.stop().await;
        history.note(format!("read {passes} times meanwhile"));
        history.ends_as(&undisturbed, root.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_nothing_in_a_bucket_is_lost_or_doubled() {
    let spec = job();
    let undisturbed = Undisturbed::run(&spec).await;
    // Other seeds than on a directory.
    for seed in (seed() + 1000..).take(rounds()) {
        let bucket = Bucket::start().await;
        let history = History::of_seed("kills on S3", seed);
        let cluster = Cluster::start(&bucket.url("root"), history, seed).await;
        let history = cluster.survive(&spec).await;
        history.ends_in_bucket_as(&undisturbed, &bucket);
    }
}
