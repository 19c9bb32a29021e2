//! What is checked: the plan, who takes part, and which mistake is made, if any.

use crate::mutant::Mutant;
use crate::plan::Plan;

/// Who leases slots to workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatcher {
    /// Coordinators, usually one. An older one may be alive for any time.
    Coordinators,
    /// Processes that know of each other only through the store, each of which leases to its own
    /// worker, and looks at a slot before it does.
    Processes,
}

/// A job and those who work on it.
///
/// Nothing bounds how often workers and coordinators crash, how many attempts there are one after the
/// other, and how many requests are lost or late: the number of states is finite without that.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// The job's plan.
    pub plan: Plan,
    /// Who leases slots.
    pub dispatcher: Dispatcher,
    /// How many coordinators or processes there are.
    pub coordinators: usize,
    /// How many attempts there may be at the same time.
    pub attempts: usize,
    /// How many objects with rows get damaged. A person deletes each of them some time later.
    pub damages: u8,
    /// The mistake.
    pub mutant: Option<Mutant>,
}

impl Protocol {
    /// Makes the protocol without damages and mistakes, with two coordinators or processes, and two
    /// attempts at a time.
    pub fn new(dispatcher: Dispatcher, shards: &[u8]) -> Self {
        Self {
            plan: Plan::new(shards),
            dispatcher,
            coordinators: 2,
            attempts: 2,
            damages: 0,
            mutant: None,
        }
    }

    /// Returns whether this mistake is made.
    pub fn makes(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}
