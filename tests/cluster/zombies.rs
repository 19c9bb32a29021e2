//! Workers that stand still for longer than their leases last find their slots filled when they go on.

use whence_proto::v1::JobState;
use whence_tests::fixtures::slow_job;
use whence_tests::history::{History, Undisturbed};
use whence_tests::machines::Machines;
use whence_tests::seeds::rounds;

const ROWS: u64 = 96;
/// Workers that are stopped in one run.
const ZOMBIES: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn what_zombies_write_when_they_wake_is_dropped() {
    // Shards of several rows, so that a worker can be stopped in the middle of one.
    let spec = slow_job(ROWS, 120, 10);
    let undisturbed = Undisturbed::run(&spec).await;
    for _ in 0..rounds() {
        let root = tempfile::tempdir().unwrap();
        let mut history = History::begin("zombies");
        let mut machines = Machines::start(&root.path().display().to_string()).await;
        let job = machines.submit(&spec).await;
        let mut zombies = Vec::new();
        for _ in 0..ZOMBIES {
            let mut worker = machines.worker(&["--batch-size", "1"]);
            // It has a row to write when it wakes, and is not done with its slot.
            let seen = machines
                .watch(&job, |status| status.rows_in_flight > 0)
                .await;
            assert_eq!(seen.state(), JobState::Running, "too fast: {seen:?}");
            worker.send("STOP");
            history.killed();
            zombies.push(worker);
            // Its leases have ended.
            machines
                .watch(&job, |status| status.slots_leased == 0)
                .await;
        }
        let _rescuer = machines.worker(&[]);
        let sealed = machines.watch(&job, |_| false).await;
        let counts = (sealed.state(), sealed.rows_done, sealed.rows_failed);
        assert_eq!(counts, (JobState::Sealed, ROWS, 0), "{sealed:?}");
        for zombie in &mut zombies {
            zombie.send("CONT");
        }
        for zombie in &zombies {
            zombie.log().until_said("outcome=Superseded").await;
        }
        history.saw(&machines);
        let superseded = zombies.iter();
        let superseded: usize = superseded
            .map(|zombie| zombie.log().count("Superseded"))
            .sum();
        history.note(format!("{superseded} results superseded"));
        let figures = history.ends_as(&undisturbed, root.path());
        assert!(figures.recomputed >= Some(ZOMBIES), "{figures}");
    }
}
