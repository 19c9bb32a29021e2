//! What can happen next, and what it changes.
//!
//! Each file has the steps of one kind of actor: `offer` lists those that are possible in a state, and
//! `take` carries one out.

use crate::attempt::Attempt;
use crate::protocol::Protocol;
use crate::state::State;

pub mod attempt;
pub mod coordinator;
pub mod environment;

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A step of the coordinator or process at this place in the state.
    Coordinator(usize, coordinator::Step),
    /// A step of the attempt at this place in the state.
    Attempt(usize, attempt::Step),
    /// Something that none of them does.
    Environment(environment::Step),
}

/// Returns whether a step is one of undisturbed work: nobody crashes, no answer is missing, nothing is
/// late or damaged, nothing is split or given up, and only empty slots are leased.
pub fn is_undisturbed(protocol: &Protocol, state: &State, action: &Action) -> bool {
    match action {
        Action::Coordinator(_, step) => match step {
            coordinator::Step::Lease(slot) => state.store.kind(*slot).is_none(),
            coordinator::Step::See(_)
            | coordinator::Step::Read(_)
            | coordinator::Step::Seal
            | coordinator::Step::Hear => true,
            coordinator::Step::Close(_)
            | coordinator::Step::GiveUp
            | coordinator::Step::Restart => false,
        },
        Action::Attempt(index, step) => match step {
            attempt::Step::Publish(num_rows) => match &state.attempts[*index] {
                Attempt::Computing(slot) => {
                    protocol.plan.rows(*slot).len() == usize::from(*num_rows)
                }
                Attempt::Publishing(_) => false,
            },
            attempt::Step::Hear | attempt::Step::Look => true,
            attempt::Step::Split | attempt::Step::MissAnswer | attempt::Step::End => false,
        },
        // A person repairs the table.
        Action::Environment(step) => matches!(step, environment::Step::Delete(_)),
    }
}
