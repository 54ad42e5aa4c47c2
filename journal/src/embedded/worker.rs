//! The embedded journal's worker, and how it takes over what a dead one left.

use super::account::{Orphan, orphans, sender_gone};
use super::codec::{key, kind, nanos, number, queued, slot};
use super::engine::{Engine, Write};
use super::fault::Fault;
use super::ledger::{Draft, Owner};
use super::store::Store;
use super::{intake, store, tick};
use crate::{Claimed, Error, Lease, Queued, Tick, Worker, WorkerOptions};
use campaign::{Counts, spec::OnUnknown};
use jiff::Timestamp;
use rusqlite::Connection;
use std::sync::Arc;

/// The worker of an embedded journal; there is one at a time, and it owns the whole campaign.
pub struct EmbeddedWorker {
    engine: Arc<Engine>,
    epoch: u64,
}

impl EmbeddedWorker {
    /// Becomes the worker.
    pub(super) async fn begin(engine: Arc<Engine>, options: WorkerOptions) -> Result<Self, Error> {
        let epoch = engine.call(move |store| take_over(store, options)).await?;
        Ok(Self { engine, epoch })
    }
}

impl Worker for EmbeddedWorker {
    async fn take(&mut self, max: usize, now: Timestamp) -> Result<Vec<Queued>, Error> {
        let epoch = self.epoch;
        let rows = self.engine.call(move |store| intake::take(store, epoch, max, now)).await?;
        rows.into_iter().map(|row| queued(row, self.engine.path())).collect()
    }

    async fn commit(&mut self, mut tick: Tick) -> Result<Vec<Claimed>, Error> {
        let written = tick::Written::of(self.epoch, &mut tick);
        self.engine.write(Write::Tick(written)).await?;
        Ok(tick.claims.into_iter().map(|queued| Claimed::after_commit(queued, Lease::forever())).collect())
    }

    fn counts(&self) -> Counts {
        self.engine.snapshot().counts
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.engine.snapshot().next_due
    }

    fn exhausted(&self) -> bool {
        self.engine.snapshot().exhausted
    }

    fn paused(&self) -> bool {
        self.engine.snapshot().paused
    }

    fn suspended(&self) -> bool {
        self.engine.snapshot().suspended
    }
}

impl Drop for EmbeddedWorker {
    /// What it had claimed and not settled is unknown from now on, what it had in hand is new again.
    fn drop(&mut self) {
        let epoch = self.epoch;
        self.engine.tell(move |store| {
            if store.ledger.owner(epoch).is_err() {
                return;
            }
            if let Some(owner) = store.ledger.owner.take() {
                for begun in owner.begun.values() {
                    *slot(&mut store.ledger.counts, begun.kind) -= 1;
                    store.ledger.counts.unknown += 1;
                }
            }
            store.refresh();
        });
    }
}

fn take_over(store: &mut Store, options: WorkerOptions) -> Result<u64, Error> {
    store.writable()?;
    if store.ledger.owner.is_some() {
        return Err(Error::OutOfTurn("it has a worker already".to_owned()));
    }
    let is_pinned = store::get::<crate::Pin>(&store.connection, "pin", &store.path)
        .map_err(|fault| fault.at(&store.path))?
        .is_some();
    if !is_pinned {
        return Err(Error::NotPinned);
    }
    let has_orphans = store.reading(|connection| Ok(!orphans(connection)?.is_empty()))?;
    if has_orphans {
        let how_many = store.transaction(|connection, _, draft| match options.on_unknown {
            OnUnknown::Hold => hold(connection, draft),
            OnUnknown::Resend => queue_again(connection, draft, options.now),
        })?;
        tracing::warn!(rows = how_many, policy = ?options.on_unknown, "rows were claimed by a run that ended before their outcome was known");
    }
    let last = store.reading(|connection| {
        Ok(connection.query_row("SELECT ifnull(max(row), 0) FROM state", [], |row| row.get(0))?)
    })?;
    let epoch = store.ledger.next_epoch();
    store.ledger.cursor = store.ledger.mark;
    store.ledger.seen_until = number(last);
    store.ledger.owner = Some(Owner { epoch, ..Owner::default() });
    store.refresh();
    Ok(epoch)
}

/// Orphans are settled as unknown. They are counted as such already.
pub(super) fn hold(connection: &Connection, draft: &mut Draft) -> Result<usize, Fault> {
    let outcome = sender_gone();
    let text = outcome.reply().map(|reply| reply.text.as_str());
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO state(row, queued, attempts, kind, attempt, at, code, text, seq)
         VALUES(?1, 0, ?2, ?3, ?2, ?4, 0, ?5, ?6)",
    )?;
    let orphans = orphans(connection)?;
    for Orphan { row, attempt, at, .. } in &orphans {
        draft.seq += 1;
        insert.execute((row, attempt, kind::UNKNOWN, at, text, key(draft.seq)))?;
    }
    connection.execute("DELETE FROM claim", [])?;
    Ok(orphans.len())
}

/// Orphans are queued again; the attempt counts.
fn queue_again(connection: &Connection, draft: &mut Draft, now: Timestamp) -> Result<usize, Fault> {
    let mut insert = connection
        .prepare_cached("INSERT INTO state(row, queued, due, attempts, first, kind) VALUES(?1, 1, ?2, ?3, ?4, 0)")?;
    let mut update =
        connection.prepare_cached("UPDATE state SET queued = 1, attempts = ?2, first = ?3 WHERE row = ?1")?;
    let orphans = orphans(connection)?;
    for Orphan { row, attempt, at, first, kind } in &orphans {
        let first = first.unwrap_or(*at);
        if kind.is_some() {
            update.execute((row, attempt, first))?;
        } else {
            insert.execute((row, nanos(now), attempt, first))?;
        }
        draft.counts.unknown -= 1;
        *slot(&mut draft.counts, kind.unwrap_or(kind::NONE)) += 1;
        draft.waiting += 1;
    }
    connection.execute("DELETE FROM claim", [])?;
    Ok(orphans.len())
}
