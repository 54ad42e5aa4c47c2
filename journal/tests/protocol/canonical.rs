//! One form for states that nobody can tell apart: what nothing depends on is forgotten, so that the checker meets fewer states. It must never change what
//! can happen afterwards.

use crate::broker::{Ending, Kind, PARTITIONS, Record, other};
use crate::model::{State, Tick};
use crate::worker::{Hold, Lease, Row, Step, Worker};
use stateright::Representative;

/// Brings a state into its form.
pub(crate) fn forget(model: &Tick, state: &mut State) {
    state.workers.iter_mut().for_each(forget_lost);
    for partition in 0..model.partitions() {
        forget_leases(model, state, partition);
        forget_records(state, partition);
        sort_records(state, partition);
    }
}

/// Who has lost its partitions can only send what is claimed, and learn of the tick that is under way.
fn forget_lost(worker: &mut Worker) {
    if !worker.is_expelled || matches!(worker.step(), Some(Step::Formed | Step::Produced)) {
        return;
    }
    worker.holds = [Hold::NotMine; PARTITIONS];
    for row in &mut worker.rows {
        if !matches!(row, Row::Claiming(_) | Row::Claimed(_)) {
            *row = Row::Away;
        }
    }
    if let Some(tick) = &mut worker.tick {
        tick.next = tick.next.map(|next| next.map(|_| 0));
    }
}

/// A lease matters while there are claims to send under it.
fn forget_leases(model: &Tick, state: &mut State, partition: usize) {
    for worker in &mut state.workers {
        let has = |wanted: fn(&Row) -> bool| model.rows_of(partition).any(|row| wanted(&worker.rows[row]));
        let claimed = has(|row| matches!(row, Row::Claimed(_)));
        let claiming = has(|row| matches!(row, Row::Claiming(_)));
        if !claimed {
            worker.leases[partition] = Lease::Over;
        }
        if let Some(tick) = &mut worker.tick
            && !claimed
            && !claiming
        {
            tick.leases[partition] = Lease::Over;
        }
    }
}

/// Readers skip aborted records and look at a row's latest one only, as far as they read at all.
fn forget_records(state: &mut State, partition: usize) {
    let mut offset = 0;
    while offset < state.broker.partitions[partition].log.len() {
        if is_irrelevant(state, partition, offset) {
            state.broker.partitions[partition].log.remove(offset);
            for cut in cuts(state, partition) {
                *cut -= usize::from(*cut > offset);
            }
        } else {
            offset += 1;
        }
    }
}

fn is_irrelevant(state: &mut State, partition: usize, offset: usize) -> bool {
    let log = &state.broker.partitions[partition].log;
    let record = log[offset];
    if record.ending != Ending::Committed {
        return record.ending == Ending::Aborted;
    }
    let is_later = |later: &Record| later.row == record.row && later.ending == Ending::Committed;
    let Some(distance) = log[offset + 1..].iter().take_while(|later| later.ending != Ending::Open).position(is_later)
    else {
        return false;
    };
    let later = offset + 1 + distance;
    !cuts(state, partition).any(|cut| offset < *cut && *cut <= later)
}

/// The order of different rows' records matters to nobody who doesn't begin or stop reading between them.
fn sort_records(state: &mut State, partition: usize) {
    let mut borders: Vec<usize> = cuts(state, partition).map(|cut| *cut).collect();
    let log = &mut state.broker.partitions[partition].log;
    borders.extend(
        log.iter()
            .enumerate()
            .filter(|(_, record)| record.ending == Ending::Open)
            .flat_map(|(open, _)| [open, open + 1]),
    );
    borders.extend([0, log.len()]);
    borders.sort_unstable();
    for run in borders.windows(2) {
        log[run[0]..run[1]].sort_by_key(|record| record.row);
    }
    for record in log.iter_mut().filter(|record| record.ending == Ending::Committed && record.kind != Kind::Claim) {
        record.by = 0;
        record.attempt *= u8::from(record.kind == Kind::Again);
    }
}

/// All the places that somebody has noted in the partition's log.
fn cuts(state: &mut State, partition: usize) -> impl Iterator<Item = &mut usize> {
    let committed = state.broker.partitions[partition].committed.iter_mut();
    let pending =
        state.broker.transactions.iter_mut().filter_map(move |transaction| transaction.offsets[partition].as_mut());
    let reading = state.workers.iter_mut().flat_map(move |worker| match &mut worker.holds[partition] {
        Hold::Reading { tail, end, .. } => [Some(tail), Some(end)],
        _ => [None, None],
    });
    committed.chain(pending).map(|committed| &mut committed.tail).chain(reading.flatten())
}

impl Representative for State {
    /// The workers are alike: of a state and the one with the two exchanged, the checker needs to see one.
    fn representative(&self) -> Self {
        let rank = |w: usize| (&self.workers[w], &self.broker.transactions[w], self.broker.members[w]);
        let owns = |w: usize| self.broker.partitions.iter().map(move |partition| partition.owner == Some(w));
        let is_first = rank(0).cmp(&rank(1)).then_with(|| owns(0).cmp(owns(1)));
        if is_first.is_le() { self.clone() } else { exchanged(self) }
    }
}

fn exchanged(state: &State) -> State {
    let mut state = state.clone();
    state.workers.swap(0, 1);
    state.broker.transactions.swap(0, 1);
    state.broker.members.swap(0, 1);
    for partition in &mut state.broker.partitions {
        partition.owner = partition.owner.map(other);
        for record in &mut partition.log {
            // Of records that count for whoever wrote them the writer is forgotten.
            if record.ending == Ending::Open || record.kind == Kind::Claim {
                record.by = other(record.by);
            }
        }
    }
    state
}
