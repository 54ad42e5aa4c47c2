//! The clients of Kafka, made as this program needs them, and how their records are read. No record is interpreted here.

use super::Shared;
use super::errors::{Heard, failed, failed_on};
use super::settings::{Settings, TokenFile};
use super::wire::{Unreadable, header};
use crate::Error;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::metadata::Metadata;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a call waits for the broker's answer before it is given up or made again.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// A topic that no broker has shown for so long is gone: each of them learns within moments that one was made.
const SURELY_GONE: Duration = Duration::from_secs(3);
/// How long a client has to ask for a token; it does so as soon as it is there.
const LOGIN: Duration = Duration::from_secs(2);
/// How long the broker waits for more at the end of a partition, for who follows it and for who looks something up.
const FOLLOWING: Duration = Duration::from_millis(500);
const LOOKING: Duration = Duration::from_millis(5);
/// How often a client for questions is listened to.
const LISTEN: Duration = Duration::from_millis(100);
/// So many questions about topics one client is asked.
const QUESTIONS: u32 = 1_000;
/// A record's key, headers and frame, in bytes, at most.
pub(super) const OVERHEAD: usize = 512;

/// What a client of ours tells: its log, and whether a broker can be reached.
#[derive(Debug, Clone, Default)]
pub(super) struct Ears {
    /// Set while no broker can be reached.
    pub(super) cut_off: Arc<AtomicBool>,
    /// For credentials that are read anew when they expire.
    token: Option<Arc<TokenFile>>,
    /// Set once a token was asked for.
    asked: Arc<AtomicBool>,
    /// What all clients of the cluster heard.
    heard: Arc<Heard>,
}

impl ClientContext for Ears {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::errors::log(level, facility, message, &self.heard);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.cut_off.store(true, Ordering::Relaxed);
        }
        super::errors::note(&error, reason, &self.heard);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
        self.asked.store(true, Ordering::Release);
        match &self.token {
            Some(file) => file.read(),
            None => Err("no token file is set (--kafka-oauth-token-file)".into()),
        }
    }
}

impl ConsumerContext for Ears {}

impl Ears {
    /// Those of a new client.
    pub(super) fn new(token: Option<Arc<TokenFile>>, heard: Arc<Heard>) -> Self {
        Self { token, heard, ..Self::default() }
    }

    /// The same, that raise this flag while no broker can be reached.
    pub(super) fn raising(self, cut_off: Arc<AtomicBool>) -> Self {
        Self { cut_off, ..self }
    }

    /// A call to a broker succeeded: it can be reached, and what was heard before is past.
    pub(super) fn reached(&self) {
        self.cut_off.store(false, Ordering::Relaxed);
        self.heard.reached();
    }

    /// With OAUTHBEARER a client asks for its token while it is polled, and can't do anything before: so a consumer with no assignment yet is
    /// polled until it has asked. Does nothing for others.
    pub(super) fn log_in<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>) {
        let begun = Instant::now();
        while self.token.is_some() && !self.asked.load(Ordering::Acquire) && begun.elapsed() < LOGIN {
            // What fails is told by the next call.
            drop(consumer.poll(Duration::from_millis(20)));
        }
    }

    /// Whether no broker could be reached when last heard of.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }
}

/// A consumer that reads what it is assigned by hand.
pub(super) type Reader = BaseConsumer<Ears>;

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sees {
    /// Only those of committed transactions.
    Committed,
    /// All; and offsets without waiting for transactions that are under way.
    Everything,
}

impl Shared {
    /// A consumer for reading by hand. It has the group's name, to look up offsets, but never joins it.
    pub(super) fn reader(&self, sees: Sees) -> Result<Reader, Error> {
        reader(&self.settings, Some(&self.names.group), sees)
    }

    /// The same, for looking up what is there: it is given one partition after the other, and each must wait until the broker has answered about the
    /// one before.
    pub(super) fn looker(&self) -> Result<Reader, Error> {
        reader_that_waits(&self.settings, Some(&self.names.group), Sees::Committed, LOOKING)
    }

    /// What every consumer of the campaign begins with.
    pub(super) fn consumer(&self) -> rdkafka::ClientConfig {
        consumer(&self.settings, Some(&self.names.group))
    }
}

