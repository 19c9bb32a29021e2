//! A job as the coordinator knows it: which slots are filled, who works on which, what is next.
//!
//! This module is pure: it has no clock, no store and no await. What the store holds comes in as an
//! [`Event`]. What should be written to the store goes out through [`Job::due`], which repeats each
//! object until an event confirms that it exists. Everything here except the filled slots may be
//! lost. Losing it costs time, but never a row.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use whence_schemas::{Attempt, JobId, JobSpec, Plan, SlotId, WorkerId, layout};

mod event;
mod evidence;
mod failure;
mod fairness;
mod lease;
mod losses;
mod machines;
mod rules;
pub mod scheduler;
mod share;
#[cfg(test)]
mod simulation;
mod sizes;
mod slot;
#[cfg(test)]
mod storms;
pub mod tenants;
#[cfg(test)]
pub(crate) mod tests;
mod timestamp;
mod transitions;
mod unseen;
mod verification;
mod work;

pub use event::Event;
pub use failure::{Failure, FailureClass};
pub use lease::{Done, Lease};
pub use machines::{Machines, Presence};
pub use rules::Rules;
pub use share::Share;
pub use slot::{Closing, Fill, FillKind, SlotState};
pub use tenants::{Tenant, Tenants};
pub use timestamp::Timestamp;

use evidence::History;
use slot::Slot;
use work::CountedWork;

/// Objects to verify in one pass over what is due, so that a pass does not take long.
const MOST_VERIFIED: usize = 64;

/// Whether a job is running, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Not every slot is filled, or the manifest is not written yet. Open slots may be leased.
    Running,
    /// Every slot is filled and the manifest is written.
    Sealed,
    /// Somebody canceled it.
    Cancelled,
    /// It failed, either for good or until somebody submits it again.
    Failed {
        /// Why, and what to do.
        message: String,
        /// Whether the specification is at fault, so that no retry can help. Otherwise the job
        /// resumes when it is submitted again.
        is_final: bool,
    },
}

/// An object that the coordinator should write to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// A tombstone in this slot, which splits it into its two halves.
    Split(SlotId),
    /// An error row in this slot.
    Quarantine {
        /// The slot.
        slot: SlotId,
        /// The kind of the last failure.
        class: FailureClass,
        /// The message of the last failure, for the error row.
        message: String,
    },
    /// A check of the object in this slot, which was adopted by its footer alone.
    Verify(SlotId),
    /// The manifest: every slot is filled.
    Seal,
    /// The record that the job failed for good, with the reason.
    Fail(String),
}

/// A job's progress in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows in the plan.
    pub rows: u64,
    /// Rows in filled slots.
    pub rows_done: u64,
    /// Error rows in filled slots.
    pub rows_failed: u64,
    /// Slots that are not split.
    pub slots: u64,
    /// Filled slots among them.
    pub slots_done: u64,
    /// Slots that at least one worker is working on.
    pub slots_leased: u64,
    /// Rows done in leased slots, as their workers reported. Backup attempts do not count.
    pub rows_in_flight: u64,
    /// Tokens attributed since the coordinator started, as workers reported them.
    pub tokens_done: u64,
    /// Estimated work of all rows, in tokens.
    pub work: u64,
    /// Estimated work of the rows done, including those in flight.
    pub work_done: u64,
}

/// The state of one job. It changes only through [`Job::apply`] and [`Job::expire`].
#[derive(Debug)]
pub struct Job {
    id: JobId,
    spec: Arc<JobSpec>,
    plan: Arc<Plan>,
    table: String,
    /// When the job was submitted, in milliseconds since 1970. Earlier jobs are served first.
    submitted_ms: u64,
    /// Who submitted it; none if nobody is told apart.
    tenant: Option<Tenant>,
    phase: Phase,
    /// Whether somebody paused it: no slot is leased, and those that are leased are finished.
    is_paused: bool,
    slots: BTreeMap<SlotId, Slot>,
    pending: BTreeSet<SlotId>,
    leased: BTreeSet<SlotId>,
    closing: BTreeSet<SlotId>,
    /// Filled and split slots whose objects were not read whole so far.
    unverified: BTreeSet<SlotId>,
    /// Digests of the objects that were.
    digests: BTreeMap<SlotId, String>,
    totals: Totals,
    /// Since when every slot is filled; none while some are open.
    complete_since: Option<Timestamp>,
    /// When one of its slots was last leased. The scheduler prefers a job that waited too long.
    last_leased: Timestamp,
    durations: Vec<Duration>,
    counted: CountedWork,
    /// Attempts that have ended, to tell bad rows from bad machines.
    history: History,
    refused_by: BTreeSet<WorkerId>,
    /// How often each worker reported a result that was not found.
    unseen: BTreeMap<WorkerId, u32>,
    /// Whether slots are left to workers with more memory.
    waits_for_larger: bool,
    /// Whether the store holds the record that the job failed for good.
    failure_stands: bool,
    rules: Rules,
}

