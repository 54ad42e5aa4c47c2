//! Transactions: records, optionally offsets, and the commit. One at a time; all calls block.
//!
//! A commit that got no answer is asked for again and never aborted, for it may have happened. Deliveries are awaited before the offsets are
//! sent: librdkafka's own flush at commit works in slices of 100 ms.

mod polled;

use super::Shared;
use super::clients::{ANSWER, Ears, partitions_in, surely, warm_up};
use super::errors::{failed, failed_on};
use super::wire::header;
use crate::Error;
use polled::{LATE, Polled};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long a commit without an answer is asked for again.
const PATIENCE: Duration = Duration::from_mins(1);
/// The least time that a call gets.
const SOON: Duration = Duration::from_millis(100);
/// How long an abort is asked for: the broker aborts by itself what is not ended within the transaction's time.
const ABORTING: Duration = Duration::from_secs(5);

/// A record to be written.
#[derive(Debug, Clone)]
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    /// The key; a row's number for records about rows.
    pub(super) key: String,
    pub(super) row: Option<u64>,
    pub(super) attempt: u32,
    pub(super) schema: &'static str,
    pub(super) value: Vec<u8>,
}

/// Why a transaction did not come about.
#[derive(Debug)]
pub(super) enum Failed {
    /// Another has the transactional id: this producer writes nothing more.
    Fenced(Error),
    /// The group has moved on (`ILLEGAL_GENERATION`, `STALE_MEMBER_EPOCH`): nothing was written; the tick must be formed anew.
    Group,
    /// Nothing was written, and the same may be tried again.
    Aborted(Error),
    /// The producer is of no use any more, and perhaps the transaction was committed.
    Dead(Error),
}

impl Failed {
    /// What it says.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Fenced(_) | Self::Group => Error::Fenced,
            Self::Aborted(error) | Self::Dead(error) => error,
        }
    }
}

/// A batch of records, and the number of one of them.
type Number = (u64, usize);
/// What became of one record, and where it is.
type Report = (Number, Result<i64, KafkaError>);

/// Hears of deliveries.
struct Deliveries {
    ears: Ears,
    reports: Sender<Report>,
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ears.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ears.error(error, reason);
    }

    fn generate_oauth_token(
        &self,
        config: Option<&str>,
    ) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
        self.ears.generate_oauth_token(config)
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Number>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<Number>) {
        let report = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody listens any more only if the transaction was given up.
        let _ = self.reports.send((*number, report));
    }
}

/// Writes transactions under one transactional id.
pub(super) struct Transactor {
    producer: Polled<Deliveries>,
    reports: Receiver<Report>,
    /// The batch that is under way: reports of earlier ones, which were given up, may still come.
    batch: Cell<u64>,
    /// The topic of the record that failed last.
    failing: RefCell<String>,
    uid: String,
    /// After so long the broker aborts a transaction: what has not come to its commit by then never will.
    time: Duration,
    #[cfg(feature = "conformance")]
    before_commit: super::failpoint::Failpoint,
}

impl Transactor {
    /// Becomes the one that writes under this id; an earlier one is fenced, and what it had open is aborted (KIP-98).
    pub(super) fn open(shared: &Shared, id: &str) -> Result<Self, Error> {
        Self::open_with(shared, id, shared.settings.ears())
    }

