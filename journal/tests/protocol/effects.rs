//! What an action does. The rules of the protocol that say "then" are here.

use crate::broker::{Committed, Ending, Kind, PARTITIONS, Record, Stage, other};
use crate::model::{Action, OnUnknown, Protocol, Rule, State, Tick};
use crate::possible::may_claim;
use crate::worker::{self, Hold, Lease, Row, Step, Worker};

/// Changes the state by one action.
pub(crate) fn apply(model: &Tick, state: &mut State, action: Action) {
    let broker = &mut state.broker;
    match action {
        Action::Form { w } => form(model, state, w),
        Action::Produce { w } => produce(model, state, w),
        Action::SendOffsets { w } => send_offsets(model, state, w),
        Action::Commit { w } => commit(model, state, w),
        Action::HearOfCommit { w } => state.workers[w].learn_commit(model.protocol == Protocol::LeaseFromAnswer),
        Action::WriteDot { w, r } => write_dot(model, state, w, r),
        Action::HearReply { w, r } => finish(state, w, r, Kind::Delivered),
        Action::LoseReply { w, r } => call_unknown(model, state, w, r),
        Action::Defer { w, r } | Action::Release { w, r } => finish(state, w, r, Kind::Again),
        Action::TakeOver { w, p } => take_over(model, state, w, p),
        Action::Read { w, p } => read(model, state, w, p),
        Action::WaitIsOver { w, p } => wait_is_over(model, state, w, p),
        Action::GiveBack { w, p } => {
            broker.partitions[p].owner = None;
            broker.partitions[p].asked_back = false;
            forget(model, &mut state.workers[w], p);
        }
        Action::LoseEverything { w } => lose_everything(model, state, w),
        Action::GiveUp { w } => give_up(model, state, w),
        Action::Restart { w } => {
            state.workers[w].is_alive = true;
            broker.members[w] = true;
        }
        Action::AskBack { p } => broker.partitions[p].asked_back = true,
        Action::EndSession { w } => {
            broker.expel(w);
            let worker = &mut state.workers[w];
            worker.is_expelled = worker.is_alive;
            broker.members[w] = worker.is_alive;
            worker.tick.iter_mut().for_each(|tick| tick.is_current = false);
        }
        Action::TimeOut { w } => {
            broker.abort(w);
            broker.transactions[w].stage = if state.workers[w].is_alive { Stage::TimedOut } else { Stage::Idle };
        }
        Action::MarkOffsets { w } => broker.mark_offsets(w),
        Action::MarkOutcomes { w, p } => broker.mark_outcomes(w, p),
        Action::ExpireOffset { p } => broker.partitions[p].committed = None,
        Action::LeaseEnds { w, p } => lease_ends(&mut state.workers[w], p),
        Action::Crash { w } => {
            state.workers[w] = Worker { is_alive: false, ..Worker::new() };
            let records = broker.partitions.iter_mut().flat_map(|partition| &mut partition.log);
            records.filter(|record| record.by == w).for_each(|record| record.is_forsaken = false);
            if broker.transactions[w].stage == Stage::TimedOut {
                broker.transactions[w].stage = Stage::Idle;
            }
        }
    }
}

/// Chooses the batch: all that is finished, and the next rows to claim. Group metadata and start time are noted in the same moment.
fn form(model: &Tick, state: &mut State, w: usize) {
    let claims: Vec<(usize, u8)> = (0..model.rows.len())
        .filter_map(|row| may_claim(model, state, w, row).map(|attempt| (row, attempt)))
        .take(model.batch)
        .collect();
    let worker = &mut state.workers[w];
    let mut next = worker.holds.map(|hold| if let Hold::Mine { next } = hold { Some(next) } else { None });
    for (row, attempt) in claims {
        let (p, index) = model.place(row);
        next[p] = next[p].max(Some(index + 1).filter(|_| worker.rows[row] == Row::Away));
        worker.rows[row] = Row::Claiming(attempt);
    }
    for row in 0..model.rows.len() {
        if let Row::Finished(attempt, result) = worker.rows[row]
            && next[model.rows[row]].is_some()
        {
            worker.rows[row] = Row::Settling(attempt, result);
        }
    }
    worker.tick = Some(worker::Tick { step: Step::Formed, is_current: true, leases: [Lease::Live; PARTITIONS], next });
    state.broker.transactions[w].stage = Stage::Open;
}

/// Writes the tick's records; they get their offsets now, and count when the transaction is committed.
fn produce(model: &Tick, state: &mut State, w: usize) {
    advance(state, w, Step::Produced);
    if state.broker.transactions[w].stage != Stage::Open {
        return;
    }
    for row in 0..model.rows.len() {
        let (attempt, kind) = match state.workers[w].rows[row] {
            Row::Claiming(attempt) => (attempt, Kind::Claim),
            Row::Settling(attempt, result) => (attempt, result),
            _ => continue,
        };
        let record = Record { row, attempt, kind, by: w, ending: Ending::Open, is_forsaken: false };
        state.broker.partitions[model.rows[row]].log.push(record);
    }
}

