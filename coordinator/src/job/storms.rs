//! Simulates workers that are killed, by machines that go away or by a row that takes them along, and
//! checks which rows are given up: none in a storm of preemptions, and only the row at fault otherwise.

use std::time::Duration;

use whence_schemas::{Attempt, SlotId, WorkerClass, WorkerId};

use super::scheduler::{self, Request};
use super::tests::job_of;
use super::*;
use crate::testing::{done, filled, verified};

const STEP: Duration = Duration::from_millis(250);
const RULES: Rules = Rules {
    ttl: Duration::from_secs(3),
    stuck_after: Duration::from_mins(10),
    backup_after: Duration::from_mins(10),
    share: None,
};
/// How long a killed worker is away. Its successor has another name.
const AWAY: Duration = Duration::from_secs(1);

/// A worker with its leases. It computes the first; the others wait.
#[derive(Debug, Default)]
struct Worker {
    life: u64,
    back_at: Timestamp,
    leases: Vec<(SlotId, Attempt)>,
    /// When it began with the first of them.
    since: Timestamp,
}

struct World {
    job: Job,
    machines: Machines,
    now: Timestamp,
    workers: Vec<Worker>,
    /// How long a row takes.
    row: Duration,
    /// The row that takes its worker along, and after how long.
    poison: Option<(u64, Duration)>,
    attempts: u128,
    kills: u64,
    given_up: Vec<SlotId>,
    seed: u64,
}

