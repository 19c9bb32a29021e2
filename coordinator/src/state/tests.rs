//! Tests of the state, which need no clock, lock or store.

use std::time::Duration;

use whence_schemas::{Attempt, Epoch, JobId};

use super::*;
use crate::job::tests as jobs;
use crate::testing::{self, at, filled, request, slot, verified, worker};

const OURS: Epoch = Epoch(3);

fn attempt() -> Attempt {
    testing::attempt(7)
}

/// Returns a state with one job of two slots, and the job's id.
fn with_job() -> (State, JobId) {
    let job = jobs::job(&[2, 2]);
    let id = job.id().clone();
    (State::of_jobs(vec![job]), id)
}

fn progress(at: &AttemptAt) -> AttemptProgress {
    AttemptProgress::none(at)
}

#[test]
fn a_coordinator_that_steps_down_or_drains_says_which() {
    let mut state = State::default();
    assert!(state.serving(OURS).is_ok());
    state.is_draining = true;
    assert!(matches!(state.serving(OURS), Err(Error::Draining)));
    state.newer = Some(Epoch(4));
    let stepped_down = state.serving(OURS).unwrap_err();
    assert!(matches!(
        stepped_down,
        Error::SteppedDown {
            ours: OURS,
            newer: Epoch(4)
        }
    ));
}

#[test]
fn an_unknown_job_is_an_error_that_names_it() {
    let (state, _) = with_job();
    let unknown = JobId::of("another");
    let error = state.summary(&unknown).unwrap_err();
    assert!(error.to_string().contains(unknown.as_str()), "{error}");
    assert!(state.job(&unknown).is_err());
}

#[test]
fn a_worker_that_asks_is_known_and_gets_a_slot_under_a_new_attempt() {
    let (mut state, id) = with_job();
    let assigned = state.assign(&request("a", 1), &Tenants::default(), at(1), attempt);
    assert_eq!(assigned.len(), 1);
    let [slot] = &assigned[..] else {
        unreachable!()
    };
    assert_eq!((&slot.at.job, &slot.at.attempt), (&id, &attempt()));
    assert_eq!(slot.rows, 2);
    assert!(slot.slot_key.ends_with("part-p000000.parquet"));
    let summary = state.summary(&id).unwrap();
    assert_eq!((summary.workers, summary.totals.slots_leased), (1, 1));
}

#[test]
fn only_attempts_whose_result_is_of_use_go_on() {
    let (mut state, id) = with_job();
    let ours = state
        .assign(&request("a", 1), &Tenants::default(), at(1), attempt)
        .remove(0)
        .at;
    let of_unknown_job = AttemptAt {
        job: JobId::of("gone"),
        ..ours.clone()
    };
    let reported = [progress(&ours), progress(&of_unknown_job)];
    let stop = state.renew(&worker("a"), &reported, at(2));
    assert_eq!(stop, [of_unknown_job]);
    state.apply(&id, filled(&slot(0), 2), at(3));
    let stop = state.renew(&worker("a"), &[progress(&ours)], at(4));
    assert_eq!(stop, [ours]);
}

#[test]
fn a_cancelled_job_stops_its_attempts_and_is_not_taken_up_again() {
    let (mut state, id) = with_job();
    let ours = state
        .assign(&request("a", 1), &Tenants::default(), at(1), attempt)
        .remove(0)
        .at;
    state.apply(&id, Event::Cancelled, at(2));
    let stop = state.renew(&worker("a"), &[progress(&ours)], at(3));
    assert_eq!(stop, [ours]);
    let error = state.resubmit(&id, at(4)).unwrap_err().to_string();
    assert!(
        error.contains("was cancelled") && error.contains("--run-id"),
        "{error}"
    );
    assert!(state.running().is_empty());
}

#[test]
fn resubmitting_finds_a_known_job_and_no_other() {
    let (mut state, id) = with_job();
    assert!(state.resubmit(&id, at(1)).unwrap());
    assert!(!state.resubmit(&JobId::of("another"), at(1)).unwrap());
}

