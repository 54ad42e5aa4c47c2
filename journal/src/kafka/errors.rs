//! What Kafka's errors mean to the people who run this.

use crate::Error;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::atomic::{AtomicBool, Ordering};

/// An error of the client library as one of ours.
pub(super) fn failed(during: &'static str, error: KafkaError) -> Error {
    Error::Kafka { during, source: Box::new(error) }
}

/// Notes an error that a client hears of beside its calls.
pub(super) fn note(error: &KafkaError, reason: &str, cut_off: &AtomicBool) {
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
        cut_off.store(true, Ordering::Relaxed);
    }
    tracing::debug!(%error, reason, "Kafka");
}

/// A line of the client library's log.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, message);
        }
        _ => tracing::debug!(target: "librdkafka", facility, message),
    }
}
