//! A campaign in a temporary folder, and backends that do as they are told.

use campaign::{
    CampaignUid, ContentKey, Contents, Counts, EmailAddress, Fields, HumanDuration, Message, Outcome, Reply, Schedule,
    Settlement,
    spec::{Backend as Spec, KeyRef, OnUnknown, Retry},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use journal::{Checkpoint, Entry, Journal, Pin, Publisher, RowState, Tally, WorkerOptions, embedded::Embedded};
use letter::Letters;
use program::Health;
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use testkit::Sink;
use tokio::sync::watch;
use worker::{
    Backends, Error, Finished, Gate, Grace, Metrics, Options, Progress, Stop, Until, WallClock,
    backend::{Backend, Failure, Mail},
};

/// A campaign with everything published, in a folder of its own.
pub(crate) struct Campaign {
    pub(crate) folder: TempDir,
    pub(crate) journal: Embedded,
    letters: Arc<Letters>,
    pub(crate) uid: CampaignUid,
}

impl Campaign {
    /// One with a message to each of the addresses, in rows from 2 on.
    pub(crate) async fn to(addresses: impl IntoIterator<Item = String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Embedded::open(&folder.path().join("state")).expect("a journal");
        let uid = CampaignUid::alone("hr/offers", "list", "message", None);
        let campaign = Self { folder, journal, letters: letters(uid, "Hello {{ Name }}"), uid };
        campaign.publish(addresses).await;
        campaign
    }

    /// Its letters.
    pub(crate) fn letters(&self) -> Arc<Letters> {
        Arc::clone(&self.letters)
    }

    /// The same with another subject.
    pub(crate) fn with_subject(self, subject: &str) -> Self {
        Self { letters: letters(self.uid, subject), ..self }
    }

    async fn publish(&self, addresses: impl IntoIterator<Item = String>) {
        let pin = Pin { uid: self.uid, contents: BTreeMap::new(), destination: "backends".to_owned(), shards: 1 };
        self.journal.pin(pin).await.expect("pinned");
        let entries: Vec<_> =
            addresses.into_iter().zip(2..).map(|(address, row)| Entry::Message(message(row, &address))).collect();
        let published = u64::try_from(entries.len()).expect("a number");
        let tally = Tally { published, ..Tally::default() };
        let checkpoint = Checkpoint { next_row: published + 2, tally, done: true };
        let mut publisher = self.journal.publisher(0).await.expect("a publisher");
        publisher.publish(entries, checkpoint).await.expect("published");
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, backends: Backends, options: Options) -> Finished {
        self.try_run(backends, options, &Stop::new()).await.expect("a run")
    }

    /// Runs it until its end or the stop, and checks that the account balances.
    pub(crate) async fn try_run(&self, backends: Backends, options: Options, stop: &Stop) -> Result<Finished, Error> {
        let (progress, seen) = watch::channel(Progress::default());
        let run = self.start(backends, options, stop, progress).await;
        let finished = tokio::time::timeout(Duration::from_mins(1), run).await.expect("an end within a minute")?;
        assert!(finished.counts.balances(), "{:?}", finished.counts);
        assert_eq!(finished.counts, self.journal.counts().await.expect("counts"));
        assert_eq!(seen.borrow().counts, finished.counts);
        Ok(finished)
    }

    /// A run that may be spawned.
    pub(crate) async fn start(
        &self,
        backends: Backends,
        options: Options,
        stop: &Stop,
        progress: watch::Sender<Progress>,
    ) -> impl Future<Output = Result<Finished, Error>> + Send + 'static {
        let worker = WorkerOptions { on_unknown: options.on_unknown, now: Timestamp::now() };
        let worker = self.journal.worker(worker).await.expect("a worker");
        worker::run(worker, Arc::clone(&self.letters), backends, options, stop.clone(), progress)
    }

    /// The latest settlement of each row.
    pub(crate) async fn settlements(&self) -> Vec<Settlement> {
        let rows = self.journal.rows(0, 1_000_000).await.expect("rows");
        let latest = rows.into_iter().filter_map(|row| match row {
            RowState::Message { latest, .. } => latest,
            RowState::Skipped(_) => None,
        });
        latest.collect()
    }

    /// The latest settlement of the only row that has one.
    pub(crate) async fn settlement(&self) -> Settlement {
        let mut settlements = self.settlements().await;
        assert_eq!(settlements.len(), 1, "{settlements:?}");
        settlements.remove(0)
    }

    /// Backends as the campaign's file would give them; each in JSON.
    pub(crate) fn backends(&self, specs: &[serde_json::Value]) -> Backends {
        build(specs, &Contents::in_directory(self.folder.path()))
    }

    /// An SMTP backend, given in JSON, that logs in as `ann` with the password `secret`.
    pub(crate) fn backend_with_login(&self, mut spec: serde_json::Value) -> Backends {
        spec["smtp"]["auth"] = json!({"secret": {"name": "relay"}});
        let mut contents = Contents::in_directory(self.folder.path());
        for (key, value) in [("username", "ann"), ("password", "secret\n")] {
            let key = KeyRef { name: "relay".to_owned(), key: key.to_owned() };
            contents.insert(ContentKey::Secret(key), value.as_bytes());
        }
        build(&[spec], &contents)
    }
}