#[test]
fn silent_workers_lose_their_leases_first_and_are_forgotten_later() {
    let (mut state, id) = with_job();
    state.assign(&request("a", 1), &Tenants::default(), at(0), attempt);
    let silence = Duration::from_mins(1);
    assert_eq!(state.expire(at(29), silence), Expired::default());
    let expired = state.expire(at(31), silence);
    assert_eq!(expired.lost.len(), 1);
    assert_eq!(
        (&expired.lost[0].0, &expired.lost[0].1.worker),
        (&id, &worker("a"))
    );
    assert_eq!(state.summary(&id).unwrap().workers, 1);
    let expired = state.expire(at(61), silence);
    assert_eq!((expired.lost.len(), expired.is_any), (0, true));
    assert_eq!(state.summary(&id).unwrap().workers, 0);
}

#[test]
fn a_slot_that_rests_says_when_it_may_be_leased() {
    let (mut state, id) = with_job();
    assert_eq!(state.next_rested(at(5)), None);
    for _ in 0..2 {
        let leased = state
            .assign(&request("a", 1), &Tenants::default(), at(5), attempt)
            .remove(0)
            .at;
        let failure = Failure {
            slot: leased.slot,
            attempt: leased.attempt,
            worker: worker("a"),
            class: FailureClass::Transient,
            message: "the store is away".to_owned(),
        };
        let event = Event::Failed {
            failure,
            jitter: 1.0,
            num_workers: 1,
        };
        state.apply(&id, event, at(5));
    }
    assert_eq!(state.next_rested(at(5)), Some(at(6)));
}

#[test]
fn what_is_due_comes_with_its_job() {
    let (mut state, id) = with_job();
    assert!(state.due(at(0)).is_empty());
    state.apply(&id, filled(&slot(0), 2), at(1));
    state.apply(&id, filled(&slot(1), 2), at(1));
    for slot in [slot(0), slot(1)] {
        assert!(
            state
                .due(at(0))
                .contains(&(id.clone(), Due::Verify(slot.clone())))
        );
        state.apply(&id, verified(&slot), at(2));
    }
    assert_eq!(state.due(at(0)), [(id, Due::Seal)]);
}

#[test]
fn the_newest_job_is_listed_first() {
    let mut newer = jobs::job_of("newer", &[1]);
    let older = jobs::job_of("older", &[1]);
    newer.set_submitted_ms(5);
    let ids = [newer.id().clone(), older.id().clone()];
    let state = State::of_jobs(vec![older, newer]);
    let listed: Vec<_> = state
        .summaries(&Caller::default())
        .into_iter()
        .map(|summary| summary.id)
        .collect();
    assert_eq!(listed, ids);
}

#[test]
fn a_caller_sees_the_jobs_of_its_team_and_an_operator_sees_all() {
    let team = |name: &str| Some(name.parse().unwrap());
    let ours = jobs::job_of("ours", &[1]).of_tenant(team("nlp"));
    let theirs = jobs::job_of("theirs", &[1]).of_tenant(team("web"));
    let nobodys = jobs::job_of("nobodys", &[1]);
    let id = ours.id().clone();
    let others = [theirs.id().clone(), nobodys.id().clone()];
    let state = State::of_jobs(vec![ours, theirs, nobodys]);
    let member = Caller {
        tenant: team("nlp"),
    };
    let seen = |caller: &Caller| state.summaries(caller).len();
    assert_eq!((seen(&member), seen(&Caller::default())), (1, 3));
    assert!(state.check_visible(&id, &member).is_ok());
    for other in &others {
        // The error does not tell that there is such a job.
        let refused = state.check_visible(other, &member).unwrap_err();
        assert!(matches!(refused, Error::UnknownJob(_)), "{refused}");
        assert!(state.check_visible(other, &Caller::default()).is_ok());
    }
}
