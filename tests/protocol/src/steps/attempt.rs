//! Steps of the attempts of workers.

use crate::attempt::{Answer, Attempt, Publication};
use crate::mutant::Mutant;
use crate::protocol::Protocol;
use crate::state::State;
use crate::store::{Kind, Put};

/// A step of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It ends computing, with this many of its first rows, and asks the store for its first object.
    Publish(u8),
    /// The rows that it wants to create turn out to be too large for one object, so that it splits the
    /// slot.
    Split,
    /// The store carries out its request, and it gets the answer.
    Hear,
    /// It gets an error, or no answer in time. The store may still carry out the request later.
    MissAnswer,
    /// It looks at the slot after it got no answer, and tries again if nothing is there.
    Look,
    /// It crashes, or gives up.
    End,
}

/// Offers the possible steps of all attempts, each with the attempt's place.
pub fn offer(protocol: &Protocol, state: &State, offer: &mut impl FnMut(usize, Step)) {
    for (index, attempt) in state.attempts.iter().enumerate() {
        // Those that are alike can do the same.
        if index > 0 && state.attempts[index - 1] == *attempt {
            continue;
        }
        match attempt {
            Attempt::Computing(slot) => {
                let num_rows = protocol.plan.rows(*slot).len() as u8;
                (1..=num_rows).for_each(|done| offer(index, Step::Publish(done)));
            }
            Attempt::Publishing(publication) => match publication.answer {
                Answer::Awaited => {
                    offer(index, Step::Hear);
                    offer(index, Step::MissAnswer);
                    let Put { slot, kind } = publication.put;
                    if kind == Kind::Rows && protocol.plan.halves(slot).is_some() {
                        offer(index, Step::Split);
                    }
                }
                Answer::Missing => offer(index, Step::Look),
            },
        }
        offer(index, Step::End);
    }
}

/// Carries out a step of the attempt at `index`.
pub fn take(protocol: &Protocol, state: &mut State, index: usize, step: Step) {
    let next = match (state.attempts.remove(index), step) {
        (Attempt::Computing(slot), Step::Publish(num_rows)) => {
            let begun = Publication::new(&protocol.plan, slot, num_rows);
            begun.and_then(|begun| ask(protocol, state, begun))
        }
        (Attempt::Publishing(publication), Step::Split) => {
            ask(protocol, state, publication.with_tombstone())
        }
        (Attempt::Publishing(publication), Step::Hear) => hear(protocol, state, publication),
        (Attempt::Publishing(publication), Step::MissAnswer) => {
            state.store.keep_late(publication.put);
            if protocol.makes(Mutant::TakesSilenceForCommit) {
                believe(protocol, state, publication.put);
            }
            Some(publication.with_answer(Answer::Missing))
        }
        (Attempt::Publishing(publication), Step::Look) => {
            match state.store.kind(publication.put.slot) {
                Some(found) => go_on(protocol, state, publication, found),
                // The same object again, while the first request may still be carried out.
                None => Some(publication.with_answer(Answer::Awaited)),
            }
        }
        (Attempt::Publishing(publication), _) => {
            if publication.answer == Answer::Awaited {
                state.store.keep_late(publication.put);
            }
            None
        }
        (Attempt::Computing(_), _) => None,
    };
    state.attempts.extend(next.map(Attempt::Publishing));
}

/// Carries out the request of an attempt, which then goes on with what the slot holds.
fn hear(protocol: &Protocol, state: &mut State, publication: Publication) -> Option<Publication> {
    let put = publication.put;
    let found = state.store.create(put, protocol.mutant);
    if found != put.kind && protocol.makes(Mutant::TakesRefusalForCommit) {
        believe(protocol, state, put);
        return None;
    }
    go_on(protocol, state, publication, found)
}

/// Goes on after the attempt knows what is in the slot of its request.
fn go_on(
    protocol: &Protocol,
    state: &mut State,
    publication: Publication,
    found: Kind,
) -> Option<Publication> {
    let next = publication.after(&protocol.plan, found)?;
    ask(protocol, state, next)
}

/// Makes the next request of an attempt, and returns what the attempt then waits for.
fn ask(protocol: &Protocol, state: &mut State, next: Publication) -> Option<Publication> {
    if next.put.kind == Kind::Tombstone && protocol.makes(Mutant::PublishesHalvesEarly) {
        state.store.keep_late(next.put);
        return go_on(protocol, state, next, Kind::Tombstone);
    }
    Some(next)
}

/// Lets every process that takes the slot for open believe that it holds the object of `put`.
fn believe(protocol: &Protocol, state: &mut State, put: Put) {
    for coordinator in &mut state.coordinators {
        if coordinator.is_open(&protocol.plan, put.slot, protocol.mutant) {
            coordinator.known[put.slot] = Some(put.kind);
        }
    }
}
