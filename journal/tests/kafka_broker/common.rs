//! What the tests against a real broker share.

use campaign::{CampaignUid, EmailAddress, Fields, Message, SkipReason, Skipped};
use journal::kafka::{Kafka, Options, Settings, Timing, Which};
use journal::{Checkpoint, Entry, Pin, Publisher};
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, SystemTime};

/// Until when something must have happened.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// A campaign that no other test has, also on a broker that stays.
pub(crate) fn campaign() -> Which {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_nanos();
    let name = format!("t{now:x}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let uid = CampaignUid::alone(&format!("test/{name}"), "bb", "aa", None);
    Which { prefix: "mc".to_owned(), namespace: "test".to_owned(), name, uid }
}

/// Its options on the shared broker; a lease is over soon.
pub(crate) fn options(which: &Which, partitions: u32) -> Options {
    let timing =
        Timing { lease: Duration::from_millis(300), takeover: Duration::from_millis(400), ..Timing::default() };
    let settings = Settings::plaintext(testkit::kafka::Kafka::shared().bootstrap());
    Options { settings, which: which.clone(), partitions, replication: None, timing }
}

/// Its journal.
pub(crate) async fn open(which: &Which, partitions: u32) -> Kafka {
    Kafka::open(options(which, partitions)).await.expect("opened")
}

/// What it pins.
pub(crate) fn pin(which: &Which) -> Pin {
    let contents = BTreeMap::from([("spec.message.text".to_owned(), "aa".to_owned())]);
    Pin { uid: which.uid, contents, destination: "backends".to_owned(), shards: 1 }
}

/// Messages, and every tenth row skipped.
pub(crate) fn entries(rows: Range<u64>) -> Vec<Entry> {
    let of = |row: u64| {
        if row.is_multiple_of(10) {
            return Entry::Skipped(Skipped { row, reason: SkipReason::Duplicate });
        }
        message(row, "Ada")
    };
    rows.map(of).collect()
}

/// A message.
pub(crate) fn message(row: u64, name: &str) -> Entry {
    let recipient = EmailAddress::parse(&format!("person{row}@example.com")).expect("an address");
    let fields: Fields = [("Name".to_owned(), name.into())].into_iter().collect();
    Entry::Message(Message { row, recipient, fields })
}

/// A message of at least so many bytes.
pub(crate) fn long(row: u64, bytes: usize) -> Entry {
    message(row, &"n".repeat(bytes))
}

/// The checkpoint behind one more message.
pub(crate) fn after<P: Publisher>(publisher: &P, row: u64, done: bool) -> Checkpoint {
    let mut tally = publisher.checkpoint().tally;
    tally.published += 1;
    Checkpoint { next_row: row + 1, tally, done }
}

/// Publishes entries with the checkpoint behind them.
pub(crate) async fn publish<P: Publisher>(publisher: &mut P, entries: Vec<Entry>, done: bool) {
    let checkpoint = journal::conformance::after(publisher.checkpoint(), &entries, done);
    publisher.publish(entries, checkpoint).await.expect("published");
}

/// Asks the broker as its administrator.
pub(crate) fn administrator() -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", testkit::kafka::Kafka::shared().bootstrap());
    config.set("allow.auto.create.topics", "false");
    config.create().expect("an administrator")
}

/// What was warned of about one campaign since this was made.
pub(crate) struct Told {
    name: String,
    from: usize,
}

/// All warnings of this process, from whatever thread.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Takes lines of the log.
struct Lines;

impl std::io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        WARNINGS.lock().expect("the warnings").push(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Told {
    /// Listens from now on.
    pub(crate) fn about(which: &Which) -> Self {
        static LISTENING: Once = Once::new();
        LISTENING.call_once(|| {
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::WARN)
                .with_ansi(false)
                .with_writer(|| Lines)
                .init();
        });
        Self { name: which.name.clone(), from: WARNINGS.lock().expect("the warnings").len() }
    }

    /// The lines that name the campaign.
    pub(crate) fn lines(&self) -> Vec<String> {
        let all = WARNINGS.lock().expect("the warnings");
        all[self.from..].iter().filter(|line| line.contains(&self.name)).cloned().collect()
    }
}
