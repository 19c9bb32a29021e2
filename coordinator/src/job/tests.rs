//! Tests of what a job decides, one event at a time.

use std::sync::Arc;
use std::time::Duration;

use whence_schemas::plan::{Cursor, Plan, PlannedShard};
use whence_schemas::{SlotId, WorkerClass};

use super::scheduler::{self, Assignment, Request};
use super::*;
use crate::testing::{at, attempt, done, filled, slot, spec, verified, verify_all, worker};

pub(crate) const RULES: Rules = Rules {
    ttl: Duration::from_secs(30),
    stuck_after: Duration::from_mins(10),
    backup_after: Duration::from_mins(1),
    share: None,
};

/// Makes a job that has one shard of each of these lengths.
pub(crate) fn job_of(model: &str, lengths: &[u64]) -> Job {
    let mut start = 0;
    let shard = |length: &u64| {
        let rows = start..start + length;
        start = rows.end;
        PlannedShard {
            estimated_tokens: 10 * length,
            digest: String::new(),
            rows,
            cursor: Cursor { file: 0, offset: 0 },
        }
    };
    let shards = lengths.iter().map(shard).collect();
    let plan = Arc::new(Plan {
        files: Vec::new(),
        shards,
    });
    Job::new(Arc::new(spec(model)), plan, 0, RULES, at(0))
}

pub(crate) fn job(lengths: &[u64]) -> Job {
    job_of("m", lengths)
}

fn request(name: &str, loaded: &[&str]) -> Request {
    Request {
        worker: worker(name),
        credits: 1,
        loaded: loaded.iter().map(|&digest| digest.to_owned()).collect(),
        class: WorkerClass::default(),
    }
}

pub(super) fn lease(job: &mut Job, slot: &SlotId, number: u128, name: &str, now: Timestamp) {
    let event = Event::Leased {
        slot: slot.clone(),
        attempt: attempt(number),
        worker: worker(name),
    };
    job.apply(event, now);
}

pub(crate) fn failure(slot: &SlotId, number: u128, name: &str, class: FailureClass) -> Failure {
    Failure {
        slot: slot.clone(),
        attempt: attempt(number),
        worker: worker(name),
        class,
        message: "it broke".to_owned(),
    }
}

fn fail(job: &mut Job, slot: &SlotId, number: u128, class: FailureClass, now: Timestamp) {
    lease(job, slot, number, "w", now);
    let event = Event::Failed {
        failure: failure(slot, number, "w", class),
        jitter: 1.0,
        num_workers: 1,
    };
    job.apply(event, now);
}

fn next(job: &Job, request: &Request, now: Timestamp) -> Option<SlotId> {
    let chosen = scheduler::assign(std::iter::once(job), &Tenants::default(), request, now);
    chosen
        .into_iter()
        .next()
        .map(|Assignment { slot, .. }| slot)
}

#[test]
fn slots_are_leased_once_and_in_order() {
    let mut job = job(&[2, 2]);
    assert_eq!(next(&job, &request("a", &[]), at(1)), Some(slot(0)));
    lease(&mut job, &slot(0), 1, "a", at(1));
    assert_eq!(next(&job, &request("b", &[]), at(1)), Some(slot(1)));
    lease(&mut job, &slot(1), 2, "b", at(1));
    assert_eq!(next(&job, &request("c", &[]), at(1)), None);
}

#[test]
fn an_expired_lease_returns_its_slot_and_is_written_down() {
    let mut job = job(&[2]);
    lease(&mut job, &slot(0), 1, "a", at(0));
    assert!(job.expire(at(29), &Machines::default()).is_empty());
    let lost = job.expire(at(30), &Machines::default());
    assert_eq!(lost.len(), 1);
    assert_eq!(
        (lost[0].class, &lost[0].worker),
        (FailureClass::Lost, &worker("a"))
    );
    assert_eq!(next(&job, &request("b", &[]), at(30)), Some(slot(0)));
}

#[test]
fn a_renewed_lease_without_progress_is_lost_in_the_end() {
    let mut job = job(&[2]);
    lease(&mut job, &slot(0), 1, "a", at(0));
    for seconds in (20..600).step_by(20) {
        let event = Event::Renewed {
            slot: slot(0),
            attempt: attempt(1),
            worker: worker("a"),
            done: done(0, 0),
        };
        job.apply(event, at(seconds));
        assert!(
            job.expire(at(seconds), &Machines::default()).is_empty(),
            "{seconds} s"
        );
    }
    assert_eq!(job.expire(at(600), &Machines::default()).len(), 1);
}

