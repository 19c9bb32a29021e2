//! Chooses which slots to hand out next. Reads nothing but its arguments.
//!
//! Tenants get slots in proportion to their weights, and jobs of one tenant are served in the order of
//! their submission, with two exceptions. A worker keeps working with a model it has loaded as long as
//! that model has work, because loading another one is slow. And a job that has waited too long goes
//! first, whatever the worker has loaded, if nobody works on it or its tenant has less than its part.
//! If no slot is left to hand out, the worker may get a backup attempt at a slot whose
//! first attempt takes much longer than usual.
//!
//! A slot that lost a worker is tried after the others, and alone: its worker holds no other lease
//! meanwhile. If it takes the worker along again, no other slot is lost, and it is clear which rows
//! did it.

use std::time::Duration;

use whence_schemas::{JobId, SlotId, WorkerClass, WorkerId};

use super::fairness::Leased;
use super::{Job, Lease, Phase, SlotState, Tenants, Timestamp};

/// How long a job may wait before a worker switches models for it. About twice as long as a large
/// model takes to load, so that workers do not spend most of their time on loading.
const SWITCH_AFTER: Duration = Duration::from_mins(2);

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The worker that asks.
    pub worker: WorkerId,
    /// The most slots it will accept.
    pub credits: usize,
    /// Digests of the models it has loaded, most recently used first.
    pub loaded: Vec<String>,
    /// What it computes with.
    pub class: WorkerClass,
}

/// A slot to lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The job.
    pub job: JobId,
    /// The slot.
    pub slot: SlotId,
}

/// Chooses up to `request.credits` pending slots of `jobs` for a worker, or one backup attempt if
/// there are none.
pub fn assign<'a>(
    jobs: impl Iterator<Item = &'a Job>,
    tenants: &'a Tenants,
    request: &Request,
    now: Timestamp,
) -> Vec<Assignment> {
    let running = jobs.filter(|job| *job.phase() == Phase::Running);
    let mut open: Vec<&Job> = running.collect();
    let held: Vec<&Lease> = (open.iter().flat_map(|job| job.leases()))
        .filter(|lease| lease.worker == request.worker)
        .collect();
    if request.credits == 0 || held.iter().any(|lease| lease.is_alone) {
        return Vec::new();
    }
    let has_leases = !held.is_empty();
    let leased = Leased::count(&open, tenants);
    open.retain(|job| !job.is_paused() && job.may_be_given_to(&request.worker, &request.class));
    open.sort_by_key(|job| job.order());
    let chosen = pending(&open, leased, request, has_leases, now);
    if !chosen.is_empty() {
        return chosen;
    }
    let mut turns = open;
    turns.sort_by_key(|job| !request.loaded.contains(&job.spec().model.digest));
    let backup = turns
        .iter()
        .find_map(|job| backup(job, &request.worker, now));
    backup.into_iter().collect()
}

/// The slots of a job that may be leased.
struct Queue<'j, I> {
    job: &'j Job,
    turn: usize,
    /// Its place among the jobs by submission.
    order: usize,
    slots: I,
}

/// Chooses pending slots of the jobs in `open`, which are sorted by their submission.
fn pending<'j>(
    open: &[&'j Job],
    mut leased: Leased<'j>,
    request: &Request,
    has_leases: bool,
    now: Timestamp,
) -> Vec<Assignment> {
    let queues = open.iter().filter(|job| !job.pending.is_empty());
    let queues = queues.enumerate().map(|(order, job)| Queue {
        job,
        turn: turn(job, &leased, request, now),
        order,
        slots: ready(job, request.class.memory, now),
    });
    let mut queues: Vec<_> = queues.collect();
    let mut chosen = Vec::new();
    while chosen.len() < request.credits {
        let candidates = queues.iter().enumerate();
        let next = candidates
            .filter(|(_, queue)| leased.has_room(queue.job.tenant()))
            .min_by_key(|(_, queue)| (queue.turn, leased.load(queue.job.tenant()), queue.order));
        let Some((place, _)) = next else {
            break;
        };
        let Some(slot) = queues[place].slots.next() else {
            queues.swap_remove(place);
            continue;
        };
        let job = queues[place].job;
        let is_suspect = job.is_suspect(slot);
        if is_suspect && (has_leases || !chosen.is_empty()) {
            // It waits until a worker has nothing else to do, and nothing goes before it.
            break;
        }
        leased.add(job.tenant());
        chosen.push(Assignment {
            job: job.id().clone(),
            slot: slot.clone(),
        });
        if is_suspect {
            break;
        }
    }
    chosen
}