impl World {
    fn new(lengths: &[u64], num_workers: usize, row: u64, seed: u64) -> Self {
        let mut job = job_of("m", lengths);
        job.rules = RULES;
        Self {
            job,
            machines: Machines::default(),
            now: Timestamp::default(),
            workers: (0..num_workers).map(|_| Worker::default()).collect(),
            row: Duration::from_secs(row),
            poison: None,
            attempts: 0,
            kills: 0,
            given_up: Vec::new(),
            seed,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        // Knuth's MMIX generator; its high bits are the random ones.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as usize % limit
    }

    fn name(&self, index: usize) -> WorkerId {
        let name = format!("w{index}-{}", self.workers[index].life);
        name.parse().expect("a plain name")
    }

    fn kill(&mut self, index: usize) {
        let back_at = self.now.after(AWAY);
        let worker = &mut self.workers[index];
        worker.leases.clear();
        worker.life += 1;
        worker.back_at = back_at;
        self.kills += 1;
    }

    /// Lets every worker live for one step, then time pass for the coordinator.
    fn step(&mut self) {
        for index in 0..self.workers.len() {
            if self.workers[index].back_at <= self.now {
                self.live(index);
            }
        }
        self.now = self.now.after(STEP);
        self.machines.expire(self.now, 2 * RULES.ttl);
        self.job.expire(self.now, &self.machines);
        for due in self.job.due(Timestamp::default()) {
            match due {
                Due::Split(slot) => {
                    self.job.apply(Event::Split { slot, bytes: 1 }, self.now);
                }
                Due::Quarantine { slot, .. } => {
                    self.given_up.push(slot.clone());
                    self.fill(&slot);
                }
                Due::Verify(slot) => self.job.apply(verified(&slot), self.now),
                Due::Seal | Due::Fail(_) => {}
            }
        }
    }

    fn live(&mut self, index: usize) {
        self.acquire(index);
        let worker = self.name(index);
        self.machines.heard(&worker, self.now);
        for (slot, attempt) in self.workers[index].leases.clone() {
            let event = Event::Renewed {
                slot,
                attempt,
                worker: worker.clone(),
                done: done(0, 0),
            };
            self.job.apply(event, self.now);
        }
        let Some((slot, _)) = self.workers[index].leases.first().cloned() else {
            return;
        };
        let rows = self.job.plan().rows(&slot).expect("a slot of the plan");
        let spent = self.now.since(self.workers[index].since);
        if let Some((poison, after)) = self.poison
            && rows.contains(&poison)
            && spent >= after
        {
            return self.kill(index);
        }
        if spent >= self.row * (rows.end - rows.start) as u32 {
            self.workers[index].leases.remove(0);
            self.workers[index].since = self.now;
            self.fill(&slot);
        }
    }

    fn acquire(&mut self, index: usize) {
        let worker = self.name(index);
        let request = Request {
            worker: worker.clone(),
            credits: 2 - self.workers[index].leases.len(),
            loaded: Vec::new(),
            class: WorkerClass::default(),
        };
        for chosen in scheduler::assign(
            std::iter::once(&self.job),
            &Tenants::default(),
            &request,
            self.now,
        ) {
            self.attempts += 1;
            let attempt = Attempt::of(ulid::Ulid(self.attempts));
            let event = Event::Leased {
                slot: chosen.slot.clone(),
                attempt: attempt.clone(),
                worker: worker.clone(),
            };
            self.job.apply(event, self.now);
            if self.workers[index].leases.is_empty() {
                self.workers[index].since = self.now;
            }
            self.workers[index].leases.push((chosen.slot, attempt));
        }
    }

    fn fill(&mut self, slot: &SlotId) {
        let rows = self.job.plan().rows(slot).expect("a slot of the plan");
        self.job
            .apply(filled(slot, rows.end - rows.start), self.now);
    }

    /// Returns the rows that were given up.
    fn rows_given_up(&self) -> Vec<u64> {
        let rows = |slot| self.job.plan().rows(slot).expect("a slot of the plan");
        self.given_up.iter().flat_map(rows).collect()
    }

    /// Goes on until the job can be sealed. Panics if that takes more than `hours`.
    fn finish(&mut self, hours: u64) {
        while self.job.due(Timestamp::default()) != [Due::Seal] {
            let late = self.now >= Timestamp(Duration::from_hours(hours));
            assert!(!late, "the job never ends: {:?}", self.job.totals());
            self.step();
        }
    }

    /// Kills a worker every `pause` for `length`, any or only one that has a lease.
    fn storm(&mut self, pause: Duration, length: Duration, only_busy: bool) {
        let mut next = self.now.after(pause);
        let end = self.now.after(length);
        while self.now < end {
            self.step();
            if self.now >= next {
                next = next.after(pause);
                let busy = |index: &usize| !only_busy || !self.workers[*index].leases.is_empty();
                let targets: Vec<usize> = (0..self.workers.len()).filter(busy).collect();
                if !targets.is_empty() {
                    let target = targets[self.below(targets.len())];
                    self.kill(target);
                }
            }
        }
    }
}

/// Rows of five seconds, a kill every half second for three minutes.
#[test]
fn a_storm_of_preemptions_costs_no_row() {
    for seed in 0..20 {
        for rows in [1, 2, 24, 240] {
            let mut world = World::new(&vec![1; rows], 4, 5, seed);
            world.storm(Duration::from_millis(500), Duration::from_mins(3), false);
            world.finish(24);
            assert_eq!(
                world.given_up,
                [],
                "seed {seed}, {rows} rows, {} kills",
                world.kills
            );
        }
    }
}

/// Whoever works is killed before a row of 30 seconds is done, over and over.
#[test]
fn kills_in_the_middle_of_long_rows_cost_none() {
    for seed in 0..20 {
        let mut world = World::new(&[1; 8], 4, 30, seed);
        world.storm(Duration::from_secs(9), Duration::from_mins(3), true);
        world.finish(24);
        assert_eq!(world.given_up, [], "seed {seed}, {} kills", world.kills);
    }
}

/// One row of many takes its worker along, alone in its slot or among others.
#[test]
fn only_the_row_that_kills_its_workers_is_given_up() {
    for lengths in [vec![1; 64], vec![16; 16], vec![64; 16]] {
        let mut world = World::new(&lengths, 4, 2, 0);
        world.poison = Some((37, Duration::from_secs(1)));
        world.finish(24);
        assert_eq!(world.rows_given_up(), [37], "{lengths:?}");
        // Two losses per halving, and some to be sure.
        let most = u64::from(2 * lengths[0].ilog2() + 8);
        assert!(world.kills <= most, "{} kills, {lengths:?}", world.kills);
    }
}

/// A row that takes its worker along after a long time is hard to tell from machines that do not last.
#[test]
fn a_row_that_kills_its_workers_late_takes_more_of_them() {
    let mut world = World::new(&[1; 64], 4, 30, 0);
    world.poison = Some((37, Duration::from_secs(20)));
    world.finish(24);
    assert_eq!(world.rows_given_up(), [37]);
    assert!(world.kills <= 17, "{} kills", world.kills);
}

/// Nothing else tells whether the machines are at fault, and still the job ends.
#[test]
fn a_job_of_one_bad_row_ends() {
    let mut world = World::new(&[1], 2, 600, 0);
    world.poison = Some((0, Duration::from_mins(5)));
    world.finish(6);
    assert_eq!(world.given_up.len(), 1);
}

/// A row that kills its workers is found although machines go away as well, and no other row is
/// blamed.
#[test]
fn a_bad_row_is_found_among_preemptions() {
    for seed in 0..10 {
        let mut world = World::new(&[1; 100], 4, 5, seed);
        world.poison = Some((3, Duration::from_secs(1)));
        world.storm(Duration::from_secs(20), Duration::from_mins(3), false);
        world.finish(24);
        assert_eq!(world.rows_given_up(), [3], "seed {seed}");
    }
}
