//! The journal on Apache Kafka: many producers, many workers, one account. `docs/protocol.md` says how, `docs/wire.md` what is on the topics.

mod clerk;
mod clients;
mod cluster;
mod contact;
mod control;
mod deciding;
mod errors;
#[cfg(feature = "conformance")]
mod failpoint;
mod failures;
mod fold;
mod hub;
mod names;
mod publish;
mod reader;
mod reading;
mod settings;
mod siblings;
mod slots;
mod survey;
mod tail;
mod topics;
mod transactor;
pub mod wire;
mod worker;

pub use hub::Hub;
pub use names::{Names, Which};
pub use publish::KafkaPublisher;
pub use settings::{Given, Secret, Settings};
pub use siblings::Sibling;
pub use survey::Survey;
pub use tail::KafkaTail;
pub use topics::{Ensured, Found};
pub use worker::KafkaWorker;

use crate::{Command, Error, Journal, Obstacle, Paused, Pin, Preflighted, RowState, TailFrom, WorkerOptions};
use campaign::Counts;
use clients::{OVERHEAD, Prober, let_go};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the journal of a campaign is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How Kafka is reached.
    pub settings: Settings,
    /// Which campaign.
    pub which: Which,
    /// Partitions of `outbox` and `outcomes`, when they are created or grown.
    pub partitions: u32,
    /// Copies of each partition, when topics are created; none: the broker's default.
    pub replication: Option<u16>,
    /// How long things take.
    pub timing: Timing,
}

/// How long things take. The order matters: a lease is over before anybody calls its claims unknown, and a transaction that hangs is over before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A claim may be sent for this long after the start of the last committed tick of its partition.
    pub lease: Duration,
    /// A claim that a new owner finds is unknown this long after the owner has read it.
    pub takeover: Duration,
    /// The broker ends a transaction that takes longer.
    pub transaction: Duration,
    /// When a partition is given away: how long begun mails have to their final dot.
    pub final_dot: Duration,
    /// And how long to the reply, from the same moment.
    pub reply: Duration,
    /// How long a worker that joins waits for its first share, before it goes on without.
    pub first_share: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(20),
            takeover: Duration::from_secs(22),
            transaction: Duration::from_secs(10),
            final_dot: Duration::from_secs(3),
            reply: Duration::from_secs(5),
            first_share: Duration::from_secs(10),
        }
    }
}

/// An onlooker's client that had nothing to read for so long is let go.
const UNUSED: Duration = Duration::from_secs(12);

/// What the clones, publishers and workers of a journal share.
pub(crate) struct Shared {
    settings: Settings,
    names: Names,
    uid: String,
    timing: Timing,
    /// The largest record that the broker takes, in bytes.
    max_record_bytes: usize,
    /// By partition: the commits of this process, so that a reader here never sees less.
    seen: Mutex<BTreeMap<i32, u64>>,
    /// The workers of this handle.
    workers: worker::Workers,
    /// For questions; made when it is needed first.
    prober: Prober,
    /// What stands in `control`.
    desk: Mutex<clerk::Desk>,
    /// What stands in all topics.
    book: Mutex<reader::Book>,
    /// The rows that failed.
    failures: Mutex<failures::Failures>,
}

impl Shared {
    fn new(options: &Options, names: Names, max_record_bytes: usize) -> Self {
        Self {
            settings: options.settings.clone(),
            names,
            uid: options.which.uid.to_string(),
            timing: options.timing,
            max_record_bytes,
            seen: Mutex::default(),
            workers: worker::Workers::default(),
            prober: Prober::default(),
            desk: Mutex::default(),
            book: Mutex::default(),
            failures: Mutex::default(),
        }
    }
}

/// The journal of a campaign on Kafka.
#[derive(Clone)]
pub struct Kafka {
    shared: Arc<Shared>,
}

impl Kafka {
    /// Opens the journal of a campaign, and makes or mends its topics.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Denied`]; [`Error::Unsuitable`] for a broker without transactions or older than 2.5, and for names that
    /// Kafka does not take; [`Error::TopicGone`] if the campaign was begun and one of its topics is not there.
    pub async fn open(options: Options) -> Result<Self, Error> {
        Hub::connect(options.settings.clone()).open(&options).await
    }

    /// Opens the journal of a campaign that was begun; nothing is created or changed.
    ///
    /// # Errors
    /// [`Error::NotPinned`] if there is nothing of the campaign on this Kafka; [`Error::TopicGone`] if only a part of it is there.
    pub async fn open_existing(options: Options) -> Result<Self, Error> {
        Hub::connect(options.settings.clone()).open_existing(&options).await
    }