/// The broker compares the group metadata with the member's; whether the partition is the member's own it does not ask.
fn send_offsets(model: &Tick, state: &mut State, w: usize) {
    let Some(tick) = &state.workers[w].tick else { return };
    let is_accepted = match model.protocol {
        Protocol::MetadataAtCommit => state.broker.members[w],
        _ => tick.is_current,
    };
    if state.broker.transactions[w].stage != Stage::Open {
        return lose_everything(model, state, w);
    }
    if is_accepted {
        let next = tick.next;
        for p in 0..model.partitions() {
            let committed = next[p].map(|next| offset_to_commit(model, state, w, p, next));
            state.broker.transactions[w].offsets[p] = committed;
        }
        return advance(state, w, Step::OffsetsSent);
    }
    if state.workers[w].is_expelled {
        return lose_everything(model, state, w);
    }
    // Stale, and the partitions are still its own: the tick is formed again, with all that was finished.
    state.broker.abort(w);
    state.workers[w].roll_back(|row| model.place(row));
}

fn offset_to_commit(model: &Tick, state: &State, w: usize, p: usize, next: usize) -> Committed {
    let log = &state.broker.partitions[p].log;
    let worker = &state.workers[w];
    let is_open = |row: usize| match worker.rows[row] {
        Row::Waiting(_) | Row::Held | Row::Settling(_, Kind::Again | Kind::Unknown) => {
            model.protocol != Protocol::TailForgetsWaiting
        }
        Row::Away | Row::Settling(..) => false,
        _ => true,
    };
    let counts = |record: &Record| match record.ending {
        Ending::Committed => true,
        Ending::Open => record.by == w,
        Ending::Aborted => false,
    };
    let latest = |row: usize| log.iter().rposition(|record| record.row == row && counts(record));
    let tail = model.rows_of(p).filter(|row| is_open(*row)).filter_map(latest).min().unwrap_or(log.len());
    if model.protocol == Protocol::OffsetAtSettle {
        let is_unsettled = |row: usize| !matches!(worker.rows[row], Row::Away | Row::Settling(..) | Row::Held);
        let settled = model.rows_of(p).take(next).take_while(|row| !is_unsettled(*row)).count();
        return Committed { next: settled, tail };
    }
    Committed { next, tail }
}

/// The coordinator decides, unless it has ended the transaction before.
fn commit(model: &Tick, state: &mut State, w: usize) {
    if state.broker.transactions[w].stage == Stage::Open {
        state.broker.transactions[w].stage = Stage::Committing;
        advance(state, w, Step::CommitAsked);
    } else {
        lose_everything(model, state, w);
    }
}

fn advance(state: &mut State, w: usize, step: Step) {
    state.workers[w].tick.iter_mut().for_each(|tick| tick.step = step);
}

/// Looks at the lease and writes the final dot, in one step.
fn write_dot(model: &Tick, state: &mut State, w: usize, r: usize) {
    let (Row::Claiming(attempt) | Row::Claimed(attempt)) = state.workers[w].rows[r] else { return };
    let p = model.rows[r];
    let is_decided = state.broker.transactions[w].stage == Stage::Committing;
    // A claim, or what came after it: older records of a row are forgotten.
    let is_claimed = state.broker.partitions[p].log.iter().any(|record| {
        let is_committed =
            record.ending == Ending::Committed || (record.ending == Ending::Open && record.by == w && is_decided);
        record.row == r && is_committed && ((record.attempt, record.by) == (attempt, w) || record.kind != Kind::Claim)
    });
    let (seen, broken) = (&mut state.seen[r], &mut state.broken);
    broken[Rule::Claimed as usize] |= !is_claimed;
    broken[Rule::Leased as usize] |= state.workers[w].leases[p] == Lease::Over;
    broken[Rule::UnknownIsFinal as usize] |= seen.unknown >= attempt;
    broken[Rule::Once as usize] |= seen.dots > 0 && (model.on_unknown == OnUnknown::Hold || seen.unknown < seen.last);
    seen.dots = (seen.dots + 1).min(2);
    seen.last = attempt;
    state.workers[w].rows[r] = Row::Dotted(attempt);
}

fn finish(state: &mut State, w: usize, r: usize, result: Kind) {
    let row = &mut state.workers[w].rows[r];
    if let Row::Claimed(attempt) | Row::Dotted(attempt) | Row::Found(attempt) = *row {
        *row = Row::Finished(attempt, result);
    }
}

/// Nobody can know whether the mail went out: it waits for a person, or is queued again.
fn call_unknown(model: &Tick, state: &mut State, w: usize, r: usize) {
    if let Row::Dotted(attempt) | Row::Found(attempt) = state.workers[w].rows[r] {
        state.seen[r].unknown = state.seen[r].unknown.max(attempt);
    }
    let result = if model.on_unknown == OnUnknown::Hold { Kind::Unknown } else { Kind::Again };
    finish(state, w, r, result);
}

