//! Publishing: chunks of entries with the checkpoint behind them.

use super::codec::{Body, Written, key, written};
use super::engine::{Engine, Write};
use super::fault::Fault;
use super::ledger::{Draft, Ledger, Shard};
use super::store;
use crate::{Checkpoint, Entry, Error, Publisher, Tally, turn};
use rusqlite::Connection;
use std::sync::Arc;

/// The publisher of a shard.
pub struct EmbeddedPublisher {
    engine: Arc<Engine>,
    shard: u32,
    epoch: u64,
    checkpoint: Checkpoint,
}

/// A chunk on its way to the file.
pub(super) struct Chunk {
    shard: u32,
    epoch: u64,
    entries: Vec<Written>,
    tally: Tally,
    checkpoint: Checkpoint,
}

impl EmbeddedPublisher {
    /// Becomes the publisher of a shard.
    pub(super) async fn begin(engine: Arc<Engine>, shard: u32) -> Result<Self, Error> {
        let begun = engine.call(move |store| {
            store.writable()?;
            let pinned: Option<crate::Pin> =
                store::get(&store.connection, "pin", &store.path).map_err(|fault| fault.at(&store.path))?;
            if pinned.is_none() {
                return Err(Error::NotPinned);
            }
            // Written down at once: a list of which one shard was begun and another is done is not published.
            let checkpoint = store.transaction(|connection, ledger, draft| {
                let checkpoint = ledger.shards.get(&shard).map(|shard| shard.checkpoint).unwrap_or_default();
                store::set_shard(connection, shard, &checkpoint)?;
                draft.checkpoint = Some((shard, checkpoint));
                Ok(checkpoint)
            })?;
            let epoch = store.ledger.next_epoch();
            store.ledger.shards.insert(shard, Shard { epoch, checkpoint });
            store.refresh();
            Ok((epoch, checkpoint))
        });
        let (epoch, checkpoint) = begun.await?;
        Ok(Self { engine, shard, epoch, checkpoint })
    }
}

impl Publisher for EmbeddedPublisher {
    fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    async fn publish(&mut self, entries: Vec<Entry>, checkpoint: Checkpoint) -> Result<(), Error> {
        let mut tally = Tally::default();
        for entry in &entries {
            tally.add(entry);
        }
        let entries: Result<Vec<Written>, _> = entries.into_iter().map(written).collect();
        let entries = entries.map_err(|error| Error::OutOfTurn(format!("a row that can't be written: {error}")))?;
        let chunk = Chunk { shard: self.shard, epoch: self.epoch, entries, tally, checkpoint };
        self.engine.write(Write::Chunk(chunk)).await?;
        self.checkpoint = checkpoint;
        Ok(())
    }
}

impl Chunk {
    /// Writes it, as part of a transaction.
    pub(super) fn write(&self, connection: &Connection, ledger: &Ledger, draft: &mut Draft) -> Result<(), Fault> {
        let shard = ledger.shards.get(&self.shard).filter(|shard| shard.epoch == self.epoch).ok_or(Error::Fenced)?;
        let rows = self.entries.iter().map(|entry| entry.row);
        turn::check(&shard.checkpoint, rows, &self.tally, &self.checkpoint)?;
        let mut message =
            connection.prepare_cached("INSERT INTO message(row, recipient, fields) VALUES(?1, ?2, ?3)")?;
        let mut skipped = connection.prepare_cached("INSERT INTO skipped(row, reason, why) VALUES(?1, ?2, ?3)")?;
        for entry in &self.entries {
            match &entry.body {
                Body::Message { recipient, fields } => message.execute((key(entry.row), recipient, fields))?,
                Body::Skipped { reason, why } => skipped.execute((key(entry.row), reason, why))?,
            };
        }
        store::set_shard(connection, self.shard, &self.checkpoint)?;
        if let Some(first) = self.entries.first().map(|first| first.row) {
            draft.rewind = Some(first).filter(|first| *first < ledger.cursor);
            if first < draft.mark {
                draft.mark = first;
                store::set(connection, "mark", &first)?;
            }
        }
        draft.checkpoint = Some((self.shard, self.checkpoint));
        draft.counts.total += self.tally.total();
        draft.counts.published += self.tally.published;
        draft.counts.pending += self.tally.published;
        draft.counts.invalid += self.tally.invalid;
        draft.counts.duplicate += self.tally.duplicate;
        draft.counts.suppressed += self.tally.suppressed;
        Ok(())
    }
}
