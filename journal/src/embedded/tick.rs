//! One tick of a worker: what was finished, what is claimed, what is deferred for pacing, in one transaction.

use super::codec::{key, kind, kind_of, nanos, slot};
use super::fault::Fault;
use super::ledger::{Begun, Draft, Ledger, Owner, Taken};
use super::store;
use crate::{Error, Paused, Sighting, Tick};
use campaign::{Outcome, Settlement};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use std::collections::HashSet;

/// The mark is written when it can move by so many rows.
const MARK_STEP: u64 = 4_096;

/// A tick as the thread needs it: the messages themselves stay with the worker.
pub(super) struct Written {
    epoch: u64,
    /// With their place in the order in which they came.
    finished: Vec<(u64, Settlement)>,
    /// Row and attempt.
    claims: Vec<(u64, u32)>,
    /// Row, attempt and due.
    paced: Vec<(u64, u32, Timestamp)>,
    at: Timestamp,
    pause: Option<String>,
    obstacle: Option<Sighting>,
}

impl Written {
    /// Takes out of a tick what is written, and leaves the claimed messages in it.
    pub(super) fn of(epoch: u64, tick: &mut Tick) -> Self {
        let mut finished: Vec<_> = (1..).zip(std::mem::take(&mut tick.finished)).collect();
        // By row, so that neighbours in the file are written together; the same row as it came.
        finished.sort_unstable_by_key(|(order, settlement)| (settlement.row, *order));
        let mut claims: Vec<_> = tick.claims.iter().map(|queued| (queued.message.row, queued.attempt)).collect();
        claims.sort_unstable();
        let paced = tick.paced.iter().map(|(queued, due)| (queued.message.row, queued.attempt, *due)).collect();
        let (pause, obstacle) = (tick.pause.take(), tick.obstacle.take());
        Self { epoch, finished, claims, paced, at: tick.at, pause, obstacle }
    }

    /// Writes it, as part of a transaction.
    pub(super) fn write(&self, connection: &Connection, ledger: &Ledger, draft: &mut Draft) -> Result<(), Fault> {
        let owner = ledger.owner(self.epoch)?;
        self.check(owner)?;
        settle(connection, owner, draft, &self.finished)?;
        self.claim(connection, owner, draft)?;
        self.pace(connection, owner, draft)?;
        if let Some(reason) = self.pause.as_ref().filter(|_| !draft.paused) {
            store::set(connection, "paused", &Paused { reason: reason.clone(), at: self.at })?;
            draft.paused = true;
        }
        match &self.obstacle {
            Some(Sighting::Met(obstacle)) => store::set(connection, "obstacle", obstacle)?,
            Some(Sighting::Gone) => store::forget(connection, "obstacle")?,
            None => {}
        }
        move_mark(connection, ledger, draft)
    }

    /// Only what was handed out, and only once.
    fn check(&self, owner: &Owner) -> Result<(), Error> {
        let rows = self.claims.iter().copied().chain(self.paced.iter().map(|(row, attempt, _)| (*row, *attempt)));
        let mut seen = HashSet::with_capacity(self.claims.len() + self.paced.len());
        for (row, attempt) in rows {
            if owner.taken.get(&row).is_none_or(|taken| taken.attempts + 1 != attempt) {
                return Err(Error::OutOfTurn(format!("row {row}, attempt {attempt}, was not handed out")));
            }
            if !seen.insert(row) {
                return Err(Error::OutOfTurn(format!("row {row} stands in a tick twice")));
            }
        }
        Ok(())
    }

    fn claim(&self, connection: &Connection, owner: &Owner, draft: &mut Draft) -> Result<(), Fault> {
        let mut insert =
            connection.prepare_cached("INSERT INTO claim(row, attempt, at, first) VALUES(?1, ?2, ?3, ?4)")?;
        let mut dequeue = connection.prepare_cached("UPDATE state SET queued = 0 WHERE row = ?1")?;
        let at = nanos(self.at);
        for (row, attempt) in &self.claims {
            let Some(Taken { first, has_state, kind, .. }) = owner.taken.get(row).copied() else { continue };
            insert.execute((key(*row), attempt, at, first))?;
            if has_state {
                dequeue.execute([key(*row)])?;
                draft.waiting = draft.waiting.saturating_sub(1);
            }
            draft.begun.insert(*row, Begun { attempt: *attempt, first: Some(first.unwrap_or(at)), has_state, kind });
        }
        Ok(())
    }

