//! What a worker reads from `outbox` and `control`: new messages as they come, waiting ones again by their offsets, and what people decide.

use crate::kafka::Shared;
use crate::kafka::clerk::controlled;
use crate::kafka::clients::{ANSWER, Raw, Reader, Sees, partitions_of, place, warm_up};
use crate::kafka::control::Control;
use crate::kafka::errors::failed;
use crate::kafka::wire::{Listed, Unreadable, decode_listed};
use crate::{Error, Paused};
use campaign::Message;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// New messages that are held ready, at most.
const READY: usize = 4_000;
/// An end that is met later than this after the look at where it is, is that end.
const OLD_END: Duration = Duration::from_millis(50);
/// How long a look waits for records that are known to be there.
const SOON: Duration = Duration::from_millis(200);
/// And when there is nothing else to do.
const LONG: Duration = Duration::from_secs(4);
/// So many records are read over rather than jumped over.
const NEAR: i64 = 2_000;

/// A record of `outbox` at its offset.
#[derive(Debug)]
pub(super) enum New {
    /// A message.
    Message(Box<Message>),
    /// A row of ours that can't be read, and why.
    Broken { row: u64, why: String },
}

/// Reads new messages of the partitions that are owned.
pub(super) struct Fetcher {
    shared: Arc<Shared>,
    reader: Reader,
    /// For waiting rows; made when there is one first.
    again: Option<Reader>,
    /// By partition: the offset behind the last record that was read, and what is ready.
    partitions: BTreeMap<i32, Ahead>,
}

#[derive(Default)]
struct Ahead {
    next: i64,
    ready: VecDeque<(i64, New)>,
}

impl Fetcher {
    /// Reads nothing yet.
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, Error> {
        let reader = shared.reader(Sees::Committed)?;
        warm_up(reader.client(), &shared.names.outbox);
        Ok(Self { reader, again: None, shared, partitions: BTreeMap::new() })
    }

    /// The readers learn that there are more partitions.
    pub(super) fn learn(&self) -> Result<(), Error> {
        for reader in std::iter::once(&self.reader).chain(&self.again) {
            partitions_of(reader, &self.shared.names.outbox)?;
        }
        Ok(())
    }

    /// Reads a partition from an offset on.
    pub(super) fn begin(&mut self, partition: i32, from: i64) -> Result<(), Error> {
        let list = outbox(&self.shared, partition, from)?;
        self.reader.incremental_assign(&list).map_err(|error| failed("reading the outbox", error))?;
        self.partitions.insert(partition, Ahead { next: from, ready: VecDeque::new() });
        Ok(())
    }

    /// Reads a partition no more.
    pub(super) fn end(&mut self, partition: i32) {
        if self.partitions.remove(&partition).is_some()
            && let Ok(list) = outbox(&self.shared, partition, 0)
        {
            let _ = self.reader.incremental_unassign(&list);
        }
    }