/// Returns the slots of a job that may be leased now. Those that lost a worker come last. Otherwise they
/// are in the order of the plan, or in that of the process's share.
fn ready(job: &Job, memory: Option<u64>, now: Timestamp) -> impl Iterator<Item = &SlotId> {
    let of = move |is_suspect: bool| {
        let ready = job.pending_slots();
        let ready = ready.filter(move |(_, not_before)| *not_before <= now);
        let ready = ready.map(|(slot, _)| slot);
        let ready = ready.filter(move |slot| job.fits(slot, memory));
        ready.filter(move |slot| job.is_suspect(slot) == is_suspect)
    };
    let sorted = job.rules.share.map(|share| {
        let mut slots: Vec<&SlotId> = of(false).chain(of(true)).collect();
        slots.sort_by_key(|slot| (job.is_suspect(slot), share.place(slot)));
        slots
    });
    // Without a share nothing is sorted: a coordinator of many slots is asked often.
    let planned = sorted.is_none().then(|| of(false).chain(of(true)));
    let slots = sorted.into_iter().flatten();
    slots.chain(planned.into_iter().flatten())
}

/// Returns a job's place in the queue; lower goes first. Starved jobs that need another model come
/// first, then jobs whose model the worker has loaded (most recently used first), then the rest.
fn turn(job: &Job, leased: &Leased, request: &Request, now: Timestamp) -> usize {
    let loaded = request
        .loaded
        .iter()
        .position(|digest| *digest == job.spec().model.digest);
    let is_starved = || {
        let is_short = job.leased.is_empty() || leased.is_short(job.tenant());
        is_short && now.since(job.last_leased) > SWITCH_AFTER
    };
    match loaded {
        Some(place) => 1 + place,
        None if is_starved() => 0,
        None => 1 + request.loaded.len(),
    }
}

/// Returns a slot whose only attempt, made by another worker, takes much longer than usual.
///
/// "Usual" is twice the 95th percentile of the job's finished attempts, but at least
/// `backup_after`. At most a tenth of a job's leased slots, rounded up, have a backup at a time, so
/// that backups stay a small part of the work.
fn backup(job: &Job, worker: &WorkerId, now: Timestamp) -> Option<Assignment> {
    let too_long = job
        .rules
        .backup_after
        .max(2 * percentile_95(&job.durations)?);
    let num_backups = job.leases().filter(|lease| lease.is_backup).count();
    if num_backups >= job.leased.len().div_ceil(10) {
        return None;
    }
    let is_straggler = |lease: &Lease| {
        let is_of_another = lease.worker != *worker && !lease.is_uploading;
        is_of_another && now.since(lease.since) > too_long
    };
    let straggler = job.leased.iter().find(|slot| match job.slot(slot) {
        Some(SlotState::Leased(leases)) => leases.len() == 1 && is_straggler(&leases[0]),
        _ => false,
    });
    straggler.map(|slot| Assignment {
        job: job.id().clone(),
        slot: slot.clone(),
    })
}

fn percentile_95(durations: &[Duration]) -> Option<Duration> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * 95).div_ceil(100).checked_sub(1)?;
    sorted.get(place).copied()
}

#[cfg(test)]
mod tests;