/// A consumer that never joins a group. It may read if it has a group's name; without, it only answers questions.
pub(super) fn reader(settings: &Settings, group: Option<&str>, sees: Sees) -> Result<Reader, Error> {
    reader_that_waits(settings, group, sees, FOLLOWING)
}

/// What every consumer begins with: it belongs to the group by name, and nothing happens by itself.
fn consumer(settings: &Settings, group: Option<&str>) -> rdkafka::ClientConfig {
    let mut config = settings.client();
    if let Some(group) = group {
        config.set("group.id", group);
    }
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "1000");
    config
}

/// A reader for questions about any topics. It sees everything, so that no answer waits for somebody's transaction.
fn questioner(settings: &Settings, group: Option<&str>) -> Result<Reader, Error> {
    let mut config = reader_config(settings, group, Sees::Everything, FOLLOWING);
    // It is asked about many topics that aren't there yet. For so long it would look for all of them again whenever it hears of another; and it still
    // does once a second.
    config.set("topic.metadata.propagation.max.ms", "0");
    connected(&config, settings)
}

fn reader_that_waits(settings: &Settings, group: Option<&str>, sees: Sees, at_end: Duration) -> Result<Reader, Error> {
    connected(&reader_config(settings, group, sees, at_end), settings)
}

fn reader_config(settings: &Settings, group: Option<&str>, sees: Sees, at_end: Duration) -> rdkafka::ClientConfig {
    let mut config = consumer(settings, group);
    config
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", "8192")
        .set("fetch.wait.max.ms", at_end.as_millis().to_string())
        .set("retry.backoff.ms", "10")
        .set("isolation.level", if sees == Sees::Committed { "read_committed" } else { "read_uncommitted" });
    config
}

fn connected(config: &rdkafka::ClientConfig, settings: &Settings) -> Result<Reader, Error> {
    let made = config.create_with_context(settings.ears());
    // A setting that librdkafka refuses is named.
    let reader: Reader = made.map_err(|error| failed("connecting to Kafka", error))?;
    reader.context().log_in(&reader);
    Ok(reader)
}

/// A client for questions, made when it is needed first.
#[derive(Default)]
pub(super) struct Prober(Mutex<Option<Asked>>);

struct Asked {
    client: Arc<Questioner>,
    listened: Option<Instant>,
    questions: u32,
}

/// What answers questions, for as long as anybody has one. Whoever asks the last one doesn't wait for its end.
pub(super) struct Questioner(Option<Reader>);

impl Deref for Questioner {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        self.0.as_ref().expect("it is there")
    }
}

impl Drop for Questioner {
    fn drop(&mut self) {
        let_go(self.0.take());
    }
}

impl Prober {
    /// The client, after it was listened to.
    pub(super) fn get(&self, settings: &Settings, group: Option<&str>) -> Result<Arc<Questioner>, Error> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = match &mut *asked {
            Some(asked) => asked,
            none => {
                let client = Arc::new(Questioner(Some(questioner(settings, group)?)));
                none.insert(Asked { client, listened: None, questions: 0 })
            }
        };
        if asked.listened.is_none_or(|at| at.elapsed() > LISTEN) {
            // What it has to tell, and that it asks for credentials, comes by polling. Without any time to wait, a poll takes a single event.
            while let Some(event) = asked.client.poll(Duration::from_millis(1)) {
                drop(event);
            }
            asked.listened = Some(Instant::now());
        }
        Ok(asked.client.clone())
    }

    /// It is going to be asked about one topic of many. It keeps what it knows of each for good (some kilobytes), and looks through all of it for every
    /// answer: so after many questions the next one is for a new client.
    pub(super) fn counts_question(&self) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = asked.as_mut() {
            asked.questions += 1;
        }
        drop(asked.take_if(|asked| asked.questions > QUESTIONS));
    }
}

/// Lets clients go on a thread of their own: ending one waits for its connections.
pub(super) fn let_go<T: Send + 'static>(clients: T) {
    // Without a thread it just takes longer here.
    drop(std::thread::Builder::new().name("kafka-close".to_owned()).spawn(move || drop(clients)));
}