impl Job {
    /// Makes a running job in which every slot of the plan is pending.
    pub fn new(
        spec: Arc<JobSpec>,
        plan: Arc<Plan>,
        submitted_ms: u64,
        rules: Rules,
        now: Timestamp,
    ) -> Self {
        let mut job = Self {
            id: spec.id(),
            table: layout::table(&spec),
            spec,
            submitted_ms,
            tenant: None,
            phase: Phase::Running,
            is_paused: false,
            slots: BTreeMap::new(),
            pending: BTreeSet::new(),
            leased: BTreeSet::new(),
            closing: BTreeSet::new(),
            unverified: BTreeSet::new(),
            digests: BTreeMap::new(),
            totals: Totals::default(),
            complete_since: None,
            last_leased: now,
            durations: Vec::new(),
            counted: CountedWork::default(),
            history: History::default(),
            refused_by: BTreeSet::new(),
            unseen: BTreeMap::new(),
            waits_for_larger: false,
            failure_stands: false,
            rules,
            plan,
        };
        let plan = Arc::clone(&job.plan);
        job.totals.rows = plan.num_rows();
        for (index, shard) in plan.shards.iter().enumerate() {
            job.add_slot(SlotId::of_shard(index), shard.rows.clone());
        }
        job
    }

    /// Makes a sealed job. It has no slots: only its `totals` are still needed.
    pub fn sealed(spec: Arc<JobSpec>, submitted_ms: u64, totals: Totals, rules: Rules) -> Self {
        let nothing = Arc::new(Plan {
            files: Vec::new(),
            shards: Vec::new(),
        });
        let mut job = Self::new(spec, nothing, submitted_ms, rules, Timestamp::default());
        job.totals = totals;
        job.phase = Phase::Sealed;
        job
    }

    /// Returns its id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// Returns its specification.
    pub fn spec(&self) -> &Arc<JobSpec> {
        &self.spec
    }

    /// Returns its plan, which is empty if the job was already sealed when it was recovered.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Returns the folder that holds its slots, relative to the storage root.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Returns its phase.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Returns whether somebody paused it.
    pub fn is_paused(&self) -> bool {
        self.is_paused && self.phase == Phase::Running
    }

    /// Returns who submitted it; none if nobody is told apart.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// Sets who submitted it.
    #[must_use]
    pub fn of_tenant(mut self, tenant: Option<Tenant>) -> Self {
        self.tenant = tenant;
        self
    }

    /// Returns the key to sort jobs by: submission time first, then the id to break ties.
    pub fn order(&self) -> (u64, &JobId) {
        (self.submitted_ms, &self.id)
    }

    /// Changes when it was submitted.
    #[cfg(test)]
    pub(crate) fn set_submitted_ms(&mut self, submitted_ms: u64) {
        self.submitted_ms = submitted_ms;
    }

    /// Returns the state of a slot, or `None` if the job has no such slot.
    pub fn slot(&self, slot: &SlotId) -> Option<&SlotState> {
        self.slots.get(slot).map(|slot| &slot.state)
    }

    /// Returns every slot in row order, each split slot before its halves.
    pub fn slots(&self) -> impl Iterator<Item = (&SlotId, &SlotState)> {
        self.slots.iter().map(|(id, slot)| (id, &slot.state))
    }

    /// Returns its progress, including what the leased slots have reported so far.
    pub fn totals(&self) -> Totals {
        let mut totals = self.totals.clone();
        totals.slots_leased = self.leased.len() as u64;
        for lease in self.leases().filter(|lease| !lease.is_backup) {
            totals.rows_in_flight += lease.rows_done;
            totals.tokens_done += lease.tokens_done;
        }
        totals.work_done += self.work_in_flight();
        totals
    }

    /// Estimates the work done so far in the leased slots. Of two attempts at a slot, the one that
    /// is further along counts.
    fn work_in_flight(&self) -> u64 {
        let of_slot = |id: &SlotId| match &self.slots.get(id)?.state {
            SlotState::Leased(leases) => {
                let work = self.plan.estimated_tokens(id);
                let rows = self.slots.get(id)?.num_rows();
                leases
                    .iter()
                    .map(|lease| self.counted.work_in_flight(lease, work, rows))
                    .max()
            }
            _ => None,
        };
        self.leased.iter().filter_map(of_slot).sum()
    }

