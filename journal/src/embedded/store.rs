//! The open file with its ledger, on the journal's thread: transactions that are applied wholly or not at all.

use super::codec::{key, number, time};
use super::fault::Fault;
use super::ledger::{Draft, Ledger};
use super::lock::Lock;
use super::{account, schema, tail};
use crate::{Checkpoint, Error, Tally};
use campaign::Counts;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, wal::CheckpointMode};
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// From so many pages on in the WAL they are copied into the file (8 MB).
const CHECKPOINT_PAGES: i32 = 2_000;

/// What the worker may ask without waiting, as of the last commit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Snapshot {
    pub(super) counts: Counts,
    pub(super) next_due: Option<Timestamp>,
    pub(super) exhausted: bool,
    pub(super) paused: bool,
    pub(super) suspended: bool,
}

/// A [`Snapshot`] that the thread writes and others read.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Snapshot>>);

impl Shared {
    pub(super) fn get(&self) -> Snapshot {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, snapshot: Snapshot) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}

/// See the module.
pub(super) struct Store {
    // First, so that it is closed before the lock is given back.
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) ledger: Ledger,
    pub(super) shared: Shared,
    /// None when opened for reading only.
    lock: Option<Lock>,
}

impl Store {
    /// Opens for a run.
    pub(super) fn open(dir: &Path, path: PathBuf) -> Result<Self, Error> {
        let lock = Lock::take(dir)?;
        let connection = schema::open(&path)?;
        let mut store =
            Self { connection, path, ledger: Ledger::default(), shared: Shared::default(), lock: Some(lock) };
        store.load().map_err(|fault| fault.at(&store.path))?;
        store.refresh();
        Ok(store)
    }

    /// Opens for reading beside a run.
    pub(super) fn open_read_only(path: PathBuf) -> Result<Self, Error> {
        let connection = schema::open_read_only(&path)?;
        Ok(Self { connection, path, ledger: Ledger::default(), shared: Shared::default(), lock: None })
    }

    /// Makes the ledger from the tables.
    pub(super) fn load(&mut self) -> Result<(), Fault> {
        self.ledger.counts = account::counts(&self.connection, true)?;
        self.ledger.waiting = account::waiting(&self.connection)?;
        self.ledger.paused = get::<crate::Paused>(&self.connection, "paused", &self.path)?.is_some();
        self.ledger.suspended = get::<Timestamp>(&self.connection, "suspended", &self.path)?.is_some();
        self.ledger.mark = get(&self.connection, "mark", &self.path)?.unwrap_or(0);
        self.ledger.seq = tail::last(&self.connection)?;
        self.ledger.pinned_shards = get::<crate::Pin>(&self.connection, "pin", &self.path)?.map(|pin| pin.shards);
        for (shard, checkpoint) in shards(&self.connection)? {
            self.ledger.shards.entry(shard).or_default().checkpoint = checkpoint;
        }
        Ok(())
    }

    /// Whether the rows in `claim` belong to nobody.
    pub(super) fn claims_are_orphans(&self) -> bool {
        match self.lock {
            Some(_) => self.ledger.owner.is_none(),
            None => !self.path.parent().is_some_and(Lock::is_held),
        }
    }

    /// # Errors
    /// [`Error::OutOfTurn`] if it was opened for reading only.
    pub(super) fn writable(&self) -> Result<(), Error> {
        self.lock.as_ref().map(|_| ()).ok_or_else(|| Error::OutOfTurn("it was opened for reading only".to_owned()))
    }