    /// Where the campaign stands, for an onlooker who looks again and again: it costs a few short questions, and no record is read but what is new in
    /// `control`, as long as the owners of the partitions have left their marks. Without (offsets expire) all records are read, once.
    ///
    /// # Errors
    /// Kafka can't be reached or used; [`Error::TopicGone`]. A failure is never shown as zero.
    pub async fn survey(&self) -> Result<Survey, Error> {
        self.ask(|shared| {
            let survey = shared.survey();
            shared.rest(UNUSED);
            survey
        })
        .await
    }

    /// Why messages failed: those whose latest result is rejected, refused or dead, by the code of its reply (enhanced, else basic, else `0`). Code, how
    /// many, and a reply as the server gave it: it may hold an address. The ten most frequent, those first.
    ///
    /// Reads on where the last call of this handle stopped, all the outcomes the first time.
    ///
    /// # Errors
    /// As [`Kafka::survey`].
    pub async fn failures(&self) -> Result<Vec<(String, u64, String)>, Error> {
        self.ask(Shared::failures).await
    }

    /// The names of its topics and its group.
    pub fn names(&self) -> &Names {
        &self.shared.names
    }

    /// Ends all workers of this handle as by SIGKILL: nothing is settled or said any more. Returns when they are gone. For tests.
    #[cfg(feature = "conformance")]
    pub async fn crash(&self) {
        let shared = self.shared.clone();
        // Nothing in there fails.
        let _ = tokio::task::spawn_blocking(move || shared.workers.crash()).await;
    }

    /// Does this in every tick of a worker of this handle, on its thread: after the offsets were sent, before the commit. For tests.
    #[cfg(feature = "conformance")]
    pub fn before_commit(&self, deed: impl Fn() + Send + Sync + 'static) {
        self.shared.workers.before_commit.set(deed);
    }

    /// Asks Kafka something, on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.shared.clone();
        blocking(move || question(&shared)).await
    }
}

/// Clients are let go on a thread of their own: ending one waits for its connections.
impl Drop for Shared {
    fn drop(&mut self) {
        let (desk, book) = (std::mem::take(&mut self.desk), std::mem::take(&mut self.book));
        let_go((std::mem::take(&mut self.prober), desk, book, std::mem::take(&mut self.failures)));
    }
}

/// Runs what blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let ended = |error: tokio::task::JoinError| Error::Kafka { during: "asking Kafka", source: Box::new(error) };
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

impl Journal for Kafka {
    type Publisher = KafkaPublisher;
    type Worker = KafkaWorker;
    type Tail = KafkaTail;

    async fn pin_with(&self, pin: Pin, found: Option<Preflighted>) -> Result<(), Error> {
        self.ask(move |shared| shared.pin(&pin, found.as_ref())).await
    }

    async fn preflighted(&self) -> Result<Option<Preflighted>, Error> {
        self.ask(|shared| shared.control(|control| control.preflight)).await
    }

    async fn pinned(&self) -> Result<Option<Pin>, Error> {
        self.ask(|shared| shared.control(|control| control.pin.clone())).await
    }

    async fn publisher(&self, shard: u32) -> Result<Self::Publisher, Error> {
        KafkaPublisher::begin(self.shared.clone(), shard).await
    }

    async fn worker(&self, options: WorkerOptions) -> Result<Self::Worker, Error> {
        KafkaWorker::begin(self.shared.clone(), options).await
    }

    async fn counts(&self) -> Result<Counts, Error> {
        self.ask(|shared| shared.survey().map(|survey| survey.counts)).await
    }

    async fn published(&self) -> Result<bool, Error> {
        self.ask(|shared| shared.control(control::Control::published)).await
    }

    async fn rows(&self, from_row: u64, limit: usize) -> Result<Vec<RowState>, Error> {
        self.ask(move |shared| shared.account(|account, _| account.rows(from_row, limit))).await
    }

    async fn command(&self, command: Command) -> Result<u64, Error> {
        self.ask(move |shared| shared.decide(&command)).await
    }

    async fn paused(&self) -> Result<Option<Paused>, Error> {
        self.ask(|shared| shared.control(|control| control.paused.clone())).await
    }

    async fn suspended(&self) -> Result<Option<Timestamp>, Error> {
        self.ask(|shared| shared.control(|control| control.suspended)).await
    }

    async fn obstacle(&self) -> Result<Option<Obstacle>, Error> {
        self.ask(|shared| shared.control(|control| control.obstacle.clone())).await
    }

    async fn tail(&self, from: TailFrom) -> Result<Self::Tail, Error> {
        let shared = self.shared.clone();
        blocking(move || KafkaTail::begin(shared, from)).await
    }

    fn max_message_bytes(&self) -> Option<usize> {
        Some(self.shared.max_record_bytes.saturating_sub(OVERHEAD))
    }
}