    fn pace(&self, connection: &Connection, owner: &Owner, draft: &mut Draft) -> Result<(), Fault> {
        let mut insert =
            connection.prepare_cached("INSERT INTO state(row, queued, due, attempts, kind) VALUES(?1, 1, ?2, 0, 0)")?;
        let mut update = connection.prepare_cached("UPDATE state SET due = ?2 WHERE row = ?1")?;
        for (row, _, due) in &self.paced {
            if owner.taken.get(row).is_some_and(|taken| taken.has_state) {
                update.execute((key(*row), nanos(*due)))?;
            } else {
                insert.execute((key(*row), nanos(*due)))?;
                draft.waiting += 1;
            }
            draft.paced.insert(*row);
        }
        Ok(())
    }
}

/// Moves the durable mark up, now and then.
fn move_mark(connection: &Connection, ledger: &Ledger, draft: &mut Draft) -> Result<(), Fault> {
    if ledger.cursor < draft.mark + MARK_STEP {
        return Ok(());
    }
    let lowest = ledger.lowest_new(draft);
    if lowest >= draft.mark + MARK_STEP {
        store::set(connection, "mark", &lowest)?;
        draft.mark = lowest;
    }
    Ok(())
}

/// Writes the results of claimed rows. One for a row that is not claimed at that attempt is passed over: it comes twice or too late,
/// and what stands in the journal about the row is newer.
fn settle(
    connection: &Connection,
    owner: &Owner,
    draft: &mut Draft,
    finished: &[(u64, Settlement)],
) -> Result<(), Fault> {
    let before = draft.seq;
    let mut unclaim = connection.prepare_cached("DELETE FROM claim WHERE row = ?1")?;
    for (order, settlement) in finished {
        let row = settlement.row;
        let begun = owner.begun.get(&row).filter(|begun| begun.attempt == settlement.attempt);
        let Some(begun) = begun.filter(|_| draft.settled.insert(row)) else {
            tracing::warn!(row, attempt = settlement.attempt, "a result for a row that is not claimed is ignored");
            continue;
        };
        unclaim.execute([key(row)])?;
        match kind_of(&settlement.outcome) {
            Some(kind) => record(connection, draft, begun, kind, before + order, settlement)?,
            None => release(connection, draft, begun, settlement)?,
        }
    }
    Ok(())
}

fn record(
    connection: &Connection,
    draft: &mut Draft,
    begun: &Begun,
    kind: i64,
    seq: u64,
    settlement: &Settlement,
) -> Result<(), Fault> {
    let due = match &settlement.outcome {
        Outcome::Deferred { due, .. } => Some(nanos(*due)),
        _ => None,
    };
    // Only what may be tried again needs to know since when.
    let first = begun.first.filter(|_| kind == kind::DEFERRED);
    let sql = "INSERT OR REPLACE INTO
               state(row, queued, due, attempts, first, kind, attempt, at, code, enhanced, text, backend, seq)
               VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?4, ?7, ?8, ?9, ?10, ?11, ?12)";
    let reply = settlement.outcome.reply();
    connection.prepare_cached(sql)?.execute(params![
        key(settlement.row),
        due.is_some(),
        due,
        settlement.attempt,
        first,
        kind,
        nanos(settlement.at),
        reply.map_or(0, |reply| reply.code),
        reply.and_then(|reply| reply.enhanced.as_deref()),
        reply.map(|reply| reply.text.as_str()).filter(|text| !text.is_empty()),
        settlement.backend.as_deref(),
        key(seq),
    ])?;
    draft.seq = draft.seq.max(seq);
    draft.waiting += u64::from(due.is_some());
    *slot(&mut draft.counts, begun.kind) -= 1;
    *slot(&mut draft.counts, kind) += 1;
    Ok(())
}

/// The claim never was: the row is queued at the attempt it had.
fn release(connection: &Connection, draft: &mut Draft, begun: &Begun, settlement: &Settlement) -> Result<(), Fault> {
    let row = key(settlement.row);
    if begun.has_state {
        connection.prepare_cached("UPDATE state SET queued = 1 WHERE row = ?1")?.execute([row])?;
    } else {
        let sql = "INSERT INTO state(row, queued, due, attempts, kind) VALUES(?1, 1, ?2, 0, 0)";
        connection.prepare_cached(sql)?.execute((row, nanos(settlement.at)))?;
    }
    draft.waiting += 1;
    Ok(())
}
