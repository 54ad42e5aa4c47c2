//! Reads what is on the topics, as anybody could: with a plain consumer of committed records.

use anyhow::{Context, Result, bail};
use journal::kafka::wire::{self, Event, Mark};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// The topics of the one campaign that is on this Kafka.
pub(crate) struct Topics {
    consumer: BaseConsumer,
    /// What their names begin with.
    base: String,
}

/// An event where it stands, and when it was written.
pub(crate) struct Written {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) millis: i64,
    pub(crate) event: Event,
}

impl Topics {
    pub(crate) fn open(bootstrap: &str) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("group.id", "audit").set("enable.auto.commit", "false");
        config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
        config.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "100");
        let consumer: BaseConsumer = config.create().context("a consumer")?;
        let metadata = consumer.fetch_metadata(None, PATIENCE).context("the list of topics")?;
        let base = metadata.topics().iter().find_map(|topic| topic.name().strip_suffix(".outcomes"));
        let base = base.context("there is no campaign on this Kafka")?.to_owned();
        Ok(Self { consumer, base })
    }

    /// The events of the campaign, those of each partition in their order.
    pub(crate) fn events(&self) -> Result<Vec<Written>> {
        let mut events = Vec::new();
        self.read(&format!("{}.outcomes", self.base), |message| {
            let event =
                wire::decode_event(header(message, wire::header::SCHEMA), message.payload().unwrap_or_default());
            let event = event.with_context(|| format!("{}[{}]", message.partition(), message.offset()))?;
            let millis = message.timestamp().to_millis().context("a record without a time")?;
            events.push(Written { partition: message.partition(), offset: message.offset(), millis, event });
            Ok(())
        })?;
        Ok(events)
    }

    /// How often each row stands in `outbox`.
    pub(crate) fn listed(&self) -> Result<BTreeMap<u64, u64>> {
        let mut listed = BTreeMap::new();
        self.read(&format!("{}.outbox", self.base), |message| {
            let row = header(message, wire::header::ROW).parse().context("a record of outbox without a row")?;
            *listed.entry(row).or_insert(0) += 1;
            Ok(())
        })?;
        Ok(listed)
    }

    /// By partition: when the ticks began that were committed, in milliseconds since 1970, from the broker's own log of commits.
    pub(crate) fn ticks(&self) -> Result<BTreeMap<i32, Vec<i64>>> {
        let (topic, mut ticks) = (format!("{}.outbox", self.base), BTreeMap::<i32, Vec<i64>>::new());
        self.read("__consumer_offsets", |message| {
            let key = message.key().and_then(|key| commit_key(key, &self.base, &topic));
            let (Some(partition), Some(value)) = (key, message.payload()) else { return Ok(()) };
            if let Some(mark) = mark_in(value) {
                ticks.entry(partition).or_default().push(mark.at);
            }
            Ok(())
        })?;
        for times in ticks.values_mut() {
            times.sort_unstable();
        }
        Ok(ticks)
    }

    fn read(&self, topic: &str, mut take: impl FnMut(&BorrowedMessage<'_>) -> Result<()>) -> Result<()> {
        let metadata = self.consumer.fetch_metadata(Some(topic), PATIENCE).context("the partitions")?;
        let found = metadata.topics().first().context("a topic")?;
        let mut list = TopicPartitionList::new();
        for partition in found.partitions() {
            list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
        }
        self.consumer.assign(&list)?;
        let mut open: Vec<i32> = found.partitions().iter().map(MetadataPartition::id).collect();
        let mut last = Instant::now();
        while !open.is_empty() {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => take(&message)?,
                Some(Err(KafkaError::PartitionEOF(partition))) => open.retain(|id| *id != partition),
                // It comes back, or patience ends.
                Some(Err(_)) | None => {
                    if last.elapsed() > PATIENCE {
                        bail!("{topic} can't be read to its end");
                    }
                    continue;
                }
            }
            last = Instant::now();
        }
        self.consumer.unassign()?;
        Ok(())
    }
}

fn header<'a>(message: &'a BorrowedMessage<'_>, name: &str) -> &'a str {
    let headers = message.headers();
    let found = headers.and_then(|headers| headers.iter().find(|header| header.key == name));
    found.and_then(|header| header.value).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
}

/// The partition of a commit's key (`OffsetCommitKey`: version, group, topic, partition), if it is of that group and topic.
fn commit_key(key: &[u8], group: &str, topic: &str) -> Option<i32> {
    let (version, rest) = key.split_first_chunk::<2>()?;
    let (of_group, rest) = text(rest)?;
    let (of_topic, rest) = text(rest)?;
    let is_ours = u16::from_be_bytes(*version) <= 1 && of_group == group.as_bytes() && of_topic == topic.as_bytes();
    is_ours.then(|| rest.first_chunk().map(|bytes| i32::from_be_bytes(*bytes)))?
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// The metadata in a commit's value; whatever version the value has, there is no other text with braces in it.
fn mark_in(value: &[u8]) -> Option<Mark> {
    let begin = value.windows(2).position(|pair| pair == b"{\"")?;
    let end = value.iter().rposition(|byte| *byte == b'}')?;
    Mark::decode(std::str::from_utf8(value.get(begin..=end)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_the_group_is_found_and_another_is_not() {
        let key = [&[0, 1, 0, 1][..], b"g", &[0, 2], b"tt", &[0, 0, 0, 3]].concat();
        assert_eq!(commit_key(&key, "g", "tt"), Some(3));
        assert_eq!(commit_key(&key, "h", "tt"), None);
        assert_eq!(commit_key(&[0, 3, 0, 1], "g", "tt"), None);
        let mark = Mark { v: 1, seq: 1, at: 77, tail: 0, control: 0, n: [0; 6], c: [0; 2], q: 0, due: None };
        let value = [&[0, 3, 0, 0][..], mark.encode().as_bytes(), &[0, 0, 9, 200]].concat();
        assert_eq!(mark_in(&value), Some(mark));
    }
}
