//! A producer that takes its events by itself, on a thread of its own.

use crate::Error;
use rdkafka::producer::{BaseProducer, ProducerContext};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the thread waits at a time. rdkafka's own thread waits 100 ms; each time it then spins for the rest of a millisecond, and at rest that was half of what a
/// worker cost.
const WAIT: Duration = Duration::from_secs(1);

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
