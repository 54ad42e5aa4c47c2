//! What can happen in a state. The rules of the protocol that say "only when" are here.

use crate::broker::{Stage, WORKERS, other};
use crate::model::{Action, Fault, Protocol, State, Tick};
use crate::worker::{Hold, Lease, Row, Step};

/// All that can happen, faults included whether or not there is budget for them.
pub(crate) fn actions(model: &Tick, state: &State, actions: &mut Vec<Action>) {
    for w in 0..WORKERS {
        if state.workers[w].is_alive {
            tick(model, state, w, actions);
            mails(model, state, w, actions);
            tenure(model, state, w, actions);
        } else if !state.broker.members[w] && state.broker.transactions[w].stage == Stage::Idle {
            actions.push(Action::Restart { w });
        }
        broker_for(model, state, w, actions);
    }
    for p in 0..model.partitions() {
        broker_for_partition(state, p, actions);
    }
}

/// The fault that an action is; none if it is what happens anyway.
pub(crate) fn fault(state: &State, action: Action) -> Option<Fault> {
    match action {
        Action::Crash { .. } => Some(Fault::Crash),
        // The dead are always noticed in the end; a silence that has cost the session already may cost the transaction too.
        Action::EndSession { w } => state.workers[w].is_alive.then_some(Fault::Freeze),
        Action::TimeOut { w } => (state.workers[w].is_alive && !state.workers[w].is_expelled).then_some(Fault::Freeze),
        Action::AskBack { .. } => Some(Fault::Rebalance),
        Action::LeaseEnds { .. } => Some(Fault::Slowness),
        Action::LoseReply { .. } => Some(Fault::LostReply),
        Action::Defer { .. } => Some(Fault::Deferral),
        Action::ExpireOffset { .. } => Some(Fault::Expiry),
        Action::GiveUp { .. } => Some(Fault::NoAnswer),
        _ => None,
    }
}

fn tick(model: &Tick, state: &State, w: usize, actions: &mut Vec<Action>) {
    let transaction = state.broker.transactions[w].stage;
    match state.workers[w].step() {
        // The next transaction can't begin before the last one's markers are written.
        None if transaction == Stage::Idle && has_something_to_commit(model, state, w) => {
            actions.push(Action::Form { w });
        }
        None => {}
        Some(Step::Formed) => actions.push(Action::Produce { w }),
        Some(Step::Produced) => actions.push(Action::SendOffsets { w }),
        Some(Step::OffsetsSent) => actions.push(Action::Commit { w }),
        Some(Step::CommitAsked) => actions.extend([Action::HearOfCommit { w }, Action::GiveUp { w }]),
    }
}

/// A tick that is formed when the session is over would be refused like one that was under way then, so there is none.
fn has_something_to_commit(model: &Tick, state: &State, w: usize) -> bool {
    let worker = &state.workers[w];
    if worker.is_expelled {
        return false;
    }
    let is_mine = |row: usize| matches!(worker.holds[model.rows[row]], Hold::Mine { .. });
    (0..model.rows.len()).filter(|row| is_mine(*row)).any(|row| match worker.rows[row] {
        Row::Finished(..) => true,
        // A tick with nothing in it renews the lease.
        Row::Claimed(_) => worker.leases[model.rows[row]] != Lease::Live,
        _ => may_claim(model, state, w, row).is_some(),
    })
}

/// At which attempt a worker may claim a row, if it may.
pub(crate) fn may_claim(model: &Tick, state: &State, w: usize, row: usize) -> Option<u8> {
    let (p, index) = model.place(row);
    let is_asked_back = state.broker.partitions[p].asked_back && state.broker.partitions[p].owner == Some(w);
    match (state.workers[w].holds[p], state.workers[w].rows[row]) {
        _ if is_asked_back => None,
        (Hold::Mine { .. }, Row::Waiting(attempt)) => Some(attempt),
        (Hold::Mine { next }, Row::Away) if index >= next => Some(1),
        _ => None,
    }
}

