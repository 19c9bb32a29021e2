//! Whether a goal can still be reached from every state.
//!
//! `stateright` has a property `eventually`, but whatever may crash for ever is a counterexample to it,
//! and it misses those that end in a cycle. What can be promised is that no history leads into a dead
//! end: once faults stop, work reaches the goal. So all states are listed here, and from the goal the
//! steps of work are followed backward. States are compared as a whole, not by a hash.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use stateright::Model;

/// What was found.
#[derive(Debug)]
pub struct Reachability<State> {
    /// How many states there are.
    pub num_states: usize,
    /// How many steps lead from one of them to another one.
    pub num_transitions: usize,
    /// How many states there are from which the goal cannot be reached.
    pub num_dead_ends: usize,
    /// One of them that takes the fewest steps to get into.
    pub dead_end: Option<State>,
}

/// Whether a step of a model, from a given state, is one that may be counted on.
type IsWork<M> = fn(&M, &<M as Model>::State, &<M as Model>::Action) -> bool;

/// Lists all states of `model`, and finds those from which steps with `is_work` lead to no state with
/// `is_goal`.
pub fn explore<M: Model>(
    model: &M,
    is_goal: fn(&M::State) -> bool,
    is_work: IsWork<M>,
) -> Reachability<M::State>
where
    M::State: Clone + Eq + Hash,
{
    let graph = Graph::new(model, is_work);
    let reaches_goal = graph.reaching(is_goal);
    let num_dead_ends = reaches_goal.iter().filter(|reaches| !**reaches).count();
    // States are numbered in the order of their distance from the start.
    let first = reaches_goal.iter().position(|reaches| !reaches);
    let mut states = graph.numbers.iter();
    let dead_end = states.find(|(_, number)| Some(**number as usize) == first);
    Reachability {
        num_states: graph.numbers.len(),
        num_transitions: graph.num_transitions,
        num_dead_ends,
        dead_end: dead_end.map(|(state, _)| state.clone()),
    }
}

/// All states and the steps of work between them.
struct Graph<State> {
    /// The number of each state.
    numbers: HashMap<State, u32>,
    /// From which state to which one each step of work leads.
    work: Vec<(u32, u32)>,
    /// How many steps there are, whether or not they are work.
    num_transitions: usize,
}

impl<State: Clone + Eq + Hash> Graph<State> {
    fn new<M: Model<State = State>>(model: &M, is_work: IsWork<M>) -> Self {
        let mut graph = Self {
            numbers: HashMap::new(),
            work: Vec::new(),
            num_transitions: 0,
        };
        let mut unvisited = VecDeque::new();
        for state in model.init_states() {
            graph.number(state, &mut unvisited);
        }
        let mut from = 0;
        let mut actions = Vec::new();
        while let Some(state) = unvisited.pop_front() {
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let is_work = is_work(model, &state, &action);
                let Some(next) = model.next_state(&state, action) else {
                    continue;
                };
                let to = graph.number(next, &mut unvisited);
                graph.num_transitions += 1;
                if is_work {
                    graph.work.push((from, to));
                }
            }
            from += 1;
        }
        graph
    }

    /// Returns the number of a state. A new state gets the next one and is still to be visited.
    fn number(&mut self, state: State, unvisited: &mut VecDeque<State>) -> u32 {
        let next = self.numbers.len() as u32;
        if let Some(number) = self.numbers.get(&state) {
            return *number;
        }
        unvisited.push_back(state.clone());
        self.numbers.insert(state, next);
        next
    }

    /// Returns for each state whether work leads from it to a state with `is_goal`.
    fn reaching(&self, is_goal: fn(&State) -> bool) -> Vec<bool> {
        let mut before = vec![Vec::new(); self.numbers.len()];
        for (from, to) in &self.work {
            before[*to as usize].push(*from);
        }
        let goals = self.numbers.iter().filter(|(state, _)| is_goal(state));
        let mut unvisited: Vec<u32> = goals.map(|(_, number)| *number).collect();
        let mut reaches = vec![false; self.numbers.len()];
        while let Some(number) = unvisited.pop() {
            let number = number as usize;
            if !std::mem::replace(&mut reaches[number], true) {
                unvisited.append(&mut before[number]);
            }
        }
        reaches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that can be halved if it is even, or reduced by three. Its goal is 1.
    struct Numbers(u8);

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Step {
        Halve,
        Reduce,
    }

    impl Model for Numbers {
        type State = u8;
        type Action = Step;

        fn init_states(&self) -> Vec<u8> {
            vec![self.0]
        }

        fn actions(&self, _: &u8, actions: &mut Vec<Step>) {
            actions.extend([Step::Halve, Step::Reduce]);
        }

        fn next_state(&self, last: &u8, step: Step) -> Option<u8> {
            match step {
                Step::Halve => last.is_multiple_of(2).then_some(last / 2),
                Step::Reduce => last.checked_sub(3),
            }
        }
    }

    #[test]
    fn dead_ends_are_counted_and_the_nearest_one_is_shown() {
        let found = explore(&Numbers(8), |number| *number == 1, |_, _, _| true);
        // 8 leads to 4 and 5, these to 2 and 1, and 2 to 1. Zero is halved for ever, but 8 does not
        // lead there.
        assert_eq!((found.num_states, found.num_transitions), (5, 6));
        assert_eq!((found.num_dead_ends, found.dead_end), (0, None));
        let found = explore(&Numbers(6), |number| *number == 1, |_, _, _| true);
        // 6 leads to 3, and 3 to 0.
        assert_eq!((found.num_states, found.num_dead_ends), (3, 3));
        assert_eq!(found.dead_end, Some(6));
    }

    #[test]
    fn a_goal_that_only_other_steps_reach_does_not_count() {
        let is_halving = |_: &Numbers, _: &u8, step: &Step| *step == Step::Halve;
        let found = explore(&Numbers(8), |number| *number == 1, is_halving);
        assert_eq!((found.num_dead_ends, found.dead_end), (1, Some(5)));
    }
}
