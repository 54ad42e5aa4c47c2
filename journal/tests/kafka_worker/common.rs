//! What the rooms share: campaigns of their own, a worker that "sends" and notes it, and a raw way into the topics.

use campaign::{CampaignUid, EmailAddress, Fields, Message, Outcome, Reply, Settlement};
use jiff::{SignedDuration, Timestamp};
use journal::kafka::{Kafka, KafkaWorker, Options, Settings, Timing, Which};
use journal::{Claimed, Entry, Error, Journal, OnUnknown, Pin, Publisher, Tick, Worker, WorkerOptions};
use rdkafka::ClientConfig;
use rdkafka::producer::{Producer, ThreadedProducer};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use testkit::kafka::KafkaOptions;
use tokio::task::JoinHandle;

/// Until when something must have happened.
pub(crate) const WAIT: Duration = Duration::from_secs(45);

/// Leases that are over soon.
pub(crate) const TIMING: Timing = Timing {
    lease: Duration::from_secs(2),
    takeover: Duration::from_millis(2_500),
    transaction: Duration::from_secs(10),
    final_dot: Duration::from_secs(2),
    reply: Duration::from_secs(2),
    first_share: Duration::from_secs(2),
};

/// The broker of all tests.
pub(crate) fn shared() -> String {
    testkit::kafka::Kafka::shared().bootstrap()
}

/// One that forgets the offsets of idle groups after a minute, and ends hanging transactions at once.
pub(crate) fn forgetful() -> String {
    static FORGETFUL: OnceLock<testkit::kafka::Kafka> = OnceLock::new();
    let start = || {
        let options = KafkaOptions::default()
            .property("offsets.retention.minutes", 1)
            .property("offsets.retention.check.interval.ms", 1000)
            .property("transaction.abort.timed.out.transaction.cleanup.interval.ms", 500);
        testkit::kafka::Kafka::start(options)
    };
    FORGETFUL.get_or_init(start).bootstrap()
}

/// Shows what the journal logs, for whoever sets RUST_LOG.
fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    });
}

/// Runs what blocks.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("done")
}

/// A campaign on a broker.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) options: Options,
}

impl Stage {
    /// One that no other test has, also on a broker that stays.
    pub(crate) fn new(bootstrap: String, partitions: u32, timing: Timing) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        listen();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_nanos();
        let name = format!("t{now:x}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let uid = CampaignUid::alone(&format!("test/{name}"), "bb", "aa", None);
        let which = Which { prefix: "mc".to_owned(), namespace: "test".to_owned(), name, uid };
        let settings = Settings::plaintext(bootstrap);
        Self { options: Options { settings, which, partitions, replication: None, timing } }
    }

    /// On the broker of all, pinned, with these rows published as the whole list.
    pub(crate) async fn with_rows(partitions: u32, timing: Timing, rows: Range<u64>) -> (Self, Kafka) {
        let stage = Self::new(blocking(shared).await, partitions, timing);
        let journal = stage.pinned().await;
        let mut publisher = journal.publisher(0).await.expect("a publisher");
        publish(&mut publisher, rows, true).await;
        (stage, journal)
    }

    pub(crate) async fn open(&self) -> Kafka {
        Kafka::open(self.options.clone()).await.expect("opened")
    }

    pub(crate) async fn pinned(&self) -> Kafka {
        let journal = self.open().await;
        journal.pin(pin(&self.options.which)).await.expect("pinned");
        journal
    }

    /// A client's settings for whoever writes or reads past the journal.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.options.settings.bootstrap).set("allow.auto.create.topics", "false");
        config
    }

    /// A producer with a transaction begun, as a program of another version would have it.
    pub(crate) fn producer(&self, id: &str) -> ThreadedProducer<rdkafka::producer::DefaultProducerContext> {
        let producer: ThreadedProducer<_> = self.client().set("transactional.id", id).create().expect("a producer");
        producer.init_transactions(WAIT).expect("begun");
        producer.begin_transaction().expect("begun");
        producer
    }
}

pub(crate) fn pin(which: &Which) -> Pin {
    let contents = BTreeMap::from([("spec.message.text".to_owned(), "aa".to_owned())]);
    Pin { uid: which.uid, contents, destination: "backends".to_owned(), shards: 1 }
}

pub(crate) fn message(row: u64) -> Message {
    let recipient = EmailAddress::parse(&format!("person{row}@example.com")).expect("an address");
    let fields: Fields = [("Name".to_owned(), "Ada".into())].into_iter().collect();
    Message { row, recipient, fields }
}

pub(crate) async fn publish<P: Publisher>(publisher: &mut P, rows: Range<u64>, done: bool) {
    let entries: Vec<Entry> = rows.map(|row| Entry::Message(message(row))).collect();
    let checkpoint = journal::conformance::after(publisher.checkpoint(), &entries, done);
    publisher.publish(entries, checkpoint).await.expect("published");
}

pub(crate) fn reply(code: u16) -> Reply {
    Reply { code, enhanced: None, text: format!("the answer was {code}") }
}

pub(crate) fn result(row: u64, attempt: u32, outcome: Outcome) -> Settlement {
    Settlement { row, attempt, at: Timestamp::now(), backend: Some("relay".to_owned()), outcome }
}

/// What was sent: by row, who sent it.
#[derive(Clone, Default)]
pub(crate) struct Post(Arc<Mutex<BTreeMap<u64, Vec<String>>>>);

impl Post {
    pub(crate) fn send(&self, row: u64, who: &str) {
        self.0.lock().expect("the post").entry(row).or_default().push(who.to_owned());
    }

    pub(crate) fn of(&self, row: u64) -> Vec<String> {
        self.0.lock().expect("the post").get(&row).cloned().unwrap_or_default()
    }