fn mails(model: &Tick, state: &State, w: usize, actions: &mut Vec<Action>) {
    let worker = &state.workers[w];
    for r in 0..model.rows.len() {
        let p = model.rows[r];
        let lives = worker.leases[p] != Lease::Over;
        let is_asked_back = state.broker.partitions[p].asked_back && state.broker.partitions[p].owner == Some(w);
        match worker.rows[r] {
            Row::Claiming(_) if model.protocol == Protocol::SendBeforeClaim && worker.step() != Some(Step::Formed) => {
                actions.push(Action::WriteDot { w, r });
            }
            Row::Claimed(_) => {
                if lives || model.protocol == Protocol::NoLease {
                    actions.push(Action::WriteDot { w, r });
                    actions.push(Action::Defer { w, r });
                }
                if !lives || is_asked_back {
                    actions.push(Action::Release { w, r });
                }
            }
            Row::Dotted(_) => actions.extend([Action::HearReply { w, r }, Action::LoseReply { w, r }]),
            _ => {}
        }
    }
}

fn tenure(model: &Tick, state: &State, w: usize, actions: &mut Vec<Action>) {
    let (worker, broker) = (&state.workers[w], &state.broker);
    // A commit that was asked for is repeated until it is answered, never aborted.
    if worker.is_expelled && worker.step() != Some(Step::CommitAsked) {
        actions.push(Action::LoseEverything { w });
    }
    for p in 0..model.partitions() {
        let partition = &broker.partitions[p];
        let is_owner = partition.owner == Some(w) && !worker.is_expelled;
        let is_stable = model.protocol == Protocol::UnstableFetch || !broker.is_pending(p);
        match worker.holds[p] {
            Hold::NotMine if partition.owner.is_none() && is_stable && !worker.is_expelled => {
                actions.push(Action::TakeOver { w, p });
            }
            Hold::Reading { end, .. }
                if is_owner && (model.protocol == Protocol::ReadWhatIsVisible || partition.is_decided(end)) =>
            {
                actions.push(Action::Read { w, p });
            }
            Hold::Mine { .. } if is_owner && model.rows_of(p).any(|row| matches!(worker.rows[row], Row::Found(_))) => {
                actions.push(Action::WaitIsOver { w, p });
            }
            _ => {}
        }
        let is_busy = |row: usize| !matches!(worker.rows[row], Row::Away | Row::Waiting(_) | Row::Found(_) | Row::Held);
        if is_owner && partition.asked_back && worker.tick.is_none() && !model.rows_of(p).any(is_busy) {
            actions.push(Action::GiveBack { w, p });
        }
    }
}

fn broker_for(model: &Tick, state: &State, w: usize, actions: &mut Vec<Action>) {
    let (worker, broker) = (&state.workers[w], &state.broker);
    let transaction = &broker.transactions[w];
    if worker.is_alive {
        actions.push(Action::Crash { w });
    }
    let has_something = worker.tick.is_some() || worker.holds.iter().any(|hold| *hold != Hold::NotMine);
    if broker.members[w] && (!worker.is_alive || (has_something && !worker.is_expelled)) {
        actions.push(Action::EndSession { w });
    }
    if transaction.stage == Stage::Open {
        actions.push(Action::TimeOut { w });
    }
    if transaction.stage == Stage::Committing && transaction.offsets.iter().any(Option::is_some) {
        actions.push(Action::MarkOffsets { w });
    }
    for p in 0..model.partitions() {
        if transaction.stage == Stage::Committing && broker.has_open_records(w, p) {
            actions.push(Action::MarkOutcomes { w, p });
        }
        let tick_lease = worker.tick.as_ref().map_or(Lease::Over, |tick| tick.leases[p]);
        if worker.leases[p] != Lease::Over || tick_lease != Lease::Over {
            actions.push(Action::LeaseEnds { w, p });
        }
    }
}

fn broker_for_partition(state: &State, p: usize, actions: &mut Vec<Action>) {
    let partition = &state.broker.partitions[p];
    if let Some(owner) = partition.owner
        && !partition.asked_back
        && state.workers[owner].is_alive
        && state.broker.members[other(owner)]
    {
        actions.push(Action::AskBack { p });
    }
    if partition.owner.is_none() && partition.committed.is_some() && !state.broker.is_pending(p) {
        actions.push(Action::ExpireOffset { p });
    }
}
