//! Whether lost attempts speak against a slot's rows, or only against the machines.
//!
//! A row that crashes every process that computes it must not keep a cluster busy for ever, and a row
//! whose workers are preempted must not be given up. Both look alike: the worker falls silent. What
//! differs is the company. Preemption takes attempts at all slots alike, a bad row only its own. So the
//! losses of a slot are compared with those of all others over the same time, per second of work.
//!
//! Only losses of attempts that their worker made alone are compared. A crash takes every attempt of a
//! worker along, and says nothing about which of them was at fault.

use std::collections::VecDeque;
use std::time::Duration;

use whence_schemas::SlotId;

use super::Timestamp;

/// Ended attempts to remember. At a hundred attempts per second they reach back 40 seconds.
const MAX_ENDED: usize = 4096;
/// What is assumed of losses before any has been seen: one per minute of work. It weighs little, so that
/// what is seen decides.
const ASSUMED_LOSSES: f64 = 0.5;
const ASSUMED_WORK: Duration = Duration::from_secs(30);
/// How improbable it must be that chance alone causes a slot's losses. A storm of preemptions asks this
/// once per loss, so this is about the number of healthy rows that are given up per 100,000 losses.
const IMPROBABLE: f64 = 1e-5;
/// Losses after which a row is given up in any case. A row that takes longer than machines usually
/// last cannot be told from a bad one, and the job has to end.
const MAX_LOSSES: usize = 16;

/// The time that one attempt worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) since: Timestamp,
    pub(super) lasted: Duration,
}

/// Attempts of a job that have ended, the latest last.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Ended>);

#[derive(Debug)]
struct Ended {
    slot: SlotId,
    span: Span,
    is_lost: bool,
}

/// How much work was done, and how many attempts were lost meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Risk {
    pub(super) losses: usize,
    pub(super) work: Duration,
}

impl Risk {
    pub(super) fn add(&mut self, lasted: Duration, is_lost: bool) {
        self.work += lasted;
        self.losses += usize::from(is_lost);
    }

    /// Returns the risk without these losses, which are part of it.
    pub(super) fn without(self, own: &[Span]) -> Self {
        let own_work = own.iter().map(|span| span.lasted).sum();
        Self {
            losses: self.losses.saturating_sub(own.len()),
            work: self.work.saturating_sub(own_work),
        }
    }
}

impl History {
    /// Remembers an attempt that has ended.
    pub(super) fn add(&mut self, slot: &SlotId, span: Span, is_lost: bool) {
        if self.0.len() == MAX_ENDED {
            self.0.pop_front();
        }
        self.0.push_back(Ended {
            slot: slot.clone(),
            span,
            is_lost,
        });
    }

    /// Returns the risk of the attempts at other slots than `slot` that ended after `since`.
    pub(super) fn of_others(&self, slot: &SlotId, since: Timestamp) -> Risk {
        let mut risk = Risk::default();
        for ended in &self.0 {
            if ended.slot != *slot && ended.span.since.after(ended.span.lasted) >= since {
                risk.add(ended.span.lasted, ended.is_lost);
            }
        }
        risk
    }
}

/// Returns whether the losses `own` of a slot speak against its rows: whether they are improbable by
/// each of `others`.
pub(super) fn is_against(own: &[Span], others: &[Risk]) -> bool {
    let is_improbable = |risk: &Risk| probability(own, *risk) < IMPROBABLE;
    own.len() >= MAX_LOSSES || others.iter().all(is_improbable)
}