/// Lets a new client connect, and learn where a topic's partitions are. By itself a reader does so only up to a second after its first assignment, and a
/// writer looks for its coordinator only half a second later.
pub(super) fn warm_up<C: ClientContext>(client: &Client<C>, topic: &str) {
    // The first answer ends the connection by which it came, the second comes by one that stays.
    for _ in 0..2 {
        // What fails here fails again where it matters.
        drop(client.fetch_metadata(Some(topic), ANSWER));
    }
}

/// What `ask` says about the partitions of a topic. A broker that knows of none may only be behind the others: it is asked again for a while.
pub(super) fn surely(mut ask: impl FnMut() -> Result<Option<i32>, Error>) -> Result<Option<i32>, Error> {
    let begun = Instant::now();
    loop {
        match ask()? {
            None if begun.elapsed() <= SURELY_GONE => std::thread::sleep(Duration::from_millis(50)),
            said => return Ok(said),
        }
    }
}

/// Where a partition begins and ends. While nobody leads it (it was made just now, or its broker is gone) it is asked again for a while.
pub(super) fn watermarks(reader: &Reader, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
    let begun = Instant::now();
    loop {
        match reader.fetch_watermarks(topic, partition, ANSWER) {
            Err(error) if is_without_leader(&error) && begun.elapsed() <= SURELY_GONE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            found => return found,
        }
    }
}

/// Whether the brokers have not told each other yet who leads a partition.
pub(super) fn is_without_leader(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error.rdkafka_error_code(), Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable))
}

/// The partitions of a topic; none if there is no such topic.
pub(super) fn partitions_of(reader: &Reader, topic: &str) -> Result<Option<i32>, Error> {
    partitions_in(reader.fetch_metadata(Some(topic), ANSWER), topic)
}

/// The partitions of a topic by its metadata; none if there is no such topic.
pub(super) fn partitions_in(metadata: Result<Metadata, KafkaError>, topic: &str) -> Result<Option<i32>, Error> {
    let during = "looking at the topics";
    let metadata = metadata.map_err(|error| failed(during, error))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(None),
        Some(code) => return Err(failed_on(during, topic, KafkaError::MetadataFetch(code))),
    }
    let count = i32::try_from(found.partitions().len()).unwrap_or(i32::MAX);
    Ok(Some(count).filter(|count| *count > 0))
}

/// The headers of a record, and its value.
#[derive(Debug)]
pub(super) struct Raw<'a> {
    /// The row, if it is about one.
    pub(super) row: Option<u64>,
    /// The schema of the value.
    pub(super) schema: &'a str,
    /// The value.
    pub(super) value: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Takes a record apart.
    ///
    /// # Errors
    /// [`Unreadable::Foreign`] if it isn't one of this campaign.
    pub(super) fn of(message: &'a BorrowedMessage<'_>, uid: &str) -> Result<Self, Unreadable> {
        let (mut campaign, mut row, mut schema) = (None, None, None);
        let headers = message.headers().ok_or(Unreadable::Foreign)?;
        for found in headers.iter() {
            let value = found.value.and_then(|value| std::str::from_utf8(value).ok());
            match found.key {
                header::CAMPAIGN => campaign = value,
                header::ROW => row = value.and_then(|value| value.parse().ok()),
                header::SCHEMA => schema = value,
                _ => {}
            }
        }
        match schema {
            Some(schema) if campaign == Some(uid) => {
                Ok(Self { row, schema, value: message.payload().unwrap_or_default() })
            }
            _ => Err(Unreadable::Foreign),
        }
    }
}

/// Where a record is, for people: `topic[partition]@offset`.
pub(super) fn place(message: &BorrowedMessage<'_>) -> String {
    format!("{}[{}]@{}", message.topic(), message.partition(), message.offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_many_questions_the_next_one_is_for_a_new_client_and_who_has_one_keeps_it() {
        // Nobody is spoken to.
        let (prober, settings) = (Prober::default(), Settings::plaintext("127.0.0.1:1".to_owned()));
        let client = || prober.get(&settings, None).expect("made");
        let first = client();
        for _ in 0..QUESTIONS {
            prober.counts_question();
        }
        assert!(Arc::ptr_eq(&first, &client()), "not before");
        prober.counts_question();
        let second = client();
        assert!(!Arc::ptr_eq(&first, &second));
    }
}
