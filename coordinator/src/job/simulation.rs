//! Simulates random orders of leases, commits, crashes, restarts and lost messages, and checks that
//! the table holds every row exactly once.
//!
//! The store is a map in which each key is created only once. The coordinator is a [`Job`] that may
//! be rebuilt from the store at any moment. The workers are attempts that may commit long after
//! their lease is gone. If a history breaks the promise, proptest shrinks it to a short one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use whence_schemas::placement::Placement;
use whence_schemas::plan::{Cursor, Plan, PlannedShard};
use whence_schemas::{Attempt, SlotId, WorkerClass, WorkerId};

use super::scheduler::{self, Request};
use super::tests::RULES;
use super::*;
use crate::testing::{spec, verified};

/// One thing that happens. A number picks a worker or an attempt, modulo how many there are.
#[derive(Debug, Clone, Copy)]
enum Action {
    /// A worker asks for a slot.
    Acquire(u8),
    /// An attempt writes its result unless the slot is taken, and the coordinator hears of it.
    Commit(usize),
    /// An attempt writes its result, but the report is lost.
    CommitSilently(usize),
    /// An attempt ends early and publishes some of its first rows, but dies after a number of
    /// writes. The numbers pick the attempt, the rows done and the writes.
    CommitPart(usize, u8, u8),
    /// An attempt fails, and the coordinator hears of it.
    Fail(usize, FailureClass),
    /// An attempt vanishes: it neither commits nor reports.
    Forget(usize),
    /// The coordinator writes every object that is due.
    WriteDue,
    /// The coordinator restarts: it forgets everything and rebuilds the job from the store.
    Restart,
    /// The coordinator polls the store.
    PollStore,
    /// This many seconds pass.
    Pass(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    Rows,
    Tombstone,
}

struct World {
    plan: Arc<Plan>,
    store: BTreeMap<SlotId, Object>,
    job: Job,
    now: Timestamp,
    attempts: Vec<(SlotId, Attempt, WorkerId)>,
    num_attempts: u128,
}

impl World {
    fn new(lengths: &[u64]) -> Self {
        let mut start = 0;
        let shards = lengths.iter().map(|length| {
            let rows = start..start + length;
            start = rows.end;
            PlannedShard {
                rows,
                cursor: Cursor { file: 0, offset: 0 },
                estimated_tokens: 1,
                digest: String::new(),
            }
        });
        let plan = Arc::new(Plan {
            files: Vec::new(),
            shards: shards.collect(),
        });
        let now = Timestamp::default();
        let job = Job::new(Arc::new(spec("m")), Arc::clone(&plan), 0, RULES, now);
        Self {
            plan,
            store: BTreeMap::new(),
            job,
            now,
            attempts: Vec::new(),
            num_attempts: 0,
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Acquire(worker) => self.acquire(worker),
            Action::Commit(index) => {
                if let Some((slot, ..)) = self.pick(index) {
                    let rows = self.plan.rows(&slot).expect("a slot of the plan");
                    self.publish(&slot, &rows, usize::MAX);
                    self.see_below(&slot);
                }
            }
            Action::CommitSilently(index) => {
                if let Some((slot, ..)) = self.pick(index) {
                    let rows = self.plan.rows(&slot).expect("a slot of the plan");
                    self.publish(&slot, &rows, usize::MAX);
                }
            }
            Action::CommitPart(index, done, writes) => {
                if let Some((slot, ..)) = self.pick(index) {
                    let rows = self.plan.rows(&slot).expect("a slot of the plan");
                    let end = rows.start + u64::from(done) % (rows.end - rows.start + 1);
                    self.publish(&slot, &(rows.start..end), usize::from(writes % 8));
                }
            }
            Action::Fail(index, class) => {
                if let Some((slot, attempt, worker)) = self.pick(index) {
                    let message = "it broke".to_owned();
                    let failure = Failure {
                        slot,
                        attempt,
                        worker,
                        class,
                        message,
                    };
                    let event = Event::Failed {
                        failure,
                        jitter: 0.5,
                        num_workers: 3,
                    };
                    self.job.apply(event, self.now);
                }
            }
            Action::Forget(index) => drop(self.pick(index)),
            Action::WriteDue => self.write_due(),
            Action::Restart => {
                let (spec, plan) = (Arc::clone(self.job.spec()), Arc::clone(&self.plan));
                self.job = Job::new(spec, plan, 0, RULES, self.now);
                self.poll_store();
            }
            Action::PollStore => self.poll_store(),
            Action::Pass(seconds) => {
                self.now = self.now.after(Duration::from_secs(seconds.into()));
                self.job.expire(self.now, &Machines::default());
            }
        }
    }

    fn acquire(&mut self, worker: u8) {
        let worker: WorkerId = format!("w{}", worker % 3).parse().expect("a plain name");
        let request = Request {
            worker: worker.clone(),
            credits: 1,
            loaded: Vec::new(),
            class: WorkerClass::default(),
        };
        for chosen in scheduler::assign(
            std::iter::once(&self.job),
            &Tenants::default(),
            &request,
            self.now,
        ) {
            self.num_attempts += 1;
            let attempt = Attempt::of(ulid::Ulid(self.num_attempts));
            let event = Event::Leased {
                slot: chosen.slot.clone(),
                attempt: attempt.clone(),
                worker: worker.clone(),
            };
            self.job.apply(event, self.now);
            self.attempts.push((chosen.slot, attempt, worker.clone()));
        }
    }

