//! A model of how slots are committed and jobs are sealed, small enough to visit each of its states.
//!
//! The promise of `docs/reliability.md` rests on an argument: decision 1 and what decisions 6 and 10
//! add to it. Tests with crashes try some histories. Here `stateright` tries all of them, for jobs of two
//! or three rows with a few coordinators and attempts at a time. In every state each row must be in at most one object, halves must lie below a
//! tombstone, and a sealed table must be complete and what its manifest lists. From every state,
//! undisturbed work must lead to a sealed job in which nothing more is given up.
//!
//! Steps are as small as the real ones: a request is made, carried out, and answered, or it gets lost,
//! loses its answer, or is carried out after its author died. Nothing bounds how often that happens.
//!
//! What must stay true: the model allows at least what the programs do. So coordinators know as little
//! as possible, leases forbid nothing, and an older coordinator never steps down. If a program gets a
//! new way to create an object or to seal a job, it has to become a step here.
//!
//! Not modeled: canceling, retrying, the order in which slots are taken, a store that loses an object
//! which somebody has seen, and objects that are damaged after they were read for the seal.
//!
//! The tests of this crate take seconds. More and larger jobs take minutes:
//!
//! ```text
//! cargo run --release -p whence-protocol-model --example large
//! ```

pub mod attempt;
pub mod check;
pub mod coordinator;
mod model;
pub mod mutant;
pub mod plan;
pub mod properties;
pub mod protocol;
pub mod reachability;
pub mod state;
pub mod steps;
pub mod store;