    /// Makes at least `wanted` messages ready, if `control` says that there are as many; waits a moment for them.
    pub(super) fn fill(&mut self, wanted: usize, control: &Control, is_idle: bool) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let ready: usize = self.partitions.values().map(|ahead| ahead.ready.len()).sum();
            let missing = |(partition, ahead): (&i32, &Ahead)| {
                ahead.ready.len() < wanted && ahead.next < control.end_of(*partition)
            };
            let is_missing = self.partitions.iter().any(missing);
            // With mails under way there is something better to do than to wait.
            let patience = if is_idle { LONG } else { SOON };
            if ready >= READY.max(wanted) || !is_missing || begun.elapsed() > patience {
                return Ok(());
            }
            self.read(Duration::from_millis(20))?;
        }
    }

    /// Lets the client work, for who reads nothing at the moment.
    pub(super) fn idle(&mut self) -> Result<(), Error> {
        let ready: usize = self.partitions.values().map(|ahead| ahead.ready.len()).sum();
        if ready < READY { self.read(Duration::ZERO) } else { Ok(()) }
    }

    fn read(&mut self, wait: Duration) -> Result<(), Error> {
        let Some(polled) = self.reader.poll(wait) else { return Ok(()) };
        let Some(message) = heed(polled, &self.shared, &self.shared.names.outbox)? else { return Ok(()) };
        let Some(ahead) = self.partitions.get_mut(&message.partition()) else { return Ok(()) };
        // What was fetched for an earlier tenure comes too late.
        if message.offset() < ahead.next {
            return Ok(());
        }
        ahead.next = message.offset() + 1;
        if let Some(new) = listed(&message, &self.shared.uid) {
            ahead.ready.push_back((message.offset(), new));
        }
        Ok(())
    }

    /// The ready message with the lowest row: its partition and row.
    pub(super) fn first(&self) -> Option<(u64, i32)> {
        self.partitions
            .iter()
            .filter_map(|(partition, ahead)| {
                ahead.ready.front().map(|(_, new)| match new {
                    New::Message(message) => (message.row, *partition),
                    New::Broken { row, .. } => (*row, *partition),
                })
            })
            .min()
    }

    /// Takes the first ready message of a partition out, with its offset.
    pub(super) fn take(&mut self, partition: i32) -> Option<(i64, New)> {
        self.partitions.get_mut(&partition)?.ready.pop_front()
    }

    /// Up to where everything was taken out.
    pub(super) fn taken_to(&self, partition: i32) -> Option<i64> {
        let ahead = self.partitions.get(&partition)?;
        Some(ahead.ready.front().map_or(ahead.next, |(offset, _)| *offset))
    }

    /// Whether everything that is known to be published was read and taken out.
    pub(super) fn is_through(&self, partition: i32, control: &Control) -> bool {
        self.partitions
            .get(&partition)
            .is_some_and(|ahead| ahead.ready.is_empty() && ahead.next >= control.end_of(partition))
    }

    /// Reads messages again, by partition and offset in ascending order. Of each partition those that lie near together: others are left out, for another
    /// time.
    ///
    /// One assignment a call, and a new reader after each failure: librdkafka 2.12 aborts the process when assignments follow each other too quickly
    /// while a broker is away (its issue 5573).
    pub(super) fn again(&mut self, wanted: &BTreeMap<i32, Vec<i64>>) -> Result<HashMap<(i32, i64), New>, Error> {
        let during = "reading the outbox again";
        let begun = Instant::now();
        let again = match self.again.take() {
            Some(again) => again,
            None => self.shared.looker()?,
        };
        let mut left: BTreeMap<i32, VecDeque<i64>> = BTreeMap::new();
        let mut list = TopicPartitionList::new();
        for (partition, offsets) in wanted {
            let Some(first) = offsets.first() else { continue };
            list.add_partition_offset(&self.shared.names.outbox, *partition, Offset::Offset(*first))
                .map_err(|error| failed(during, error))?;
            left.insert(*partition, first_run(offsets));
        }
        again.assign(&list).map_err(|error| failed(during, error))?;
        let mut found = HashMap::new();
        while !left.is_empty() {
            match again.poll(Duration::from_millis(100)) {
                None if begun.elapsed() > ANSWER => {
                    let late = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
                    return Err(failed(during, late));
                }
                None => {}
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(left.remove(&partition)),
                Some(Ok(message)) => note_again(&message, &self.shared.uid, &mut left, &mut found),
                Some(Err(error)) => {
                    let text = error.clone();
                    heed(Err(error), &self.shared, &self.shared.names.outbox)?;
                    return Err(failed(during, text));
                }
            }
        }
        let _ = again.unassign();
        self.again = Some(again);
        tracing::debug!(records = found.len(), took = ?begun.elapsed(), "read again");
        Ok(found)
    }
}

/// The first offsets of ascending ones, as long as it is quicker to read on than to begin anew.
fn first_run(offsets: &[i64]) -> VecDeque<i64> {
    let mut run: VecDeque<i64> = VecDeque::new();
    for offset in offsets {
        if run.back().is_some_and(|last| *offset - last >= NEAR) {
            break;
        }
        run.push_back(*offset);
    }
    run
}

/// Takes a message that was read again, if it is wanted.
fn note_again(
    message: &BorrowedMessage<'_>,
    uid: &str,
    left: &mut BTreeMap<i32, VecDeque<i64>>,
    found: &mut HashMap<(i32, i64), New>,
) {
    let (partition, offset) = (message.partition(), message.offset());
    let Some(offsets) = left.get_mut(&partition) else { return };
    while offsets.front().is_some_and(|wanted| *wanted <= offset) {
        if offsets.pop_front() == Some(offset)
            && let Some(new) = listed(message, uid)
        {
            found.insert((partition, offset), new);
        }
    }
    if offsets.is_empty() {
        left.remove(&partition);
    }
}

/// A partition of `outbox` from an offset on.
fn outbox(shared: &Shared, partition: i32, from: i64) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&shared.names.outbox, partition, Offset::Offset(from))
        .map_err(|error| failed("reading the outbox", error))?;
    Ok(list)
}

/// The message of a poll; none at the end of a partition.
fn heed<'a>(
    polled: Result<BorrowedMessage<'a>, KafkaError>,
    shared: &Shared,
    topic: &str,
) -> Result<Option<BorrowedMessage<'a>>, Error> {
    use RDKafkaErrorCode as Code;
    match polled {
        Ok(message) => Ok(Some(message)),
        Err(KafkaError::PartitionEOF(_)) => Ok(None),
        Err(error @ KafkaError::MessageConsumption(Code::UnknownTopicOrPartition | Code::UnknownTopic)) => {
            tracing::debug!(%error, topic, "reading");
            shared.missing_topic().map_or(Ok(None), Err)
        }
        Err(KafkaError::MessageConsumption(Code::AutoOffsetReset | Code::OffsetOutOfRange)) => Err(Error::TopicGone {
            topic: format!("{topic} (records that were not sent yet have expired or were deleted)"),
        }),
        Err(error) => {
            tracing::debug!(%error, topic, "reading");
            Ok(None)
        }
    }
}

