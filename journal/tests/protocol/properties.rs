//! What must hold, and what must be reachable so that the rest means something.

use crate::broker::{Kind, Record, WORKERS};
use crate::model::{Fault, OnUnknown, Rule, State, Tick, account, ends_late};
use crate::worker::{Hold, Row, Step, Worker};
use stateright::Property;

pub(crate) const CLAIMED: &str = "a final dot needs a committed claim of its worker";
pub(crate) const LEASED: &str = "a final dot needs a live lease";
pub(crate) const UNKNOWN_IS_FINAL: &str = "a claim that was called unknown is never sent afterwards";
pub(crate) const ONCE: &str = "under Hold no row is sent twice; under Resend only if it was unknown in between";
pub(crate) const ACCOUNTED: &str = "every row ends accounted for";

/// The properties that can be checked within the model's bounds.
pub(crate) fn all(model: &Tick) -> Vec<Property<Tick>> {
    let mut all = vec![
        Property::always(CLAIMED, |_, state: &State| !state.broken[Rule::Claimed as usize]),
        Property::always(LEASED, |_, state: &State| !state.broken[Rule::Leased as usize]),
        Property::always(UNKNOWN_IS_FINAL, |_, state: &State| !state.broken[Rule::UnknownIsFinal as usize]),
        Property::always(ONCE, |_, state: &State| !state.broken[Rule::Once as usize]),
        // Not `eventually`: the checker forgets by which way it came to a state. Where nothing is left to happen the account is the last one, so this says the
        // same, provided that every way leads to such a place, which `endings` shows.
        Property::always(ACCOUNTED, |model, state| is_accounted(model, state) || !model.is_quiet(state)),
        Property::sometimes("a campaign ends with every row delivered", |model: &Tick, state: &State| {
            (0..model.rows.len())
                .all(|row| account(&state.broker.partitions[model.rows[row]], row) == Some(Kind::Delivered))
        }),
        Property::sometimes("a found claim waits while another row is sent", |_, state: &State| {
            let has = |wanted: fn(&Row) -> bool| state.workers.iter().any(|worker| worker.rows.iter().any(wanted));
            has(|row| matches!(row, Row::Found(_))) && has(|row| matches!(row, Row::Dotted(_)))
        }),
        match model.on_unknown {
            OnUnknown::Hold => Property::sometimes("a row is held as unknown", |_, state: &State| {
                state.workers.iter().any(|worker| worker.rows.contains(&Row::Held))
            }),
            OnUnknown::Resend => Property::sometimes("a row is sent twice, unknown in between", |_, state: &State| {
                state.seen.iter().any(|seen| seen.dots == 2)
            }),
        },
    ];
    if model.budget.allows(Fault::Freeze) {
        all.push(Property::sometimes(
            "a transaction ends late, when its partitions were given away",
            |_, state: &State| (0..WORKERS).any(|worker| ends_late(state, worker)),
        ));
    }
    if model.budget.allows(Fault::Expiry) && model.budget.together > 1 {
        all.push(Property::sometimes("a position is rebuilt from the outcomes", |_, state: &State| {
            let rebuilds = |hold: &Hold| matches!(hold, Hold::Reading { next: None, end, .. } if *end > 0);
            state.workers.iter().any(|worker| worker.holds.iter().any(rebuilds))
        }));
    }
    if model.budget.allows(Fault::NoAnswer) {
        all.push(Property::sometimes("a worker meets a claim again on which it gave up", |_, state: &State| {
            state.broker.partitions.iter().any(|partition| {
                let is_met = |record: &Record| record.is_forsaken && partition.owner == Some(record.by);
                partition.log.iter().any(is_met)
            })
        }));
    }
    if model.partitions() > 1 {
        all.push(Property::sometimes("a tick is stale although nothing was lost", |_, state: &State| {
            let is_stale = |worker: &Worker| {
                worker.tick.as_ref().is_some_and(|tick| !tick.is_current && tick.step == Step::Produced)
            };
            state.workers.iter().any(|worker| !worker.is_expelled && is_stale(worker))
        }));
    }
    all
}

/// Whether the account says of every row what became of it, and the one who owns a held row knows that it is.
fn is_accounted(model: &Tick, state: &State) -> bool {
    (0..model.rows.len()).all(|row| {
        let partition = &state.broker.partitions[model.rows[row]];
        let seen = state.seen[row];
        match account(partition, row) {
            Some(Kind::Delivered) => seen.dots > 0,
            Some(Kind::Unknown) => {
                let is_known = partition.owner.is_some_and(|owner| state.workers[owner].rows[row] == Row::Held);
                seen.unknown > 0 && is_known && model.on_unknown == OnUnknown::Hold
            }
            _ => false,
        }
    })
}
