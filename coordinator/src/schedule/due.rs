//! Decides what happens at the times of a schedule that have come.

use super::name::ScheduleName;
use super::spec::{CatchUp, Overlap, Schedule};
use super::when::WhenError;

/// A time that is no later than this is on time, although a coordinator was not looking at that moment.
const ON_TIME_MS: u64 = 60_000;
/// Most times that are looked at.
const MOST_TIMES: usize = 1000;
/// Most times that are recorded as missed at once. A clock that jumps ahead and back would otherwise use
/// up all times in between.
const MOST_MISSED: usize = 10;

/// What is known about a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Times up to this one are decided, or were before the schedule.
    pub decided_ms: u64,
    /// Whether jobs of the last fire have not ended.
    pub is_running: bool,
}

/// What happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The jobs are submitted.
    Fire,
    /// The jobs of the fire before are canceled first.
    Replace,
    /// Nothing: the fire before has not ended.
    Skip,
    /// Nothing: no coordinator was there.
    Miss,
}

/// Returns what happens at each time of the schedule that has come by `now_ms`, in the order of the
/// times. A time that is left out stays due.
///
/// Fails if the schedule has no times.
pub fn due(
    name: &ScheduleName,
    schedule: &Schedule,
    seen: Seen,
    now_ms: u64,
) -> Result<Vec<(u64, Decision)>, WhenError> {
    let times = times(name, schedule, seen.decided_ms, now_ms)?;
    let waits = schedule.overlap == Overlap::Queue;
    if waits && seen.is_running {
        return Ok(Vec::new());
    }
    let kept = kept(&times, schedule, now_ms);
    let (missed, kept) = times.split_at(times.len() - kept);
    let recorded = missed.len().saturating_sub(MOST_MISSED);
    let missed = missed[recorded..].iter();
    let mut decided: Vec<_> = missed.map(|time| (*time, Decision::Miss)).collect();
    let fires = match schedule.overlap {
        Overlap::Skip if seen.is_running => Decision::Skip,
        Overlap::Replace if seen.is_running => Decision::Replace,
        _ => Decision::Fire,
    };
    match (waits, kept) {
        (_, []) => {}
        // The others come when this one has ended.
        (true, [first, ..]) => decided.push((*first, fires)),
        // Each would find the one before at work.
        (false, [others @ .., last]) => {
            decided.extend(others.iter().map(|time| (*time, Decision::Skip)));
            decided.push((*last, fires));
        }
    }
    Ok(decided)
}

/// Returns the last times after `since_ms` that have come, with their delays.
fn times(
    name: &ScheduleName,
    schedule: &Schedule,
    since_ms: u64,
    now_ms: u64,
) -> Result<Vec<u64>, WhenError> {
    let mut times = std::collections::VecDeque::new();
    let mut last = since_ms;
    loop {
        let time = schedule.when.after(last)?;
        let delay = delay_ms(name, time, schedule.jitter_seconds);
        if time.saturating_add(delay) > now_ms {
            return Ok(times.into());
        }
        if times.len() == MOST_TIMES {
            times.pop_front();
        }
        times.push_back(time);
        last = time;
    }
}

/// Returns how many of the last `times` are not missed.
fn kept(times: &[u64], schedule: &Schedule, now_ms: u64) -> usize {
    let allowed = ON_TIME_MS + schedule.jitter_seconds.saturating_mul(1000);
    let is_on_time = |time: &&u64| now_ms <= time.saturating_add(allowed);
    let on_time = times.iter().rev().take_while(is_on_time).count();
    let most = match (schedule.overlap, schedule.catch_up) {
        // What waits for the fire before is not late.
        (Overlap::Queue, CatchUp::None | CatchUp::Last) => 1,
        (Overlap::Queue, CatchUp::UpTo(most)) => most as usize,
        (_, CatchUp::None) => on_time,
        (_, CatchUp::Last | CatchUp::UpTo(_)) => on_time.max(1),
    };
    most.min(times.len())
}

