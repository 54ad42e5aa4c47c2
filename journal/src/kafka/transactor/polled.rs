//! A producer that takes its events by itself, on a thread of its own, and whose every call ends.

use crate::Error;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long the thread waits at a time. rdkafka's own thread waits 100 ms; each time it then spins for the rest of a millisecond, and at rest that was half of what a
/// worker cost.
const WAIT: Duration = Duration::from_secs(1);

/// So much later than its time a call may answer.
pub(super) const LATE: Duration = Duration::from_secs(2);

/// A producer and the thread that hears what becomes of its records. What was not sent yet when this is dropped is not sent any more.
pub(super) struct Polled<C: ProducerContext + 'static> {
    producer: Arc<BaseProducer<C>>,
    over: Arc<AtomicBool>,
}

impl<C: ProducerContext + 'static> Polled<C> {
    /// Starts the thread.
    pub(super) fn new(producer: BaseProducer<C>) -> Result<Self, Error> {
        let (producer, over) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
        let (polled, is_over) = (Arc::clone(&producer), Arc::clone(&over));
        let work = move || {
            while !is_over.load(Ordering::Relaxed) {
                polled.poll(WAIT);
            }
        };
        let thread = std::thread::Builder::new().name("kafka-reports".to_owned()).spawn(work);
        thread.map_err(|error| Error::Unsuitable { why: format!("no thread can be started: {error}") })?;
        Ok(Self { producer, over })
    }

    /// Sends the offsets of a group with the transaction, within a time; none if that time went by. Then nothing is known of the transaction, and this
    /// producer must not be used any more.
    ///
    /// The library's call has a time of its own and doesn't keep it: when the broker that coordinates the group is gone for good, it waits for as long as that
    /// lasts (librdkafka issues 5456 and 5511). So another thread makes it, which is left behind with the producer if it comes to that.
    pub(super) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &Arc<ConsumerGroupMetadata>,
        within: Duration,
    ) -> Option<KafkaResult<()>> {
        let (answer, answered) = channel();
        let (producer, offsets, group) = (Arc::clone(&self.producer), offsets.clone(), Arc::clone(group));
        let work = move || {
            // Nobody may wait for it any more.
            let _ = answer.send(producer.send_offsets_to_transaction(&offsets, &group, within));
        };
        std::thread::Builder::new().name("kafka-offsets".to_owned()).spawn(work).ok()?;
        answered.recv_timeout(within + LATE).ok()
    }
}

impl<C: ProducerContext + 'static> Deref for Polled<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl<C: ProducerContext + 'static> Drop for Polled<C> {
    /// The thread ends a little later, and the client with it.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