#[test]
fn an_unknown_attempt_is_adopted_if_its_slot_is_free() {
    let mut job = job(&[2, 2]);
    let renewed = |slot: &SlotId, number, name| Event::Renewed {
        slot: slot.clone(),
        attempt: attempt(number),
        worker: worker(name),
        done: done(1, 5),
    };
    job.apply(renewed(&slot(0), 9, "a"), at(1));
    assert!(job.is_leased(&slot(0), &attempt(9)));
    assert_eq!(job.totals().rows_in_flight, 1);
    job.apply(filled(&slot(1), 2), at(1));
    job.apply(renewed(&slot(1), 10, "a"), at(2));
    assert!(!job.is_leased(&slot(1), &attempt(10)));
}

#[test]
fn the_work_done_includes_what_is_in_flight() {
    let mut job = job(&[2, 4]);
    let renewed = |slot: &SlotId, rows_done, tokens_done| Event::Renewed {
        slot: slot.clone(),
        attempt: attempt(1),
        worker: worker("a"),
        done: done(rows_done, tokens_done),
    };
    let work = |job: &Job| (job.totals().work_done, job.totals().work);
    assert_eq!(work(&job), (0, 60));
    job.apply(renewed(&slot(0), 1, 5), at(1));
    assert_eq!(work(&job), (5, 60));
    job.apply(filled(&slot(0), 2), at(2));
    assert_eq!(work(&job), (20, 60));
    // The first slot took 7 tokens where 20 were estimated, so 7 tokens in the second count as 20.
    job.apply(renewed(&slot(1), 2, 7), at(3));
    assert_eq!(work(&job), (40, 60));
    let split = Event::Split {
        slot: slot(1),
        bytes: 1,
    };
    job.apply(split, at(4));
    assert_eq!(work(&job), (20, 60));
}

#[test]
fn a_filled_slot_stays_filled_whatever_comes_late() {
    let mut job = job(&[2, 1]);
    lease(&mut job, &slot(0), 1, "a", at(0));
    job.apply(filled(&slot(0), 2), at(5));
    let before = job.totals();
    for late in [
        filled(&slot(0), 2),
        Event::Released {
            slot: slot(0),
            attempt: attempt(1),
        },
        Event::Failed {
            failure: failure(&slot(0), 1, "a", FailureClass::Internal),
            jitter: 0.5,
            num_workers: 1,
        },
        Event::Split {
            slot: slot(0),
            bytes: 1,
        },
    ] {
        job.apply(late, at(6));
    }
    assert_eq!(job.totals(), before);
    assert!(matches!(job.slot(&slot(0)), Some(SlotState::Filled(_))));
    assert_eq!((before.rows_done, before.tokens_done), (2, 7));
}

#[test]
fn a_job_whose_slots_are_filled_is_due_to_be_sealed() {
    let mut job = job(&[2, 1]);
    job.apply(filled(&slot(0), 2), at(1));
    assert_eq!(job.due(at(0)), [Due::Verify(slot(0))]);
    job.apply(verified(&slot(0)), at(1));
    assert_eq!(job.due(at(0)), []);
    job.apply(filled(&slot(1), 1), at(1));
    assert_eq!(job.due(at(0)), [Due::Verify(slot(1))]);
    verify_all(&mut job, at(1));
    assert_eq!(job.due(at(0)), [Due::Seal]);
    assert!(job.digest(&slot(0)).is_some());
    job.apply(Event::Sealed, at(2));
    assert_eq!((job.due(at(0)), job.phase()), (Vec::new(), &Phase::Sealed));
    // The manifest has them.
    assert_eq!(job.digest(&slot(0)), None);
}

#[test]
fn what_kills_two_workers_is_split_and_a_single_row_quarantined() {
    let mut job = job(&[2]);
    for (number, name) in [(1, "a"), (2, "b")] {
        let now = at(100 * number as u64);
        lease(&mut job, &slot(0), number, name, now);
        job.expire(at(100 * number as u64 + 30), &Machines::default());
    }
    assert_eq!(job.due(at(0)), [Due::Split(slot(0))]);
    assert_eq!(next(&job, &request("c", &[]), at(300)), None);
    job.apply(
        Event::Split {
            slot: slot(0),
            bytes: 3,
        },
        at(300),
    );
    let [first, second] = slot(0).split();
    assert_eq!(next(&job, &request("c", &[]), at(300)), Some(first.clone()));
    for number in 3..6 {
        fail(&mut job, &first, number, FailureClass::Internal, at(400));
    }
    let quarantine = Due::Quarantine {
        slot: first.clone(),
        class: FailureClass::Internal,
        message: "it broke".to_owned(),
    };
    verify_all(&mut job, at(400));
    assert_eq!(job.due(at(0)), [quarantine]);
    job.apply(filled(&first, 1), at(500));
    job.apply(filled(&second, 1), at(500));
    verify_all(&mut job, at(500));
    assert_eq!(job.due(at(0)), [Due::Seal]);
    assert_eq!(job.totals().slots, 2);
}