    /// Returns the objects that should be written to the store and, as far as the job knows, are
    /// not there yet; and those that should be read.
    pub fn due(&self, now: Timestamp) -> Vec<Due> {
        match &self.phase {
            Phase::Failed {
                message,
                is_final: true,
            } if !self.failure_stands => return vec![Due::Fail(message.clone())],
            Phase::Running => {}
            _ => return Vec::new(),
        }
        if self.totals.slots_done == self.totals.slots && self.unverified.is_empty() {
            return vec![Due::Seal];
        }
        let unverified = self.unverified.iter();
        let reads_all = self.reads_all(now);
        let unverified = unverified.filter(|slot| reads_all || self.is_ours(slot));
        let unverified = unverified.cloned().map(Due::Verify);
        let closing = self.closing.iter().filter_map(|id| match self.slot(id)? {
            SlotState::Closing(Closing::Split) => Some(Due::Split(id.clone())),
            SlotState::Closing(Closing::Quarantine { class, message }) => Some(Due::Quarantine {
                slot: id.clone(),
                class: *class,
                message: message.clone(),
            }),
            _ => None,
        });
        closing.chain(unverified.take(MOST_VERIFIED)).collect()
    }

    /// Returns the digest of the object in a slot, if it was read.
    pub fn digest(&self, slot: &SlotId) -> Option<&str> {
        self.digests.get(slot).map(String::as_str)
    }

    /// Returns the earliest time at which a pending slot may be leased; `None` if none is pending.
    pub fn next_pending(&self) -> Option<Timestamp> {
        self.pending_slots().map(|(_, not_before)| not_before).min()
    }

    /// Returns the pending slots, each with the time from which it may be leased.
    fn pending_slots(&self) -> impl Iterator<Item = (&SlotId, Timestamp)> {
        self.pending.iter().filter_map(|id| match self.slot(id)? {
            SlotState::Pending { not_before } => Some((id, *not_before)),
            _ => None,
        })
    }

    /// Returns every lease with its slot, backups included.
    pub fn leased(&self) -> impl Iterator<Item = (&SlotId, &Lease)> {
        let of_slot = |id| self.leases_of(id).iter().map(move |lease| (id, lease));
        self.leased.iter().flat_map(of_slot)
    }

    /// Returns every lease of the job, backups included.
    fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leased.iter().flat_map(|id| self.leases_of(id))
    }

    /// Returns whether the rows of `slot` may be what makes workers vanish.
    pub(crate) fn is_suspect(&self, slot: &SlotId) -> bool {
        self.slots.get(slot).is_some_and(|slot| slot.is_suspect)
    }

    /// Returns whether `attempt` holds a lease of `slot`.
    pub fn is_leased(&self, slot: &SlotId, attempt: &Attempt) -> bool {
        self.lease_of(slot, attempt).is_some()
    }

    /// Returns the lease that `attempt` holds of `slot`.
    pub fn lease_of(&self, slot: &SlotId, attempt: &Attempt) -> Option<&Lease> {
        let mut leases = self.leases_of(slot).iter();
        leases.find(|lease| lease.attempt == *attempt)
    }

    /// Returns the leases of a slot: none, its own, or that and a backup.
    fn leases_of(&self, slot: &SlotId) -> &[Lease] {
        match self.slot(slot) {
            Some(SlotState::Leased(leases)) => leases,
            _ => &[],
        }
    }

    /// Adds a pending slot, and counts it and its estimated work.
    fn add_slot(&mut self, id: SlotId, rows: Range<u64>) {
        self.totals.slots += 1;
        self.totals.work += self.plan.estimated_tokens(&id);
        self.pending.insert(id.clone());
        self.slots.insert(id, Slot::new(rows));
    }

    /// Changes a slot's state, and keeps the sets of pending, leased and closing slots in step.
    fn set_state(&mut self, id: &SlotId, state: SlotState) {
        for set in [&mut self.pending, &mut self.leased, &mut self.closing] {
            set.remove(id);
        }
        match &state {
            SlotState::Pending { .. } => Some(&mut self.pending),
            SlotState::Leased(_) => Some(&mut self.leased),
            SlotState::Closing(_) => Some(&mut self.closing),
            SlotState::Filled(_) | SlotState::Split { .. } => None,
        }
        .map(|set| set.insert(id.clone()));
        if let Some(slot) = self.slots.get_mut(id) {
            slot.state = state;
        }
    }
}
