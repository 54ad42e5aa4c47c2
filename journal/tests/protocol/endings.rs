//! Whether every way comes to an end. The checker's `always` says that where nothing is left to do every row is accounted for; that such a place is reached,
//! however the steps fall, is the other half. It is shown by there being no circle: with finitely many states every way then ends.

use crate::model::{Action, State, Tick};
use stateright::{Model, Representative};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A state on the way that is being followed, and what is still to be tried from it.
struct Visit {
    key: u64,
    state: State,
    untried: Vec<Action>,
}

/// A circle of actions, if there is one; and how many states there are.
pub(crate) fn circle(model: &Tick) -> (Option<Vec<Action>>, usize) {
    // Whether a state that was seen is on the way that is being followed.
    let mut on_way: HashMap<u64, bool> = HashMap::new();
    let mut way: Vec<Visit> = model.init_states().into_iter().map(|state| visit(model, state)).collect();
    let mut steps: Vec<Action> = Vec::new();
    on_way.extend(way.iter().map(|visit| (visit.key, true)));
    while let Some(last) = way.last_mut() {
        let Some(action) = last.untried.pop() else {
            on_way.insert(last.key, false);
            way.pop();
            steps.pop();
            continue;
        };
        let Some(next) = model.next_state(&last.state, action).map(|next| visit(model, next)) else { continue };
        match on_way.get(&next.key) {
            Some(false) => {}
            Some(true) => {
                steps.push(action);
                let from = way.iter().position(|visit| visit.key == next.key).unwrap_or(0);
                return (Some(steps.split_off(from)), on_way.len());
            }
            None => {
                on_way.insert(next.key, true);
                steps.push(action);
                way.push(next);
            }
        }
    }
    (None, on_way.len())
}

fn visit(model: &Tick, state: State) -> Visit {
    let mut untried = Vec::new();
    model.actions(&state, &mut untried);
    let mut hasher = DefaultHasher::new();
    state.representative().hash(&mut hasher);
    Visit { key: hasher.finish(), state, untried }
}
