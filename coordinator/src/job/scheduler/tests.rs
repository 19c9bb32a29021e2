//! Laws of what is handed out, whatever happened before.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::tests::{failure, job_of, lease};
use super::super::{Event, FailureClass};
use super::*;
use crate::testing::{at, filled, slot, worker};

/// What has happened to a slot.
#[derive(Debug, Clone, Copy)]
enum Past {
    Nothing,
    Leased,
    Filled,
    /// It failed, and rests for at most this many seconds, because its worker could not reach the
    /// store.
    Rests(f64),
    Split,
}

fn pasts() -> impl Strategy<Value = Vec<Past>> {
    let past = prop_oneof![
        3 => Just(Past::Nothing),
        1 => Just(Past::Leased),
        1 => Just(Past::Filled),
        1 => (0.0..1.0).prop_map(Past::Rests),
        1 => Just(Past::Split),
    ];
    vec(past, 1..5)
}

/// Returns a job of shards with two rows each, to which this has happened.
fn job(model: usize, submitted_ms: u64, pasts: &[Past]) -> Job {
    let mut job = job_of(&format!("m{model}"), &vec![2; pasts.len()]);
    job.set_submitted_ms(submitted_ms);
    for (index, past) in pasts.iter().enumerate() {
        let slot = slot(index);
        match past {
            Past::Nothing => {}
            Past::Leased => lease(&mut job, &slot, index as u128, "other", at(0)),
            Past::Filled => job.apply(filled(&slot, 2), at(0)),
            Past::Split => job.apply(Event::Split { slot, bytes: 1 }, at(0)),
            Past::Rests(jitter) => {
                lease(&mut job, &slot, index as u128, "other", at(0));
                let event = Event::Failed {
                    failure: failure(&slot, index as u128, "other", FailureClass::Transient),
                    jitter: *jitter,
                    num_workers: 2,
                };
                job.apply(event, at(0));
            }
        }
    }
    job
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    vec((0..3_u64, pasts()), 1..4).prop_map(|jobs| {
        let jobs = jobs.iter().enumerate();
        jobs.map(|(model, (submitted, pasts))| job(model, *submitted, pasts))
            .collect()
    })
}

fn request(credits: usize, loaded: &[usize]) -> Request {
    Request {
        worker: worker("a"),
        credits,
        loaded: loaded.iter().map(|model| format!("m{model}")).collect(),
        class: WorkerClass::default(),
    }
}

proptest! {
    #[test]
    fn every_slot_that_may_be_leased_is_handed_out_once_and_no_other(
        jobs in jobs(),
        loaded in vec(0..4_usize, 0..3),
        millis in 0..1500_u64,
    ) {
        let now = Timestamp(Duration::from_millis(millis));
        let chosen = assign(jobs.iter(), &Tenants::default(), &request(1000, &loaded), now);
        let pairs = chosen.iter().map(|chosen| (chosen.job.clone(), chosen.slot.clone()));
        let found: BTreeSet<_> = pairs.collect();
        prop_assert_eq!(found.len(), chosen.len());
        let free = jobs.iter().flat_map(|job| {
            let is_free = |state: &SlotState| {
                matches!(state, SlotState::Pending { not_before } if *not_before <= now)
            };
            let free = job.slots().filter(move |(_, state)| is_free(state));
            free.map(|(slot, _)| (job.id().clone(), slot.clone()))
        });
        prop_assert_eq!(found, free.collect::<BTreeSet<_>>());
    }

    #[test]
    fn fewer_credits_get_the_first_of_the_same_slots(
        jobs in jobs(),
        loaded in vec(0..4_usize, 0..3),
        credits in 0..9_usize,
    ) {
        let mut all = assign(jobs.iter(), &Tenants::default(), &request(1000, &loaded), at(1));
        let some = assign(jobs.iter(), &Tenants::default(), &request(credits, &loaded), at(1));
        all.truncate(credits);
        prop_assert_eq!(some, all);
    }

    #[test]
    fn jobs_whose_model_is_loaded_come_first_and_each_kind_in_the_order_of_submission(
        jobs in jobs(),
        loaded in vec(0..4_usize, 0..3),
    ) {
        let request = request(1000, &loaded);
        let chosen = assign(jobs.iter(), &Tenants::default(), &request, at(1));
        let places = chosen.iter().map(|chosen| {
            let job = jobs.iter().find(|job| *job.id() == chosen.job).expect("a known job");
            let digest = &job.spec().model.digest;
            let place = request.loaded.iter().position(|loaded| loaded == digest);
            (place.unwrap_or(usize::MAX), job.order(), chosen.slot.clone())
        });
        prop_assert!(places.is_sorted());
    }

    #[test]
    fn the_percentile_is_the_least_duration_that_95_in_100_do_not_exceed(
        seconds in vec(0..100_u64, 1..300),
    ) {
        let durations: Vec<_> = seconds.iter().map(|&n| Duration::from_secs(n)).collect();
        let percentile = percentile_95(&durations).expect("there are durations");
        let within = |limit: Duration| {
            let count = durations.iter().filter(|duration| **duration <= limit).count();
            count * 100 >= durations.len() * 95
        };
        prop_assert!(within(percentile));
        let shorter = durations.iter().filter(|duration| **duration < percentile).max();
        prop_assert!(shorter.is_none_or(|shorter| !within(*shorter)));
    }
}

#[test]
fn without_a_finished_attempt_nobody_knows_what_is_slow() {
    assert_eq!(percentile_95(&[]), None);
    let mut job = job_of("m", &[2]);
    lease(&mut job, &slot(0), 1, "other", at(0));
    let chosen = assign(
        std::iter::once(&job),
        &Tenants::default(),
        &request(1, &[]),
        at(100_000),
    );
    assert_eq!(chosen, []);
}
