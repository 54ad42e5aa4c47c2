//! The clients of Kafka, made as this program needs them, and how their records are read. No record is interpreted here.

use super::Shared;
use super::errors::failed;
use super::wire::{Unreadable, header};
use crate::Error;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a call waits for the broker's answer before it is given up or made again.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// A record's key, headers and frame, in bytes, at most.
pub(super) const OVERHEAD: usize = 512;

/// What a client of ours tells: its log, and whether a broker can be reached.
#[derive(Debug, Clone, Default)]
pub(super) struct Ears {
    /// Set while no broker can be reached.
    pub(super) cut_off: Arc<AtomicBool>,
    /// For credentials that are read anew when they expire.
    pub(super) token: Option<Arc<super::settings::TokenFile>>,
}

impl ClientContext for Ears {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::errors::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        super::errors::note(&error, reason, &self.cut_off);
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
        match &self.token {
            Some(file) => file.read(),
            None => Err("no token file is set (--kafka-oauth-token-file)".into()),
        }
    }
}

impl ConsumerContext for Ears {}

impl Ears {
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
        let mut config = self.settings.client();
        config
            .set("group.id", &self.names.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("queued.max.messages.kbytes", "8192")
            .set("fetch.wait.max.ms", "250")
            .set("retry.backoff.ms", "10")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("isolation.level", if sees == Sees::Committed { "read_committed" } else { "read_uncommitted" });
        self.make("connecting to Kafka", &config)
    }

    /// A client from its settings; a setting that librdkafka refuses is named.
    pub(super) fn make<C: FromClientConfigAndContext<Ears>>(
        &self,
        during: &'static str,
        config: &rdkafka::ClientConfig,
    ) -> Result<C, Error> {
        config.create_with_context(self.settings.ears()).map_err(|error| failed(during, error))
    }

    /// The partitions of a topic; none if there is no such topic.
    pub(super) fn partitions_of(&self, reader: &Reader, topic: &str) -> Result<Option<i32>, Error> {
        let metadata =
            reader.fetch_metadata(Some(topic), ANSWER).map_err(|error| failed("looking at the topics", error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        Ok(found.map(|found| i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)).filter(|count| *count > 0))
    }
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
