//! What goes wrong between machines, and when: everything follows from a seed.

use std::time::Duration;

use turmoil::Sim;
use whence_tests::seeds::Random;

/// One thing that goes wrong, and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// Two machines do not reach each other.
    Partition(String, String),
    /// The first machine does not reach the second.
    OneWay(String, String),
    /// What two machines send each other is held back, and arrives at the end.
    Hold(String, String),
    /// A machine stops as if its plug was pulled, and starts again at the end.
    Crash(String),
}

/// A disturbance with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) what: Disturbance,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// Plans the disturbances of `workers` and `coordinators` before `end`.
pub(crate) fn plan(
    random: &mut Random,
    workers: &[String],
    coordinators: &[String],
    end: Duration,
) -> Vec<Planned> {
    let mut planned: Vec<Planned> = Vec::new();
    let mut from = Duration::from_millis(500);
    while from < end {
        let lasts = Duration::from_millis(500 + random.below(20_000) as u64);
        let worker = workers[random.below(workers.len())].clone();
        let coordinator = coordinators[random.below(coordinators.len())].clone();
        let what = match random.below(8) {
            0 | 1 => Disturbance::Partition(worker, coordinator),
            2 => Disturbance::OneWay(worker, coordinator),
            3 => Disturbance::OneWay(coordinator, worker),
            4 => Disturbance::Hold(worker, coordinator),
            5 => Disturbance::Crash(coordinator),
            _ => Disturbance::Crash(worker),
        };
        let until = from + lasts;
        // A link or a machine is disturbed in one way at a time.
        let is_free = planned
            .iter()
            .all(|other| other.until < from || !other.what.meets(&what));
        if is_free {
            planned.push(Planned { what, from, until });
        }
        from += Duration::from_millis(300 + random.below(4_000) as u64);
    }
    planned
}

impl Disturbance {
    fn machines(&self) -> Vec<&str> {
        match self {
            Self::Partition(a, b) | Self::OneWay(a, b) | Self::Hold(a, b) => vec![a, b],
            Self::Crash(machine) => vec![machine],
        }
    }

    fn meets(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.machines(), other.machines());
        match (self, other) {
            (Self::Crash(_), _) | (_, Self::Crash(_)) => {
                ours.iter().any(|machine| theirs.contains(machine))
            }
            _ => ours.iter().all(|machine| theirs.contains(machine)),
        }
    }

    /// Lets it begin.
    pub(crate) fn begin(&self, simulation: &mut Sim<'_>) {
        match self {
            Self::Partition(a, b) => simulation.partition(a.as_str(), b.as_str()),
            Self::OneWay(from, to) => simulation.partition_oneway(from.as_str(), to.as_str()),
            Self::Hold(a, b) => simulation.hold(a.as_str(), b.as_str()),
            Self::Crash(machine) => simulation.crash(machine.as_str()),
        }
    }

    /// Ends it.
    pub(crate) fn end(&self, simulation: &mut Sim<'_>) {
        match self {
            Self::Partition(a, b) => simulation.repair(a.as_str(), b.as_str()),
            Self::OneWay(from, to) => simulation.repair_oneway(from.as_str(), to.as_str()),
            Self::Hold(a, b) => simulation.release(a.as_str(), b.as_str()),
            Self::Crash(machine) => simulation.bounce(machine.as_str()),
        }
    }
}