    /// Runs one transaction and takes its draft over; after an error nothing of it holds, in the file or in memory.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection, &Ledger, &mut Draft) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        self.writable()?;
        let mut draft = self.ledger.draft();
        match in_transaction(&self.connection, |connection| work(connection, &self.ledger, &mut draft)) {
            Ok(result) => {
                self.ledger.apply(draft);
                Ok(result)
            }
            Err(fault) => Err(fault.at(&self.path)),
        }
    }

    /// Several reads of one state.
    pub(super) fn reading<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Error> {
        let result = self.connection.execute_batch("BEGIN").map_err(Fault::from).and_then(|()| work(&self.connection));
        end(&self.connection);
        result.map_err(|fault| fault.at(&self.path))
    }

    /// Brings the snapshot up to the ledger.
    pub(super) fn refresh(&self) {
        let before = self.shared.get();
        let next_due = match self.next_due() {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(error = %error, "the next due row could not be read");
                before.next_due
            }
        };
        let Ledger { counts, paused, suspended, .. } = self.ledger;
        self.shared.set(Snapshot { counts, next_due, exhausted: self.ledger.is_exhausted(), paused, suspended });
    }

    /// The earliest queued row that is not in the worker's hands.
    fn next_due(&self) -> rusqlite::Result<Option<Timestamp>> {
        if self.ledger.waiting == 0 {
            return Ok(None);
        }
        let mut statement =
            self.connection.prepare_cached("SELECT due, row FROM state WHERE queued = 1 ORDER BY due, row")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number = number(row.get(1)?);
            if !self.ledger.owner.as_ref().is_some_and(|owner| owner.taken.contains_key(&number)) {
                return Ok(Some(time(row.get(0)?)));
            }
        }
        Ok(None)
    }

    /// Copies the WAL into the file when it has grown; when that fails (a full disk), the WAL goes on growing and the next one tries again.
    pub(super) fn checkpoint(&self) {
        let pages = self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP);
        if matches!(pages, Ok((in_wal, copied)) if in_wal - copied >= CHECKPOINT_PAGES)
            && let Err(error) = self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE)
        {
            tracing::warn!(%error, "the journal's WAL could not be copied into its file");
        }
    }
}

fn in_transaction<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
    let run = || {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let result = work(connection)?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(result)
    };
    let result = run();
    if result.is_err() {
        end(connection);
    }
    result
}

/// Ends a transaction without keeping anything of it. SQLite may have done so itself.
fn end(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a transaction could not be rolled back");
    }
}

/// A value of the campaign as a whole.
pub(super) fn get<T: DeserializeOwned>(connection: &Connection, name: &str, path: &Path) -> Result<Option<T>, Fault> {
    let mut statement = connection.prepare_cached("SELECT value FROM campaign WHERE key = ?1")?;
    let Some(text) = statement.query_row([name], |row| row.get::<_, String>(0)).optional()? else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(Error::NotAJournal { path: path.to_owned(), why: format!("{name}: {error}") }.into()),
    }
}

/// Sets a value of the campaign as a whole.
pub(super) fn set<T: Serialize>(connection: &Connection, name: &str, value: &T) -> Result<(), Fault> {
    let text = serde_json::to_string(value).map_err(|error| Error::OutOfTurn(format!("{name}: {error}")))?;
    let sql = "INSERT INTO campaign(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute((name, text))?;
    Ok(())
}

/// Takes a value of the campaign as a whole away.
pub(super) fn forget(connection: &Connection, name: &str) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM campaign WHERE key = ?1")?.execute([name])?;
    Ok(())
}

/// How far every shard is published.
pub(super) fn shards(connection: &Connection) -> rusqlite::Result<Vec<(u32, Checkpoint)>> {
    let sql = "SELECT shard, next_row, published, invalid, duplicate, suppressed, done FROM shard ORDER BY shard";
    let mut statement = connection.prepare_cached(sql)?;
    let shards = statement.query_map([], |row| {
        let column = |index| row.get(index).map(number);
        let tally = Tally { published: column(2)?, invalid: column(3)?, duplicate: column(4)?, suppressed: column(5)? };
        Ok((row.get(0)?, Checkpoint { next_row: column(1)?, tally, done: row.get(6)? }))
    })?;
    shards.collect()
}

/// Writes how far a shard is published.
pub(super) fn set_shard(connection: &Connection, shard: u32, checkpoint: &Checkpoint) -> Result<(), Fault> {
    let tally = &checkpoint.tally;
    let sql = "INSERT OR REPLACE INTO shard(shard, next_row, published, invalid, duplicate, suppressed, done)
               VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute((
        shard,
        key(checkpoint.next_row),
        key(tally.published),
        key(tally.invalid),
        key(tally.duplicate),
        key(tally.suppressed),
        checkpoint.done,
    ))?;
    Ok(())
}