#[test]
fn an_outage_makes_slots_rest_longer_and_longer_but_costs_none() {
    let mut job = job(&[2]);
    let mut now = 0;
    for (number, rest) in [1_u64, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        fail(
            &mut job,
            &slot(0),
            number as u128,
            FailureClass::Transient,
            at(now),
        );
        assert_eq!(next(&job, &request("w", &[]), at(now + rest - 1)), None);
        assert_eq!(
            next(&job, &request("w", &[]), at(now + rest)),
            Some(slot(0))
        );
        now += rest;
    }
    assert_eq!(job.due(at(0)), []);
}

#[test]
fn what_no_worker_can_do_fails_the_job_until_it_is_submitted_again() {
    for class in [FailureClass::Model, FailureClass::Storage] {
        nobody_can(class);
    }
}

fn nobody_can(class: FailureClass) {
    let mut job = job(&[2]);
    fail(&mut job, &slot(0), 1, class, at(1));
    assert!(matches!(
        job.phase(),
        Phase::Failed {
            is_final: false,
            ..
        }
    ));
    assert_eq!(
        (job.due(at(0)), next(&job, &request("w", &[]), at(2))),
        (Vec::new(), None)
    );
    job.apply(Event::Resubmitted, at(3));
    assert_eq!(next(&job, &request("w", &[]), at(3)), Some(slot(0)));
}

#[test]
fn one_worker_without_the_model_does_not_fail_the_job() {
    let mut job = job(&[2]);
    lease(&mut job, &slot(0), 1, "a", at(1));
    let event = Event::Failed {
        failure: failure(&slot(0), 1, "a", FailureClass::Model),
        jitter: 0.0,
        num_workers: 4,
    };
    job.apply(event, at(1));
    assert_eq!(next(&job, &request("a", &[]), at(2)), None);
    assert_eq!(next(&job, &request("b", &[]), at(2)), Some(slot(0)));
}

#[test]
fn a_specification_that_cannot_be_is_recorded_once() {
    let mut job = job(&[2]);
    fail(&mut job, &slot(0), 1, FailureClass::Specification, at(1));
    assert_eq!(job.due(at(0)), [Due::Fail("it broke".to_owned())]);
    job.apply(Event::FoundFailed("it broke".to_owned()), at(2));
    assert_eq!(job.due(at(0)), []);
    job.apply(Event::Resubmitted, at(3));
    assert!(matches!(job.phase(), Phase::Failed { is_final: true, .. }));
}

#[test]
fn an_object_with_other_rows_than_planned_stops_the_job() {
    let mut job = job(&[2]);
    job.apply(filled(&slot(0), 3), at(1));
    assert!(matches!(job.phase(), Phase::Failed { .. }));
    assert_eq!(job.totals().rows_done, 0);
}

#[test]
fn a_cancelled_job_hands_nothing_out() {
    let mut job = job(&[2]);
    job.apply(Event::Cancelled, at(1));
    assert_eq!(next(&job, &request("a", &[]), at(2)), None);
    lease(&mut job, &slot(0), 1, "a", at(2));
    assert!(!job.is_leased(&slot(0), &attempt(1)));
}

#[test]
fn a_straggler_gets_one_backup_from_another_worker() {
    let mut job = job(&[1, 1]);
    lease(&mut job, &slot(0), 1, "a", at(0));
    job.apply(filled(&slot(0), 1), at(10));
    lease(&mut job, &slot(1), 2, "a", at(10));
    assert_eq!(next(&job, &request("b", &[]), at(70)), None);
    assert_eq!(next(&job, &request("a", &[]), at(71)), None);
    assert_eq!(next(&job, &request("b", &[]), at(71)), Some(slot(1)));
    lease(&mut job, &slot(1), 3, "b", at(71));
    assert_eq!(next(&job, &request("c", &[]), at(200)), None);
}

#[test]
fn a_worker_keeps_its_loaded_model_until_another_job_starves() {
    let (mut first, mut second) = (job_of("m1", &[1, 1]), job_of("m2", &[1, 1]));
    let asked = request("a", &["m2"]);
    let choose = |first: &Job, second: &Job, now| {
        let chosen = scheduler::assign(
            [first, second].into_iter(),
            &Tenants::default(),
            &asked,
            now,
        );
        chosen[0].job.clone()
    };
    lease(&mut first, &slot(0), 1, "b", at(0));
    lease(&mut second, &slot(0), 2, "a", at(0));
    assert_eq!(choose(&first, &second, at(10)), *second.id());
    first.apply(filled(&slot(0), 1), at(20));
    assert_eq!(choose(&first, &second, at(100)), *second.id());
    assert_eq!(choose(&first, &second, at(121)), *first.id());
}