/// What a record of `outbox` is; none if there is nothing to send.
fn listed(message: &BorrowedMessage<'_>, uid: &str) -> Option<New> {
    let raw = match Raw::of(message, uid) {
        Ok(raw) => raw,
        Err(why) => {
            tracing::warn!(place = place(message), %why, "a record is passed over");
            return None;
        }
    };
    match decode_listed(raw.schema, raw.value) {
        Ok(Listed::Message(listed)) if raw.row == Some(listed.row) => Some(New::Message(Box::new(listed))),
        Ok(Listed::Message(listed)) => {
            let why = format!("it is about row {}, not the one that its header names", listed.row);
            broken(message, raw.row, &Unreadable::Value { schema: raw.schema.to_owned(), why })
        }
        Ok(Listed::Skipped(_)) => None,
        Err(why) => broken(message, raw.row, &why),
    }
}

fn broken(message: &BorrowedMessage<'_>, row: Option<u64>, why: &Unreadable) -> Option<New> {
    let place = place(message);
    tracing::error!(place, row, %why, "a message can't be read");
    row.map(|row| New::Broken { row, why: format!("its record at {place} can't be read: {why}") })
}

/// Follows `control`.
pub(super) struct Follower {
    shared: Arc<Shared>,
    reader: Reader,
    /// What was read.
    pub(super) control: Control,
    /// Up to where the end was met.
    met_end_at: i64,
}

impl Follower {
    /// Reads from the beginning.
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, Error> {
        let reader = shared.reader(Sees::Committed)?;
        let mut list = TopicPartitionList::new();
        let during = "reading control";
        // A number, not "the beginning": a client that is new would ask for that only half a second later.
        let watermarks = reader.fetch_watermarks(&shared.names.control, 0, ANSWER);
        let (low, _) = watermarks.map_err(|error| failed(during, error))?;
        list.add_partition_offset(&shared.names.control, 0, Offset::Offset(low))
            .map_err(|error| failed(during, error))?;
        reader.assign(&list).map_err(|error| failed(during, error))?;
        Ok(Self { shared, reader, control: Control::default(), met_end_at: -1 })
    }

    /// Takes in what has come; without waiting.
    pub(super) fn follow(&mut self) -> Result<(), Error> {
        while self.read(Duration::ZERO)?.is_some() {}
        Ok(())
    }

    /// Takes in everything that is committed by now.
    pub(super) fn catch_up(&mut self, patience: Duration) -> Result<(), Error> {
        let watermarks = self.reader.fetch_watermarks(&self.shared.names.control, 0, ANSWER);
        let (_, stable) = watermarks.map_err(|error| failed("reading control", error))?;
        self.catch_up_to(stable, patience)
    }

    /// Takes in everything below an offset that somebody else has asked for: the follower's own question would wait, on its connection, behind its
    /// request for new records.
    pub(super) fn catch_up_to(&mut self, stable: i64, patience: Duration) -> Result<(), Error> {
        if stable == 0 {
            return Ok(());
        }
        let begun = Instant::now();
        // Every record here is followed by the mark of its transaction. Only what was aborted leaves a longer end without records: there the end that
        // the reader meets counts, if it can't be that of an earlier look.
        while self.control.next + 1 < stable && self.met_end_at < stable {
            let is_end = self.read(Duration::from_millis(10))? == Some(true);
            if (is_end && begun.elapsed() > OLD_END) || begun.elapsed() > patience {
                self.met_end_at = stable;
            }
        }
        Ok(())
    }

    /// Reads one record: none if there was nothing, true at the end.
    fn read(&mut self, wait: Duration) -> Result<Option<bool>, Error> {
        let Some(polled) = self.reader.poll(wait) else { return Ok(None) };
        let is_end = matches!(polled, Err(KafkaError::PartitionEOF(_)));
        let Some(message) = heed(polled, &self.shared, &self.shared.names.control)? else {
            return Ok(is_end.then_some(true));
        };
        match controlled(&message, &self.shared.uid) {
            Ok(record) => self.control.apply(message.offset(), record),
            Err(why) => {
                tracing::warn!(place = place(&message), %why, "a record is passed over");
                self.control.next = self.control.next.max(message.offset() + 1);
            }
        }
        Ok(Some(false))
    }

    /// Why sending is paused, if it is.
    pub(super) fn paused(&self) -> Option<&Paused> {
        self.control.paused.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_far_apart_is_read_another_time() {
        assert_eq!(first_run(&[5, 6, 2_000, 3_999, 6_000]), [5, 6, 2_000, 3_999]);
        assert!(first_run(&[]).is_empty());
    }
}