/// The group gives a partition to a member, which fetches the committed offset when no transaction is pending on it. Every tick of an earlier owner that counts
/// has begun by now. That it may be given the partition long before the fetch changes nothing, so the two are one step.
fn take_over(model: &Tick, state: &mut State, w: usize, p: usize) {
    let partition = &mut state.broker.partitions[p];
    partition.owner = Some(w);
    // The member's epoch moved on: what was noted before is stale.
    state.workers[w].tick.iter_mut().for_each(|tick| tick.is_current = false);
    let end = partition.log.len();
    let (next, tail) = match partition.committed {
        Some(Committed { next, tail }) => (Some(next), tail),
        None if model.protocol == Protocol::FreshAfterExpiry => (Some(0), end),
        None => (None, 0),
    };
    state.workers[w].holds[p] = Hold::Reading { next, tail, end };
    state.workers[other(w)].grow_old(p);
}

/// Reads outcomes from the tail to the high watermark: what the rows are that lie below the position.
fn read(model: &Tick, state: &mut State, w: usize, p: usize) {
    let Hold::Reading { next, tail, end } = state.workers[w].holds[p] else { return };
    let partition = &state.broker.partitions[p];
    // Under `read_committed` nothing behind the first open transaction is visible.
    let visible = (tail..end).find(|offset| partition.log[*offset].ending == Ending::Open).unwrap_or(end);
    let claimed = |row: &usize| partition.latest(*row, 0, visible).is_some();
    let next =
        next.unwrap_or_else(|| model.rows_of(p).filter(claimed).map(|row| model.place(row).1 + 1).max().unwrap_or(0));
    for row in model.rows_of(p).take(next) {
        let found = match partition.latest(row, tail, visible) {
            Some(Record { kind: Kind::Claim, attempt, by, is_forsaken, .. }) => {
                let worker = &state.workers[w];
                let was_never_sent = (is_forsaken && by == w) || worker.never_sent[row] == attempt;
                if was_never_sent { Row::Finished(attempt, Kind::Again) } else { Row::Found(attempt) }
            }
            Some(Record { kind: Kind::Again, attempt, .. }) => Row::Waiting(attempt + 1),
            Some(Record { kind: Kind::Unknown, .. }) => Row::Held,
            _ => Row::Away,
        };
        let is_kept =
            model.protocol == Protocol::ClaimsOutliveTenure && matches!(state.workers[w].rows[row], Row::Claimed(_));
        if !is_kept {
            state.workers[w].rows[row] = found;
        }
    }
    state.workers[w].holds[p] = Hold::Mine { next };
}

/// A time longer than a lease has passed since the stable fetch: whoever claimed what was found can't send it any more.
fn wait_is_over(model: &Tick, state: &mut State, w: usize, p: usize) {
    for r in model.rows_of(p) {
        if matches!(state.workers[w].rows[r], Row::Found(_)) {
            call_unknown(model, state, w, r);
        }
    }
    if model.protocol != Protocol::NoWait {
        state.workers[other(w)].outlast_old(p);
    }
}

/// The worker begins anew with a new producer: what it learned too late is evidence, everything else is forgotten, and sending stops.
fn lose_everything(model: &Tick, state: &mut State, w: usize) {
    let was_fenced = state.broker.transactions[w].stage == Stage::TimedOut;
    if state.broker.transactions[w].stage == Stage::Open {
        state.broker.abort(w);
    } else if state.broker.transactions[w].stage == Stage::TimedOut {
        state.broker.transactions[w].stage = Stage::Idle;
    }
    if !state.workers[w].is_expelled {
        state.broker.expel(w);
    }
    let worker = &mut state.workers[w];
    worker.tick = None;
    worker.is_expelled = false;
    for (row, never_sent) in worker.rows.iter().zip(&mut worker.never_sent) {
        if let (Row::Claiming(attempt), Protocol::ClaimsByAttempt, true) = (row, model.protocol, was_fenced) {
            *never_sent = *attempt;
        }
    }
    for p in 0..PARTITIONS {
        forget(model, worker, p);
    }
}

/// A commit that nobody answers is given up in the end. It may have happened; its claims were never sent, and the worker remembers which records they are.
fn give_up(model: &Tick, state: &mut State, w: usize) {
    for record in state.broker.partitions.iter_mut().flat_map(|partition| &mut partition.log) {
        let is_claimed_now = state.workers[w].rows[record.row] == Row::Claiming(record.attempt);
        record.is_forsaken |= is_claimed_now && record.kind == Kind::Claim && record.by == w;
    }
    lose_everything(model, state, w);
}

fn forget(model: &Tick, worker: &mut Worker, p: usize) {
    worker.holds[p] = Hold::NotMine;
    for row in model.rows_of(p) {
        let is_kept = model.protocol == Protocol::ClaimsOutliveTenure && matches!(worker.rows[row], Row::Claimed(_));
        if !is_kept {
            worker.rows[row] = Row::Away;
        }
    }
}

/// Of two leases the one that began first ends first.
fn lease_ends(worker: &mut Worker, p: usize) {
    if worker.leases[p] != Lease::Over {
        worker.leases[p] = Lease::Over;
    } else if let Some(tick) = &mut worker.tick {
        tick.leases[p] = Lease::Over;
    }
}