#[test]
fn a_backup_that_is_left_is_the_regular_attempt_and_may_get_a_backup_itself() {
    let mut job = job(&[1, 1]);
    lease(&mut job, &slot(0), 1, "a", at(0));
    job.apply(filled(&slot(0), 1), at(10));
    lease(&mut job, &slot(1), 2, "a", at(10));
    lease(&mut job, &slot(1), 3, "b", at(80));
    let progress = |number, name, rows_done| Event::Renewed {
        slot: slot(1),
        attempt: attempt(number),
        worker: worker(name),
        done: done(rows_done, 0),
    };
    job.apply(progress(3, "b", 1), at(90));
    assert_eq!(job.totals().rows_in_flight, 0);
    let released = Event::Released {
        slot: slot(1),
        attempt: attempt(2),
    };
    job.apply(released, at(91));
    assert_eq!(job.totals().rows_in_flight, 1);
    assert_eq!(next(&job, &request("c", &[]), at(100)), None);
    assert_eq!(next(&job, &request("c", &[]), at(200)), Some(slot(1)));
}

#[test]
fn a_model_is_given_up_when_three_workers_could_not_load_it() {
    let mut job = job(&[2]);
    for (number, name) in (1..).zip(["a", "a", "b", "c"]) {
        assert_eq!(*job.phase(), Phase::Running);
        lease(&mut job, &slot(0), number, name, at(1));
        let event = Event::Failed {
            failure: failure(&slot(0), number, name, FailureClass::Model),
            jitter: 0.0,
            num_workers: 100,
        };
        job.apply(event, at(1));
    }
    let expected = Phase::Failed {
        message: "it broke; submit it again to resume".to_owned(),
        is_final: false,
    };
    assert_eq!(*job.phase(), expected);
}

#[test]
fn an_attempt_that_outlives_the_end_of_its_slot_still_counts_if_it_is_first() {
    let mut job = job(&[2]);
    fail(&mut job, &slot(0), 1, FailureClass::TooLarge, at(1));
    assert_eq!(job.due(at(0)), [Due::Split(slot(0))]);
    job.apply(filled(&slot(0), 2), at(2));
    verify_all(&mut job, at(2));
    assert_eq!(job.due(at(0)), [Due::Seal]);
    // What the coordinator wanted to write came too late.
    let late = Event::Split {
        slot: slot(0),
        bytes: 3,
    };
    job.apply(late, at(3));
    assert_eq!((job.totals().slots, job.due(at(0))), (1, vec![Due::Seal]));
}

#[test]
fn events_of_slots_that_the_job_does_not_have_change_nothing() {
    let mut job = job(&[2]);
    let before = (job.totals(), job.due(at(0)), job.phase().clone());
    lease(&mut job, &slot(9), 1, "a", at(1));
    for event in [
        filled(&slot(9), 2),
        Event::Split {
            slot: slot(9),
            bytes: 1,
        },
        Event::Released {
            slot: slot(0),
            attempt: attempt(1),
        },
        Event::FoundFailure(failure(&slot(9), 1, "a", FailureClass::TooLarge)),
        Event::Failed {
            failure: failure(&slot(0), 1, "a", FailureClass::Specification),
            jitter: 0.5,
            num_workers: 1,
        },
    ] {
        job.apply(event, at(2));
    }
    assert_eq!((job.totals(), job.due(at(0)), job.phase().clone()), before);
}

#[test]
fn a_job_whose_data_changed_ends_until_it_is_submitted_again() {
    let mut job = job(&[2]);
    lease(&mut job, &slot(0), 1, "a", at(1));
    let changed = Event::DatasetUnreadable("`rows.jsonl` changed".to_owned());
    job.apply(changed.clone(), at(2));
    let Phase::Failed { message, is_final } = job.phase() else {
        panic!("{:?}", job.phase());
    };
    assert!(
        message.contains("`rows.jsonl` changed; restore the data"),
        "{message}"
    );
    assert!(!is_final);
    assert_eq!(next(&job, &request("b", &[]), at(3)), None);
    job.apply(Event::Resubmitted, at(4));
    assert_eq!(*job.phase(), Phase::Running);
    job.apply(Event::Cancelled, at(5));
    job.apply(changed, at(6));
    assert_eq!(*job.phase(), Phase::Cancelled);
}