    /// How many mails somebody sent.
    pub(crate) fn by(&self, who: &str) -> usize {
        self.0.lock().expect("the post").values().flatten().filter(|by| *by == who).count()
    }

    pub(crate) fn sent(&self) -> usize {
        self.0.lock().expect("the post").len()
    }

    /// Each of the rows was sent exactly once, and nothing else was.
    pub(crate) fn holds_once(&self, rows: Range<u64>) {
        self.holds_none_twice();
        let found: Vec<u64> = self.0.lock().expect("the post").keys().copied().collect();
        assert_eq!(found, rows.collect::<Vec<_>>());
    }

    pub(crate) fn holds_none_twice(&self) {
        let sent = self.0.lock().expect("the post");
        let twice: Vec<_> = sent.iter().filter(|(_, by)| by.len() > 1).collect();
        assert!(twice.is_empty(), "sent twice: {twice:?}");
    }
}

/// A worker that sends what it claims at once, under its lease, and settles it with its next tick.
pub(crate) struct Runner {
    who: String,
    worker: KafkaWorker,
    post: Post,
    finished: Vec<Settlement>,
    /// Added to the time of day.
    pub(crate) ahead: SignedDuration,
    last: Instant,
    /// The longest time between two ticks.
    pub(crate) longest: Duration,
}

impl Runner {
    pub(crate) async fn join(journal: &Kafka, who: &str, post: &Post) -> Self {
        let options = WorkerOptions { on_unknown: OnUnknown::Hold, now: Timestamp::now() };
        let worker = journal.worker(options).await.expect("a worker");
        Self::of(worker, who, post)
    }

    pub(crate) fn of(worker: KafkaWorker, who: &str, post: &Post) -> Self {
        let (who, post, last) = (who.to_owned(), post.clone(), Instant::now());
        let (ahead, longest) = (SignedDuration::ZERO, Duration::ZERO);
        Self { who, worker, post, finished: Vec::new(), ahead, last, longest }
    }

    pub(crate) fn worker(&mut self) -> &mut KafkaWorker {
        &mut self.worker
    }

    fn now(&self) -> Timestamp {
        Timestamp::now() + self.ahead
    }

    /// One tick; how many were sent.
    pub(crate) async fn tick(&mut self, max: usize) -> Result<usize, Error> {
        let now = self.now();
        let claims = self.worker.take(max, now).await?;
        let tick = Tick { finished: self.finished.clone(), claims, at: now, ..Tick::default() };
        let claimed = self.worker.commit(tick).await?;
        self.finished.clear();
        self.longest = self.longest.max(self.last.elapsed());
        self.last = Instant::now();
        let before = self.post.sent();
        for mail in claimed {
            let (row, attempt) = (mail.message().row, mail.attempt());
            let may = mail.lease().may_begin() && mail.lease().may_finish();
            if may {
                self.post.send(row, &self.who);
            }
            let outcome = if may { Outcome::Delivered { reply: reply(250) } } else { Outcome::Released };
            self.finished.push(result(row, attempt, outcome));
        }
        Ok(self.post.sent() - before)
    }

    /// Claims rows and leaves them so.
    pub(crate) async fn claim(&mut self, max: usize) -> Vec<Claimed> {
        let now = self.now();
        let claims = self.worker.take(max, now).await.expect("taken");
        let finished = std::mem::take(&mut self.finished);
        self.worker.commit(Tick { finished, claims, at: now, ..Tick::default() }).await.expect("committed")
    }

    /// Settles rows.
    pub(crate) async fn settle(&mut self, finished: Vec<Settlement>) {
        let claimed = self.worker.commit(Tick { finished, at: self.now(), ..Tick::default() }).await.expect("settled");
        assert!(claimed.is_empty());
    }

    /// Ticks, with a little rest between, until the condition holds.
    pub(crate) async fn until(&mut self, what: &str, max: usize, mut holds: impl FnMut(&KafkaWorker) -> bool) {
        let begun = Instant::now();
        while !holds(&self.worker) {
            let share = self.worker.share();
            assert!(begun.elapsed() < WAIT, "{}: {what}; {:?}, {share:?}", self.who, self.worker.counts());
            self.tick(max).await.expect("a tick");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Until all is this worker's, and it is known what became of the claims of former owners.
    pub(crate) async fn settle_in(&mut self) {
        self.until("all is its own", 0, |worker| {
            worker.taking_over() == 0 && worker.share().owned == worker.share().of
        })
        .await;
    }

    /// Sends all that is left.
    pub(crate) async fn drain(&mut self) {
        loop {
            self.until("nothing is left", 500, Worker::exhausted).await;
            // What could not be sent in time on a busy machine is released, and queued again.
            self.tick(0).await.expect("a tick");
            if self.finished.is_empty() && self.worker.exhausted() {
                return;
            }
        }
    }

    /// Settles what it sent, and leaves the group.
    pub(crate) async fn leave(mut self) {
        self.tick(0).await.expect("a tick");
        self.vanish().await;
    }

    /// Leaves the group, whatever is open.
    pub(crate) async fn vanish(self) {
        blocking(move || drop(self)).await;
    }

    /// Goes on beside the test until it is told to stop.
    pub(crate) fn go_on(mut self, max: usize) -> GoingOn {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                self.tick(max).await.expect("a tick");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self
        });
        GoingOn { stop, task }
    }
}

/// A worker that goes on beside the test.
pub(crate) struct GoingOn {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Runner>,
}

impl GoingOn {
    pub(crate) async fn stop(self) -> Runner {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("went on")
    }
}

/// Waits for something that others bring about.
pub(crate) async fn eventually(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < within, "{what}, within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}