/// Returns by how much a fire is late, always the same for the same time of the same schedule.
fn delay_ms(name: &ScheduleName, time: u64, jitter_seconds: u64) -> u64 {
    if jitter_seconds == 0 {
        return 0;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_str().as_bytes());
    hasher.update(&time.to_le_bytes());
    let digest = hasher.finalize();
    let number = digest.as_bytes().first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(number) % jitter_seconds.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::when::When;
    use super::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;

    fn hourly(overlap: Overlap, catch_up: CatchUp) -> Schedule {
        Schedule {
            when: When::Every { seconds: 3600 },
            overlap,
            catch_up,
            jitter_seconds: 0,
            jobs: Vec::new(),
        }
    }

    fn decisions(
        schedule: &Schedule,
        decided_ms: u64,
        is_running: bool,
        now: u64,
    ) -> Vec<(u64, Decision)> {
        let name = "a".parse().unwrap();
        let seen = Seen {
            decided_ms,
            is_running,
        };
        let due = due(&name, schedule, seen, now).unwrap();
        due.into_iter()
            .map(|(time, decision)| (time / HOUR, decision))
            .collect()
    }

    #[test]
    fn a_time_comes_once_and_not_before() {
        use Decision::Fire;
        let schedule = hourly(Overlap::Skip, CatchUp::None);
        assert_eq!(decisions(&schedule, HOUR, false, 2 * HOUR - 1), []);
        assert_eq!(decisions(&schedule, HOUR, false, 2 * HOUR), [(2, Fire)]);
        assert_eq!(decisions(&schedule, 2 * HOUR, false, 2 * HOUR), []);
        // The clock was set back.
        assert_eq!(decisions(&schedule, 2 * HOUR, false, HOUR), []);
    }

    #[test]
    fn times_without_a_coordinator_are_caught_up_as_was_asked() {
        use Decision::{Fire, Miss};
        let at = 4 * HOUR + 30 * MINUTE;
        let of = |catch_up| decisions(&hourly(Overlap::Skip, catch_up), HOUR, false, at);
        assert_eq!(of(CatchUp::None), [(2, Miss), (3, Miss), (4, Miss)]);
        assert_eq!(of(CatchUp::Last), [(2, Miss), (3, Miss), (4, Fire)]);
        let at = 40 * HOUR;
        let many = decisions(&hourly(Overlap::Skip, CatchUp::Last), HOUR, false, at);
        assert_eq!((many.len(), many[10]), (MOST_MISSED + 1, (40, Fire)));
    }

    #[test]
    fn of_times_that_come_at_once_the_last_fires() {
        use Decision::{Fire, Skip};
        let mut schedule = hourly(Overlap::Replace, CatchUp::None);
        schedule.when = When::Every { seconds: 20 };
        let name = "a".parse().unwrap();
        let seen = Seen {
            decided_ms: HOUR,
            is_running: false,
        };
        let due = due(&name, &schedule, seen, HOUR + MINUTE).unwrap();
        let decided: Vec<_> = due.into_iter().map(|(_, decision)| decision).collect();
        assert_eq!(decided, [Skip, Skip, Fire]);
    }

    #[test]
    fn a_fire_that_still_runs_is_respected_as_was_asked() {
        use Decision::{Fire, Replace, Skip};
        let at = 2 * HOUR + 10;
        let of =
            |overlap, is_running| decisions(&hourly(overlap, CatchUp::Last), HOUR, is_running, at);
        assert_eq!(of(Overlap::Skip, true), [(2, Skip)]);
        assert_eq!(of(Overlap::Replace, true), [(2, Replace)]);
        assert_eq!(of(Overlap::Queue, true), []);
        for overlap in [Overlap::Skip, Overlap::Replace, Overlap::Queue] {
            assert_eq!(of(overlap, false), [(2, Fire)]);
        }
    }

    #[test]
    fn what_waits_comes_one_after_the_other() {
        use Decision::{Fire, Miss};
        let at = 5 * HOUR + 30 * MINUTE;
        let of = |catch_up| decisions(&hourly(Overlap::Queue, catch_up), HOUR, false, at);
        assert_eq!(of(CatchUp::UpTo(3)), [(2, Miss), (3, Fire)]);
        assert_eq!(
            of(CatchUp::None),
            [(2, Miss), (3, Miss), (4, Miss), (5, Fire)]
        );
    }

    #[test]
    fn schedules_of_the_same_time_begin_at_different_moments() {
        let mut schedule = hourly(Overlap::Skip, CatchUp::Last);
        schedule.jitter_seconds = 600;
        let began = |name: &str| {
            let seen = Seen {
                decided_ms: HOUR,
                is_running: false,
            };
            let name = name.parse().unwrap();
            let mut moments = (0..600).map(|second| 2 * HOUR + second * 1000);
            moments.find(|now| !due(&name, &schedule, seen, *now).unwrap().is_empty())
        };
        assert!(began("a").is_some() && began("b").is_some());
        assert_ne!(began("a"), began("b"));
        assert_eq!(began("a"), began("a"));
    }

    proptest! {
        #[test]
        fn every_time_is_decided_at_most_once_whatever_the_clock_shows(
            jumps in proptest::collection::vec(-5_i64..20, 1..60),
            overlap in prop_oneof![Just(Overlap::Skip), Just(Overlap::Queue), Just(Overlap::Replace)],
            most in 0_u32..4,
        ) {
            let schedule = hourly(overlap, CatchUp::UpTo(most));
            let (mut now, mut decided) = (100 * HOUR as i64, 100 * HOUR);
            let mut before = 100;
            for (turn, jump) in jumps.into_iter().enumerate() {
                now += jump * HOUR as i64 / 4;
                for (time, _) in decisions(&schedule, decided, turn % 3 == 0, now as u64) {
                    prop_assert!(time > before);
                    before = time;
                    decided = time * HOUR;
                    prop_assert!(decided <= now as u64);
                }
            }
        }
    }
}
