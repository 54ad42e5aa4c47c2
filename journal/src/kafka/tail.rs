//! Following the settlements as they are committed: a reader of its own on a thread of its own, which touches nothing.

use super::Shared;
use super::clients::{ANSWER, Raw, Reader, Sees, place};
use super::errors::failed;
use super::reading::Topic;
use super::wire::decode_event;
use crate::{Error, Tail, TailFrom};
use campaign::{Outcome, Settlement};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Settlements that are handed over at once, at most.
const BATCH: usize = 512;
/// How long one look for new records takes.
const POLL: Duration = Duration::from_millis(100);
/// How often it is looked whether there are more partitions, and whether the topic is still there.
const LOOK: Duration = Duration::from_secs(3);

/// Follows the settlements.
pub struct KafkaTail {
    settlements: Receiver<Result<Vec<Settlement>, Error>>,
}

impl KafkaTail {
    /// Begins to follow; what is settled from the moment on that this returns is not missed.
    pub(super) fn begin(shared: Arc<Shared>, from: TailFrom) -> Result<Self, Error> {
        let (send, settlements) = channel(4);
        let mut follow = Follow { reader: shared.reader(Sees::Committed)?, next: BTreeMap::new(), shared };
        follow.assign(from)?;
        let thread = std::thread::Builder::new().name("kafka-tail".to_owned()).spawn(move || follow.run(&send));
        thread.map_err(|error| Error::Unsuitable { why: format!("no thread can be started: {error}") })?;
        Ok(Self { settlements })
    }
}

impl Tail for KafkaTail {
    async fn next(&mut self) -> Result<Vec<Settlement>, Error> {
        let ended = || Error::OutOfTurn("nothing is followed after an error".to_owned());
        self.settlements.recv().await.ok_or_else(ended)?
    }
}

struct Follow {
    shared: Arc<Shared>,
    reader: Reader,
    /// By partition: what is read next.
    next: BTreeMap<i32, i64>,
}

impl Follow {
    fn run(mut self, send: &Sender<Result<Vec<Settlement>, Error>>) {
        let mut looked = Instant::now();
        while !send.is_closed() {
            let batch = self.batch().and_then(|batch| {
                if looked.elapsed() > LOOK {
                    looked = Instant::now();
                    self.assign(TailFrom::Start)?;
                }
                Ok(batch)
            });
            match batch {
                Ok(batch) if batch.is_empty() => {}
                Ok(batch) => {
                    // An error means that nobody follows any more; the loop sees it.
                    let _ = send.blocking_send(Ok(batch));
                }
                Err(passing) if passing.is_transient() => tracing::debug!(error = %passing, "following the outcomes"),
                Err(lasting) => {
                    let _ = send.blocking_send(Err(lasting));
                    return;
                }
            }
        }
    }

    /// What is there, or comes soon.
    fn batch(&mut self) -> Result<Vec<Settlement>, Error> {
        let mut batch = Vec::new();
        let mut wait = POLL;
        while batch.len() < BATCH {
            match self.reader.poll(wait) {
                Some(Ok(message)) => {
                    self.next.insert(message.partition(), message.offset() + 1);
                    batch.extend(settlement(&message, &self.shared.uid));
                    wait = Duration::ZERO;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                // What was read is handed over first; the error comes again.
                Some(Err(error)) if batch.is_empty() => {
                    return Err(self.shared.verdict("following the outcomes", error));
                }
                None | Some(Err(_)) => break,
            }
        }
        Ok(batch)
    }

    /// Takes in the partitions that are not followed yet.
    fn assign(&mut self, from: TailFrom) -> Result<(), Error> {
        let during = "following the outcomes";
        let before = self.next.len();
        let topic = &self.shared.names.outcomes;
        for partition in 0..self.shared.count_of(Topic::Outcomes)? {
            if self.next.contains_key(&partition) {
                continue;
            }
            // As far as transactions have ended: what one that is under way settles is new.
            let ends = self.reader.fetch_watermarks(topic, partition, ANSWER);
            let (low, high) = ends.map_err(|error| self.shared.verdict(during, error))?;
            self.next.insert(partition, if from == TailFrom::Start { low } else { high });
        }
        if self.next.len() > before {
            let mut list = TopicPartitionList::new();
            for (partition, next) in &self.next {
                let added = list.add_partition_offset(topic, *partition, Offset::Offset(*next));
                added.map_err(|error| failed(during, error))?;
            }
            self.reader.assign(&list).map_err(|error| failed(during, error))?;
        }
        Ok(())
    }
}

/// The settlement that a record is, if it is one.
fn settlement(message: &BorrowedMessage<'_>, uid: &str) -> Option<Settlement> {
    let event = Raw::of(message, uid).and_then(|raw| decode_event(raw.schema, raw.value));
    match event {
        Ok(event) => event.settlement().filter(|settlement| settlement.outcome != Outcome::Released),
        Err(why) => {
            tracing::debug!(place = place(message), %why, "a record is passed over");
            None
        }
    }
}
