//! The workers that a coordinator hears from, and how long each was there.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use whence_schemas::{WorkerClass, WorkerId, WorkerRequirements};

use super::Timestamp;
use super::evidence::Risk;

/// Workers to remember after they are gone.
const MAX_GONE: usize = 4096;

/// The workers that were heard from recently, and those that are gone.
#[derive(Debug, Default)]
pub struct Machines {
    there: BTreeMap<WorkerId, Life>,
    /// What the workers there compute with, as far as they said it.
    classes: BTreeMap<WorkerId, WorkerClass>,
    gone: VecDeque<Life>,
}

/// From when to when a worker was heard.
#[derive(Debug, Clone, Copy)]
struct Life {
    since: Timestamp,
    heard: Timestamp,
}

/// A worker that was heard from recently.
#[derive(Debug, Clone, Copy)]
pub struct Presence<'m> {
    /// Its name.
    pub worker: &'m WorkerId,
    /// What it computes with, if it said so.
    pub class: Option<&'m WorkerClass>,
    /// When it was last heard.
    pub heard: Timestamp,
}

impl Machines {
    /// Returns the workers that were heard from recently, sorted by name.
    pub fn present(&self) -> impl Iterator<Item = Presence<'_>> {
        self.there.iter().map(|(worker, life)| Presence {
            worker,
            class: self.classes.get(worker),
            heard: life.heard,
        })
    }

    /// Records that a worker was heard.
    pub fn heard(&mut self, worker: &WorkerId, now: Timestamp) {
        let life = Life {
            since: now,
            heard: now,
        };
        self.there.entry(worker.clone()).or_insert(life).heard = now;
    }

    /// Records what a worker computes with.
    pub fn introduced(&mut self, worker: &WorkerId, class: &WorkerClass) {
        self.classes.insert(worker.clone(), class.clone());
    }

    /// Returns whether workers are there and none of them has what a job asks for.
    pub fn none_fits(&self, asked: &WorkerRequirements) -> bool {
        let is_known = !self.classes.is_empty();
        is_known && !self.classes.values().any(|class| asked.accept(class))
    }

    /// Returns the memory of a worker; `None` if it has no bound, or has said nothing yet.
    pub fn memory_of(&self, worker: &WorkerId) -> Option<u64> {
        self.classes.get(worker)?.memory
    }

    /// Returns whether a worker that `may_work` has more than `memory`.
    pub fn has_larger(
        &self,
        memory: u64,
        may_work: impl Fn(&WorkerId, &WorkerClass) -> bool,
    ) -> bool {
        let is_larger = |class: &WorkerClass| class.memory.is_none_or(|theirs| theirs > memory);
        let mut classes = self.classes.iter();
        classes.any(|(worker, class)| is_larger(class) && may_work(worker, class))
    }

    /// Returns how many workers are there.
    pub fn num_there(&self) -> usize {
        self.there.len()
    }

    /// Takes the workers that have been silent for `silence` for gone. Returns whether there are any.
    pub fn expire(&mut self, now: Timestamp, silence: Duration) -> bool {
        let num_there = self.there.len();
        let (gone, classes) = (&mut self.gone, &mut self.classes);
        self.there.retain(|worker, life| {
            let is_there = now.since(life.heard) < silence;
            if !is_there {
                gone.push_back(*life);
                classes.remove(worker);
            }
            is_there
        });
        while self.gone.len() > MAX_GONE {
            self.gone.pop_front();
        }
        self.there.len() != num_there
    }

    /// Returns how long all workers together were there since `since`, and how many of them fell
    /// silent: those not heard for `ttl`.
    pub(super) fn risk(&self, since: Timestamp, now: Timestamp, ttl: Duration) -> Risk {
        let mut risk = Risk::default();
        for life in self.there.values().chain(&self.gone) {
            if life.heard >= since {
                let is_silent = now.since(life.heard) >= ttl;
                risk.add(life.heard.since(life.since.max(since)), is_silent);
            }
        }
        risk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, worker};

    #[test]
    fn a_silent_worker_is_a_loss_and_later_forgotten() {
        let mut machines = Machines::default();
        let (ttl, silence) = (Duration::from_secs(30), Duration::from_mins(1));
        for seconds in (0..=100).step_by(10) {
            machines.heard(&worker("a"), at(seconds));
            if seconds <= 40 {
                machines.heard(&worker("b"), at(seconds));
            }
        }
        let risk = |machines: &Machines, since| {
            let risk = machines.risk(at(since), at(100), ttl);
            (risk.losses, risk.work.as_secs())
        };
        assert_eq!(risk(&machines, 0), (1, 140));
        assert_eq!(risk(&machines, 30), (1, 80));
        assert_eq!(risk(&machines, 50), (0, 50));
        assert!(machines.expire(at(100), silence));
        assert_eq!(machines.num_there(), 1);
        let present = machines.present().map(|it| (it.worker, it.heard));
        assert_eq!(present.collect::<Vec<_>>(), [(&worker("a"), at(100))]);
        assert_eq!(risk(&machines, 0), (1, 140));
        assert!(!machines.expire(at(100), silence));
    }

    #[test]
    fn a_job_waits_if_those_who_are_there_lack_what_it_asks_for() {
        let mut machines = Machines::default();
        let asked = WorkerRequirements {
            memory: Some(100),
            ..WorkerRequirements::default()
        };
        let class = |memory| WorkerClass {
            memory: Some(memory),
            ..WorkerClass::default()
        };
        assert!(!machines.none_fits(&asked));
        machines.heard(&worker("small"), at(0));
        machines.introduced(&worker("small"), &class(99));
        assert!(machines.none_fits(&asked));
        machines.heard(&worker("large"), at(50));
        machines.introduced(&worker("large"), &class(100));
        assert!(!machines.none_fits(&asked));
        // The only one that would do is gone.
        machines.heard(&worker("small"), at(100));
        machines.expire(at(115), Duration::from_mins(1));
        assert!(machines.none_fits(&asked));
    }
}
