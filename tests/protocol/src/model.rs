//! The protocol in the form that `stateright` checks.

use stateright::{Model, Property};

use crate::coordinator::Coordinator;
use crate::properties;
use crate::protocol::Protocol;
use crate::state::State;
use crate::steps::{Action, attempt, coordinator, environment};
use crate::store::Store;

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            store: Store::default(),
            coordinators: vec![Coordinator::default(); self.coordinators],
            attempts: Vec::new(),
            damages_left: self.damages,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        coordinator::offer(self, state, &mut |index, step| {
            actions.push(Action::Coordinator(index, step));
        });
        attempt::offer(self, state, &mut |index, step| {
            actions.push(Action::Attempt(index, step));
        });
        environment::offer(self, state, &mut |step| {
            actions.push(Action::Environment(step));
        });
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Coordinator(index, step) => coordinator::take(self, &mut state, index, step),
            Action::Attempt(index, step) => attempt::take(self, &mut state, index, step),
            Action::Environment(step) => environment::take(self, &mut state, step),
        }
        state.settle(self);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}