/// Returns the probability that a slot loses at least as many attempts as `own` if it has the same risk
/// as the others.
///
/// Losses are taken as a Poisson process of unknown rate. With a gamma prior for the rate, the number
/// of losses in a given time has a negative binomial distribution (Gelman et al., Bayesian Data
/// Analysis, section 2.6).
fn probability(own: &[Span], others: Risk) -> f64 {
    let own_work: f64 = own.iter().map(|span| span.lasted.as_secs_f64()).sum();
    let shape = others.losses as f64 + ASSUMED_LOSSES;
    let work = (others.work + ASSUMED_WORK).as_secs_f64();
    let part = own_work / (work + own_work);
    let mut of_count = (1.0 - part).powf(shape);
    let mut fewer = 0.0;
    for count in 0..own.len() {
        fewer += of_count;
        of_count *= part * (count as f64 + shape) / (count as f64 + 1.0);
    }
    (1.0 - fewer).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, slot};

    fn spans(count: usize, seconds: u64) -> Vec<Span> {
        let span = |index: usize| Span {
            since: at(index as u64 * 60),
            lasted: Duration::from_secs(seconds),
        };
        (0..count).map(span).collect()
    }

    fn risk(losses: usize, seconds: u64) -> Risk {
        Risk {
            losses,
            work: Duration::from_secs(seconds),
        }
    }

    /// Returns how many losses of `seconds` each speak against a slot.
    fn enough(seconds: u64, others: Risk) -> usize {
        let counts = 1..=MAX_LOSSES;
        let mut counts = counts.filter(|count| is_against(&spans(*count, seconds), &[others]));
        counts.next().expect("the most losses are always enough")
    }

    #[test]
    fn the_probability_is_that_of_the_negative_binomial_distribution() {
        // Made with scipy 1.17: nbinom.sf(count - 1, shape, 1 - part).
        for (count, seconds, others, expected) in [
            (3, 5, risk(0, 0), 0.013_399_964_712_331),
            (4, 30, risk(7, 600), 0.072_491_593_605_344),
            (1, 100, risk(0, 200), 0.165_152_890_063_278),
        ] {
            let found = probability(&spans(count, seconds), others);
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn a_row_that_kills_its_workers_stands_out() {
        // It kills at once, while the rest of the job goes well.
        assert_eq!(enough(1, risk(0, 3600)), 2);
        assert_eq!(enough(5, risk(0, 3600)), 2);
        assert_eq!(enough(30, risk(0, 3600)), 3);
        // Some machines are preempted as well.
        assert_eq!(enough(30, risk(3, 3600)), 5);
        // The job is short, so little is known about the machines.
        assert_eq!(enough(1, risk(0, 0)), 6);
    }

    #[test]
    fn in_a_storm_no_row_stands_out() {
        // Four workers, each killed every two seconds for three minutes: a row takes five seconds.
        for lost in [3, 6, 12, 15] {
            let others = risk(3 * lost, 6 * lost as u64);
            assert!(!is_against(&spans(lost, 2), &[others]));
        }
        // Whoever holds one of eight rows of 30 seconds is killed in the middle.
        assert!(!is_against(&spans(3, 15), &[risk(2, 120)]));
        assert!(!is_against(&spans(6, 15), &[risk(5, 240)]));
        // One of several ways to look at it is enough to doubt.
        assert!(!is_against(&spans(3, 5), &[risk(0, 3600), risk(9, 18)]));
    }

    #[test]
    fn a_row_that_outlasts_its_machines_is_given_up_in_the_end() {
        assert_eq!(enough(600, risk(0, 0)), MAX_LOSSES);
    }

    #[test]
    fn a_slot_is_compared_with_others_since_its_first_loss() {
        let mut history = History::default();
        let span = |since, seconds| Span {
            since: at(since),
            lasted: Duration::from_secs(seconds),
        };
        history.add(&slot(0), span(0, 10), true);
        history.add(&slot(1), span(0, 50), false);
        history.add(&slot(1), span(90, 20), true);
        history.add(&slot(0), span(100, 5), true);
        history.add(&slot(2), span(101, 7), false);
        assert_eq!(history.of_others(&slot(0), at(100)), risk(1, 27));
        for _ in 0..MAX_ENDED {
            history.add(&slot(3), span(200, 1), false);
        }
        assert_eq!(history.0.len(), MAX_ENDED);
    }
}