fn build(specs: &[serde_json::Value], contents: &Contents) -> Backends {
    let specs: Vec<Spec> = specs.iter().map(|spec| serde_json::from_value(spec.clone()).expect("a backend")).collect();
    let from = EmailAddress::parse("people@example.com").expect("an address");
    Backends::build(&specs, contents, &from).map_err(|found| format!("{found:?}")).expect("backends")
}

fn letters(uid: CampaignUid, subject: &str) -> Arc<Letters> {
    let spec =
        json!({"from": "People <people@example.com>", "subject": subject, "text": {"inline": "Dear {{ Name }},\n"}});
    let spec = serde_json::from_value(spec).expect("a message");
    let letters = Letters::compile(&spec, uid, &Contents::default());
    Arc::new(letters.map_err(|found| format!("{found:?}")).expect("letters"))
}

/// `count` addresses of one domain.
pub(crate) fn people(count: usize, domain: &str) -> Vec<String> {
    (0..count).map(|number| format!("p{number}@{domain}")).collect()
}

pub(crate) fn message(row: u64, address: &str) -> Message {
    let recipient = EmailAddress::parse(address).expect("an address");
    let fields: Fields = [("Name".to_owned(), json!(format!("No. {row}")))].into_iter().collect();
    Message { row, recipient, fields }
}

/// Options with waits short enough for a test.
pub(crate) fn options() -> Options {
    let human = |millis| HumanDuration(Duration::from_millis(millis));
    Options {
        rate: None,
        retry: Retry { max_attempts: 3, initial_backoff: human(30), max_backoff: human(200), max_age: human(60_000) },
        max_in_flight: 100,
        on_unknown: OnUnknown::Hold,
        grace: Grace {
            final_dot: Duration::from_millis(300),
            reply: Duration::from_millis(800),
            settle: Duration::from_secs(20),
        },
        until: Until::Done,
        metrics: Metrics::default(),
        health: Health::default(),
        schedule: Schedule::default(),
        guard: None,
        obstacle_after: Duration::from_millis(200),
        clock: WallClock::default(),
    }
}

/// An SMTP backend, as JSON, at a sink.
pub(crate) fn at(sink: &Sink, name: &str) -> serde_json::Value {
    json!({"name": name, "smtp": {"host": "127.0.0.1", "port": sink.port(), "tls": "None", "connections": 4}})
}

/// An SMTP backend, as JSON, where nobody listens.
pub(crate) fn nowhere(name: &str) -> serde_json::Value {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    json!({"name": name, "smtp": {"host": "127.0.0.1", "port": port, "tls": "None", "connections": 4}})
}

/// A backend as JSON with its place among the others.
pub(crate) fn placed(mut backend: serde_json::Value, priority: u32, weight: u32) -> serde_json::Value {
    backend["priority"] = json!(priority);
    backend["weight"] = json!(weight);
    backend
}

/// Counts of one state each, of `published` messages.
pub(crate) fn counts(published: u64, set: impl FnOnce(&mut Counts)) -> Counts {
    let mut counts = Counts { total: published, published, ..Counts::default() };
    set(&mut counts);
    counts
}

type Script = dyn Fn(&str, u32) -> Result<Reply, Failure> + Send + Sync;

/// A backend that does what a function says: the recipient and how often it was tried, from 1.
#[derive(Clone)]
pub(crate) struct Scripted {
    calls: Arc<Mutex<Vec<(String, tokio::time::Instant)>>>,
    tries: Arc<Mutex<HashMap<String, u32>>>,
    script: Arc<Script>,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(&str, u32) -> Result<Reply, Failure> + Send + Sync + 'static) -> Self {
        Self { calls: Arc::default(), tries: Arc::default(), script: Arc::new(script) }
    }

    pub(crate) fn that_takes_everything() -> Self {
        Self::new(|_, _| Ok(reply(250, "queued")))
    }

    /// Whom it was asked to mail, and when.
    pub(crate) fn calls(&self) -> Vec<(String, tokio::time::Instant)> {
        self.calls.lock().expect("a lock").clone()
    }
}

impl Backend for Scripted {
    fn send<'a>(&'a self, mail: Mail<'a>, _: &'a Gate) -> BoxFuture<'a, Result<Reply, Failure>> {
        let to = mail.letter.to.to_string();
        let tries = {
            let mut tries = self.tries.lock().expect("a lock");
            let tries = tries.entry(to.clone()).or_insert(0);
            *tries += 1;
            *tries
        };
        self.calls.lock().expect("a lock").push((to.clone(), tokio::time::Instant::now()));
        Box::pin(async move { (self.script)(&to, tries) })
    }
}

pub(crate) fn reply(code: u16, text: &str) -> Reply {
    Reply { code, enhanced: None, text: text.to_owned() }
}

/// The name of an outcome.
pub(crate) fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered { .. } => "delivered",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Refused { .. } => "refused",
        Outcome::Unknown { .. } => "unknown",
        Outcome::Dead { .. } => "dead",
        Outcome::Released => "released",
    }
}
