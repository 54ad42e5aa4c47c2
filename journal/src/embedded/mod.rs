//! The journal in one SQLite file: `<state>/journal.db`, in WAL mode with `synchronous=FULL`.
//!
//! The lock of the state folder is the fence: one run has the journal, for as long as its process lives (`lock`). All work on the
//! file happens on a thread of its own (`engine`), which keeps the account and who owns what in memory (`ledger`).
//! Reading beside a run needs no lock.

mod account;
mod codec;
mod commands;
mod engine;
mod fault;
mod intake;
mod ledger;
mod lock;
mod publish;
mod schema;
mod store;
mod tail;
mod tick;
mod worker;

pub(crate) use codec::SENDER_GONE;
pub use publish::EmbeddedPublisher;
pub use tail::EmbeddedTail;
pub use worker::EmbeddedWorker;

use crate::{Command, Error, Journal, Obstacle, Paused, Pin, Preflighted, RowState, TailFrom, WorkerOptions};
use campaign::Counts;
use engine::Engine;
use jiff::Timestamp;
use lock::Lock;
use rusqlite::wal::CheckpointMode;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Store;

/// The journal of a campaign on one machine. When the last clone, publisher, worker and tail are dropped the file is closed and the lock given
/// back; that waits for what was begun.
#[derive(Clone)]
pub struct Embedded {
    engine: Arc<Engine>,
    is_for_a_run: bool,
}

impl Embedded {
    /// Opens the journal of a state folder for a run, and makes both if they aren't there.
    ///
    /// # Errors
    /// [`Error::InUse`] while another run has it; [`Error::NotAJournal`] for a file that isn't ours or is damaged.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir)
            .map_err(|source| Error::Storage { path: dir.to_owned(), source: source.into() })?;
        let engine = Arc::new(Engine::start(Store::open(dir, file(dir))?)?);
        Ok(Self { engine, is_for_a_run: true })
    }

    /// Opens the journal for reading, whether a run has it or not. What a run that is gone had claimed is shown as unknown; what a
    /// living one has claimed as what it was before.
    ///
    /// # Errors
    /// [`Error::NotAJournal`], [`Error::Storage`] if there is none. Every call that writes is [`Error::OutOfTurn`].
    pub fn open_read_only(dir: &Path) -> Result<Self, Error> {
        let engine = Arc::new(Engine::start(Store::open_read_only(file(dir))?)?);
        Ok(Self { engine, is_for_a_run: false })
    }

    /// Whether a state folder has a journal.
    pub fn exists(dir: &Path) -> bool {
        std::fs::metadata(file(dir)).is_ok_and(|file| file.len() > 0)
    }

    /// Sets the journal of a state folder aside as `journal.<n>.db`, so that the campaign begins anew; nothing is deleted.
    /// Returns where it is now, or none if there was no journal.
    ///
    /// # Errors
    /// [`Error::InUse`] while a run has it.
    pub fn set_aside(dir: &Path) -> Result<Option<PathBuf>, Error> {
        if !file(dir).exists() {
            return Ok(None);
        }
        let _lock = Lock::take(dir)?;
        // Brings everything into the one file, also while somebody reads it; a damaged one keeps what stands beside it.
        if let Ok(connection) = schema::open(&file(dir))
            && let Err(error) = connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE)
        {
            tracing::warn!(%error, "the journal's WAL is set aside beside it");
        }
        let failed = |source: std::io::Error| Error::Storage { path: dir.to_owned(), source: source.into() };
        let mut number = 1;
        let mut aside = dir.join("journal.1.db");
        while aside.exists() {
            number += 1;
            aside = dir.join(format!("journal.{number}.db"));
        }
        // The file last: until then it is the journal, and its WAL is empty or gone.
        for suffix in ["-wal", "-shm", ""] {
            let (from, to) = (with_suffix(&file(dir), suffix), with_suffix(&aside, suffix));
            match std::fs::rename(from, to) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                done => done.map_err(failed)?,
            }
        }
        Ok(Some(aside))
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.engine.call(move |store| work(store)).await
    }

    /// A value of the campaign as a whole.
    async fn value<T: DeserializeOwned + Send + 'static>(&self, name: &'static str) -> Result<Option<T>, Error> {
        self.read(move |store| store.reading(|connection| store::get(connection, name, &store.path))).await
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("journal.db")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

impl Journal for Embedded {
    type Publisher = EmbeddedPublisher;
    type Worker = EmbeddedWorker;
    type Tail = EmbeddedTail;

    async fn pin_with(&self, pin: Pin, found: Option<Preflighted>) -> Result<(), Error> {
        let write = move |store: &mut Store| {
            store.writable()?;
            let pinned: Option<Pin> =
                store::get(&store.connection, "pin", &store.path).map_err(|fault| fault.at(&store.path))?;
            if let Some(pinned) = pinned {
                return pinned.must_be(&pin);
            }
            store.transaction(|connection, _, _| {
                if let Some(found) = &found {
                    store::set(connection, "preflight", found)?;
                }
                store::set(connection, "pin", &pin)
            })?;
            store.ledger.pinned_shards = Some(pin.shards);
            Ok(())
        };
        self.engine.call(write).await
    }

    async fn pinned(&self) -> Result<Option<Pin>, Error> {
        self.value("pin").await
    }

    async fn preflighted(&self) -> Result<Option<Preflighted>, Error> {
        self.value("preflight").await
    }

    async fn publisher(&self, shard: u32) -> Result<Self::Publisher, Error> {
        EmbeddedPublisher::begin(self.engine.clone(), shard).await
    }

    async fn worker(&self, options: WorkerOptions) -> Result<Self::Worker, Error> {
        EmbeddedWorker::begin(self.engine.clone(), options).await
    }

    async fn counts(&self) -> Result<Counts, Error> {
        if self.is_for_a_run {
            return Ok(self.engine.snapshot().counts);
        }
        self.read(|store| store.reading(|connection| account::counts(connection, store.claims_are_orphans()))).await
    }

    async fn published(&self) -> Result<bool, Error> {
        self.read(|store| {
            store.reading(|connection| {
                let pinned: Option<Pin> = store::get(connection, "pin", &store.path)?;
                Ok(ledger::is_published(pinned.map(|pin| pin.shards), store::shards(connection)?.into_iter()))
            })
        })
        .await
    }

    async fn rows(&self, from_row: u64, limit: usize) -> Result<Vec<RowState>, Error> {
        self.read(move |store| {
            store.reading(|connection| account::rows(connection, from_row, limit, store.claims_are_orphans()))
        })
        .await
    }

    async fn command(&self, command: Command) -> Result<u64, Error> {
        self.engine.call(move |store| commands::carry_out(store, &command)).await
    }

    async fn paused(&self) -> Result<Option<Paused>, Error> {
        self.value("paused").await
    }

    async fn suspended(&self) -> Result<Option<Timestamp>, Error> {
        self.value("suspended").await
    }

    async fn obstacle(&self) -> Result<Option<Obstacle>, Error> {
        self.value("obstacle").await
    }

    async fn tail(&self, from: TailFrom) -> Result<Self::Tail, Error> {
        EmbeddedTail::begin(self.engine.clone(), from).await
    }
}
