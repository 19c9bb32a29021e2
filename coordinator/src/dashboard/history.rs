//! How fast jobs advance: their progress at regular times, kept for half an hour in memory.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use whence_schemas::JobId;

use crate::job::{Phase, Timestamp};
use crate::state::State;

/// Time between two samples.
pub(super) const SAMPLED_EVERY: Duration = Duration::from_secs(5);
/// Samples that are kept of a job: half an hour of them.
const KEPT: usize = 360;
/// A pace is that of the last minute: shorter, and the end of each slot would make it jump.
const RECENT: Duration = Duration::from_mins(1);

/// The progress of a job at one time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Timestamp,
    tokens: u64,
    work: u64,
}

/// How fast a job advances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// Tokens that are attributed per second.
    pub(super) tokens: f64,
    /// Estimated work that is done per second, in tokens of the plan.
    pub(super) work: f64,
}

impl Pace {
    /// Returns how long `work` takes; `None` if nothing moves, or it would take longer than anybody
    /// plans for.
    pub(super) fn time_for(self, work: u64) -> Option<Duration> {
        let seconds = work as f64 / self.work;
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| *time < Duration::from_hours(24 * 365))
    }
}

/// The progress of the running jobs over time.
#[derive(Debug, Default)]
pub(super) struct History(BTreeMap<JobId, VecDeque<Sample>>);

impl History {
    /// Takes a sample of every running job, and forgets those that have ended.
    pub(super) fn record(&mut self, state: &State, now: Timestamp) {
        let is_running = |id: &JobId| {
            let job = state.jobs.get(id);
            job.is_some_and(|job| *job.phase() == Phase::Running)
        };
        self.0.retain(|id, _| is_running(id));
        for (id, job) in &state.jobs {
            if *job.phase() != Phase::Running {
                continue;
            }
            let totals = job.totals();
            let samples = self.0.entry(id.clone()).or_default();
            samples.push_back(Sample {
                at: now,
                tokens: totals.tokens_done,
                work: totals.work_done,
            });
            if samples.len() > KEPT {
                samples.pop_front();
            }
        }
    }

    /// Returns the pace of a job in the last minute; `None` if it was not watched for long enough.
    pub(super) fn pace(&self, job: &JobId) -> Option<Pace> {
        let samples = self.0.get(job)?;
        let last = samples.back()?;
        let mut recent = samples.iter().rev();
        let first = recent
            .by_ref()
            .take_while(|it| last.at.since(it.at) <= RECENT);
        pace(first.last()?, last)
    }

    /// Returns the tokens per second of a job between each sample and the next one.
    pub(super) fn throughput(&self, job: &JobId) -> Vec<f64> {
        let Some(samples) = self.0.get(job) else {
            return Vec::new();
        };
        let pairs = samples.iter().zip(samples.iter().skip(1));
        let paces = pairs.filter_map(|(earlier, later)| pace(earlier, later));
        paces.map(|pace| pace.tokens).collect()
    }
}

fn pace(earlier: &Sample, later: &Sample) -> Option<Pace> {
    let seconds = later.at.since(earlier.at).as_secs_f64();
    // A lost attempt takes its progress back, which is no negative speed.
    let per_second = |earlier: u64, later: u64| later.saturating_sub(earlier) as f64 / seconds;
    (seconds > 0.0).then(|| Pace {
        tokens: per_second(earlier.tokens, later.tokens),
        work: per_second(earlier.work, later.work),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Event;
    use crate::job::tests::job;
    use crate::testing::{at, attempt, done, slot, worker};

    /// Returns a state whose job has done this many tokens in its first slot.
    fn advanced(state: &mut State, id: &JobId, tokens: u64, seconds: u64) {
        let event = Event::Renewed {
            slot: slot(0),
            attempt: attempt(1),
            worker: worker("a"),
            done: done(0, tokens),
        };
        state.apply(id, event, at(seconds));
    }

    #[test]
    fn a_pace_is_that_of_the_last_minute() {
        let running = job(&[3, 2]);
        let id = running.id().clone();
        let mut state = State::of_jobs(vec![running]);
        let mut history = History::default();
        assert_eq!(history.pace(&id), None);
        for minute in 0..5 {
            // Ten tokens per second at first, then two.
            let tokens = if minute < 3 {
                minute * 600
            } else {
                1200 + (minute - 2) * 120
            };
            advanced(&mut state, &id, tokens, minute * 60);
            history.record(&state, at(minute * 60));
        }
        assert_eq!(history.pace(&id).map(|pace| pace.tokens), Some(2.0));
        assert_eq!(history.throughput(&id), [10.0, 10.0, 2.0, 2.0]);
    }

    #[test]
    fn ended_jobs_are_forgotten_and_the_memory_is_bounded() {
        let running = job(&[3]);
        let id = running.id().clone();
        let mut state = State::of_jobs(vec![running]);
        let mut history = History::default();
        for second in 0..2 * KEPT as u64 {
            history.record(&state, at(second));
        }
        assert_eq!(history.throughput(&id).len(), KEPT - 1);
        state.apply(&id, Event::Cancelled, at(0));
        history.record(&state, at(9999));
        assert!(history.throughput(&id).is_empty());
    }

    #[test]
    fn what_does_not_move_has_no_end() {
        let pace = |work| Pace { tokens: 1.0, work };
        assert_eq!(pace(2.0).time_for(60), Some(Duration::from_secs(30)));
        assert_eq!(pace(0.0).time_for(60), None);
        assert_eq!(pace(0.0).time_for(0), None);
        assert_eq!(pace(1e-9).time_for(60), None);
    }
}