    /// The same, with ears of the caller's.
    pub(super) fn open_with(shared: &Shared, id: &str, ears: Ears) -> Result<Self, Error> {
        let mut config = shared.settings.client();
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", shared.timing.transaction.as_millis().to_string())
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("allow.auto.create.topics", "false")
            .set("retry.backoff.ms", "10")
            .set("retry.backoff.max.ms", "200")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "1000")
            .set("compression.type", "lz4")
            .set("message.max.bytes", shared.max_record_bytes.to_string())
            .set("queue.buffering.max.kbytes", "262144");
        let (send, reports) = channel();
        let context = Deliveries { ears, reports: send };
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(context).map_err(|error| failed("connecting to Kafka", error))?;
        let transactor = Self {
            producer: Polled::new(producer)?,
            reports,
            batch: Cell::new(0),
            failing: RefCell::default(),
            uid: shared.uid.clone(),
            time: shared.timing.transaction,
            #[cfg(feature = "conformance")]
            before_commit: shared.workers.before_commit.clone(),
        };
        warm_up(transactor.producer.client(), &shared.names.outcomes);
        let begun = Instant::now();
        loop {
            match transactor.producer.init_transactions(ANSWER) {
                Ok(()) => return Ok(transactor),
                Err(error) if is_retriable(&error) && begun.elapsed() < PATIENCE => {}
                Err(error) if transactor.is_fenced(&error) => return Err(Error::Fenced),
                Err(error) => return Err(failed_on("becoming a writer of transactions", id, error)),
            }
        }
    }

    /// The partitions of a topic, and from now on this one writes to them; none if there is no such topic.
    pub(super) fn partitions_of(&self, topic: &str) -> Result<Option<i32>, Error> {
        partitions_in(self.producer.client().fetch_metadata(Some(topic), ANSWER), topic)
    }

    /// Writes records as one transaction; their offsets in the order given. `offsets` makes, from those, the offsets of the group that belong to it.
    pub(super) fn write(
        &self,
        records: &[Outgoing<'_>],
        offsets: impl FnOnce(&[i64]) -> Option<(TopicPartitionList, ConsumerGroupMetadata)>,
    ) -> Result<Vec<i64>, Failed> {
        self.write_with(records, |_| Vec::new(), offsets)
    }

    /// The same, with further records that are made from the offsets of the first ones.
    pub(super) fn write_with<'r>(
        &self,
        records: &[Outgoing<'r>],
        further: impl FnOnce(&[i64]) -> Vec<Outgoing<'r>>,
        offsets: impl FnOnce(&[i64]) -> Option<(TopicPartitionList, ConsumerGroupMetadata)>,
    ) -> Result<Vec<i64>, Failed> {
        let during = "writing";
        self.producer.begin_transaction().map_err(|error| self.judge(during, error))?;
        let until = Instant::now() + self.time;
        let written = self.deliver(records, until).and_then(|mut written| {
            let further = further(&written);
            written.extend(self.deliver(&further, until)?);
            Ok(written)
        });
        let written = written.map_err(|error| self.give_up(error))?;
        if let Some((offsets, group)) = offsets(&written) {
            self.send_offsets(&offsets, group, until)?;
            #[cfg(feature = "conformance")]
            self.before_commit.pass();
        }
        self.commit()?;
        Ok(written)
    }

    /// Sends records and waits until they are on the broker.
    fn deliver(&self, records: &[Outgoing<'_>], until: Instant) -> Result<Vec<i64>, KafkaError> {
        let batch = self.batch.get() + 1;
        self.batch.set(batch);
        for (number, record) in records.iter().enumerate() {
            self.send((batch, number), record)?;
        }
        let mut offsets = vec![-1; records.len()];
        let mut missing = records.len();
        while missing > 0 {
            // Each record is reported when it has timed out, if the library keeps its word.
            let left = until.saturating_duration_since(Instant::now()) + LATE;
            let ((of, number), report) = self
                .reports
                .recv_timeout(left)
                .map_err(|_| KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut))?;
            if let (true, Some(slot)) = (of == batch, offsets.get_mut(number)) {
                *slot = report.inspect_err(|_| records[number].topic.clone_into(&mut self.failing.borrow_mut()))?;
                missing -= 1;
            }
        }
        Ok(offsets)
    }

    fn send(&self, number: Number, record: &Outgoing<'_>) -> Result<(), KafkaError> {
        let row = record.row.map(|row| row.to_string());
        let attempt = record.attempt.to_string();
        let mut headers = OwnedHeaders::new_with_capacity(4)
            .insert(Header { key: header::CAMPAIGN, value: Some(&self.uid) })
            .insert(Header { key: header::SCHEMA, value: Some(record.schema) });
        if let Some(row) = &row {
            headers = headers.insert(Header { key: header::ROW, value: Some(row) });
            headers = headers.insert(Header { key: header::ATTEMPT, value: Some(&attempt) });
        }
        let mut message = BaseRecord::with_opaque_to(record.topic, Box::new(number))
            .partition(record.partition)
            .key(&record.key)
            .payload(&record.value)
            .headers(headers);
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                // The queue is full: it empties by itself.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => {
                    record.topic.clone_into(&mut self.failing.borrow_mut());
                    return Err(error);
                }
            }
        }
    }

    fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: ConsumerGroupMetadata,
        until: Instant,
    ) -> Result<(), Failed> {
        let group = Arc::new(group);
        loop {
            let left = until.saturating_duration_since(Instant::now()).max(SOON);
            match self.producer.send_offsets(offsets, &group, left) {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) if is_retriable(&error) && Instant::now() < until => {
                    tracing::debug!(%error, "the offsets of a transaction are sent again");
                }
                Some(Err(error)) => {
                    if let Some(element) = offsets.elements().first() {
                        element.topic().clone_into(&mut self.failing.borrow_mut());
                    }
                    return Err(self.give_up(error));
                }
                None => {
                    let source = "the group's coordinator did not take the offsets in time".into();
                    return Err(Failed::Dead(Error::Kafka { during: "writing", source }));
                }
            }
        }
    }

    fn commit(&self) -> Result<(), Failed> {
        let begun = Instant::now();
        loop {
            match self.producer.commit_transaction(ANSWER) {
                Ok(()) => return Ok(()),
                Err(error) if requires_abort(&error) => return Err(self.give_up(error)),
                Err(error) if is_retriable(&error) && begun.elapsed() < PATIENCE => {
                    tracing::warn!(%error, "a commit got no answer; asking again");
                }
                Err(error) if self.is_fenced(&error) => return Err(Failed::Fenced(failed("committing", error))),
                Err(error) => return Err(Failed::Dead(failed("committing", error))),
            }
        }
    }

    /// Aborts after an error before the commit was asked for; what the error means.
    fn give_up(&self, error: KafkaError) -> Failed {
        let verdict = self.judge("writing", error);
        if matches!(verdict, Failed::Fenced(_) | Failed::Dead(_)) {
            return verdict;
        }
        let begun = Instant::now();
        loop {
            match self.producer.abort_transaction(ABORTING) {
                Ok(()) => return verdict,
                Err(error) if is_retriable(&error) && begun.elapsed() < ABORTING => {
                    tracing::debug!(%error, "an abort is asked for again");
                }
                Err(error) if self.is_fenced(&error) => return Failed::Fenced(failed("aborting", error)),
                Err(error) => return Failed::Dead(failed("aborting", error)),
            }
        }
    }

    /// Whether another has the transactional id. Records that were under way then fail for other reasons; the producer knows the right one.
    fn is_fenced(&self, error: &KafkaError) -> bool {
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        error.rdkafka_error_code().into_iter().chain(fatal).any(tells_of_a_fence)
    }

    fn judge(&self, during: &'static str, error: KafkaError) -> Failed {
        use RDKafkaErrorCode as Code;
        if self.is_fenced(&error) {
            return Failed::Fenced(failed(during, error));
        }
        if let KafkaError::Transaction(fault) = &error
            && fault.is_fatal()
        {
            return Failed::Dead(failed(during, error));
        }
        if self.producer.client().fatal_error().is_some() {
            return Failed::Dead(failed(during, error));
        }
        match error.rdkafka_error_code() {
            Some(
                Code::IllegalGeneration | Code::UnknownMemberId | Code::StaleMemberEpoch | Code::RebalanceInProgress,
            ) => Failed::Group,
            // Perhaps a partition that was added: the producer learns of it by being asked.
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                let topic = self.failing.borrow().clone();
                let is_gone = matches!(surely(|| self.partitions_of(&topic)), Ok(None));
                Failed::Aborted(if is_gone { Error::TopicGone { topic } } else { failed_on(during, &topic, error) })
            }
            Some(Code::TopicAuthorizationFailed) => Failed::Aborted(failed_on(during, &self.failing.borrow(), error)),
            _ => Failed::Aborted(failed(during, error)),
        }
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(fault) => fault.is_retriable() && !fault.is_fatal() && !fault.txn_requires_abort(),
        _ => false,
    }
}

fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(fault) if fault.txn_requires_abort() && !fault.is_fatal())
}

fn tells_of_a_fence(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}