    fn pick(&mut self, index: usize) -> Option<(SlotId, Attempt, WorkerId)> {
        let len = self.attempts.len();
        (len > 0).then(|| self.attempts.swap_remove(index % len))
    }

    /// Publishes the rows `done` of an attempt at `slot` as a worker does, but stops after `writes`
    /// objects.
    fn publish(&mut self, slot: &SlotId, done: &Range<u64>, writes: usize) {
        let mut open = vec![slot.clone()];
        let mut left = writes;
        while let Some(slot) = open.pop() {
            let rows = self.plan.rows(&slot).expect("a slot of the plan");
            let object = match Placement::of(&rows, |row| done.contains(&row)) {
                Placement::Nothing => continue,
                Placement::Rows => Object::Rows,
                Placement::Tombstone => Object::Tombstone,
            };
            let Some(after) = left.checked_sub(1) else {
                return;
            };
            left = after;
            let stands = *self.store.entry(slot.clone()).or_insert(object);
            if stands == Object::Tombstone {
                open.extend(slot.split().into_iter().rev());
            }
        }
    }

    /// Tells the job what a slot and the slots below it hold.
    fn see_below(&mut self, slot: &SlotId) {
        let mut open = vec![slot.clone()];
        while let Some(slot) = open.pop() {
            if self.store.get(&slot) == Some(&Object::Tombstone) {
                open.extend(slot.split().into_iter().rev());
            }
            self.see(&slot);
        }
    }

    /// Writes every object that is due, unless its slot is already taken.
    fn write_due(&mut self) {
        for due in self.job.due(Timestamp::default()) {
            let (slot, object) = match due {
                Due::Split(slot) => (slot, Object::Tombstone),
                Due::Quarantine { slot, .. } => (slot, Object::Rows),
                Due::Verify(slot) => {
                    self.job.apply(verified(&slot), self.now);
                    continue;
                }
                Due::Seal | Due::Fail(_) => continue,
            };
            self.store.entry(slot.clone()).or_insert(object);
            self.see(&slot);
        }
    }

    /// Tells the job what a slot holds, if anything.
    fn see(&mut self, slot: &SlotId) {
        let rows = self.plan.rows(slot).expect("a slot of the plan");
        let event = match self.store.get(slot) {
            Some(Object::Rows) => Event::Filled {
                slot: slot.clone(),
                fill: Fill {
                    kind: FillKind::Full,
                    rows: rows.end - rows.start,
                    errors: 0,
                    bytes: 1,
                },
                tokens: 1,
            },
            Some(Object::Tombstone) => Event::Split {
                slot: slot.clone(),
                bytes: 1,
            },
            None => return,
        };
        self.job.apply(event, self.now);
    }

    fn poll_store(&mut self) {
        let slots: Vec<_> = self.store.keys().cloned().collect();
        for slot in &slots {
            self.see(slot);
        }
    }

    /// Keeps working until the job can be sealed. Fails if that never happens.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..2000 {
            if self.job.due(Timestamp::default()) == [Due::Seal] {
                return Ok(());
            }
            self.write_due();
            self.acquire(0);
            if let Some(last) = self.attempts.len().checked_sub(1) {
                self.act(Action::Commit(last));
            }
            self.poll_store();
            // One second longer than a lease lasts, so that the leases of forgotten attempts end.
            self.act(Action::Pass(31));
        }
        Err(TestCaseError::fail("the job never ends"))
    }

    /// Checks that the store's rows are the plan's, each once, and that the job counts them.
    fn check(&self) -> Result<(), TestCaseError> {
        let mut times = vec![0; self.plan.num_rows() as usize];
        for (slot, object) in &self.store {
            if *object == Object::Rows {
                for row in self.plan.rows(slot).expect("a slot of the plan") {
                    times[row as usize] += 1;
                }
            }
        }
        prop_assert!(
            times.iter().all(|&times| times == 1),
            "rows stand {times:?} times"
        );
        prop_assert_eq!(self.job.totals().rows_done, self.plan.num_rows());
        Ok(())
    }
}

fn actions() -> impl Strategy<Value = Action> {
    let class = prop_oneof![
        Just(FailureClass::Transient),
        Just(FailureClass::OutOfMemory),
        Just(FailureClass::TooLarge),
        Just(FailureClass::Internal),
    ];
    prop_oneof![
        4 => any::<u8>().prop_map(Action::Acquire),
        2 => any::<usize>().prop_map(Action::Commit),
        1 => any::<usize>().prop_map(Action::CommitSilently),
        2 => any::<(usize, u8, u8)>()
            .prop_map(|(index, done, writes)| Action::CommitPart(index, done, writes)),
        2 => (any::<usize>(), class).prop_map(|(index, class)| Action::Fail(index, class)),
        1 => any::<usize>().prop_map(Action::Forget),
        2 => Just(Action::WriteDue),
        1 => Just(Action::Restart),
        1 => Just(Action::PollStore),
        2 => any::<u8>().prop_map(Action::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_row_stands_once_whatever_happened(
        lengths in prop::collection::vec(1..5_u64, 1..4),
        history in prop::collection::vec(actions(), 0..60),
    ) {
        let mut world = World::new(&lengths);
        for action in history {
            world.act(action);
        }
        world.finish()?;
        world.check()?;
        // Attempts whose lease is long gone wake up now, and must find every slot taken.
        while !world.attempts.is_empty() {
            world.act(Action::CommitPart(0, 1, 7));
            world.act(Action::Commit(0));
        }
        world.check()?;
    }
}
