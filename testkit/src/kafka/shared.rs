//! One broker for many tests.

use super::{Kafka, KafkaOptions};
use std::sync::OnceLock;

/// The variable that names brokers which run already.
pub const BOOTSTRAP_VARIABLE: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// A broker that other tests use at the same time: nobody stops it, and every test has topics and groups with names of its own.
#[derive(Debug)]
pub struct Shared {
    bootstrap: String,
    /// Ends with the process: nothing in a static is dropped, and the watchdog sees to it.
    _own: Option<Kafka>,
}

impl Shared {
    /// `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }
}

impl Kafka {
    /// The broker that `KAFKA_BOOTSTRAP_SERVERS` names; without it one that is started now and ends with this process.
    ///
    /// # Panics
    /// Where [`Kafka::try_start`] fails.
    pub fn shared() -> &'static Shared {
        static SHARED: OnceLock<Shared> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var(BOOTSTRAP_VARIABLE) {
            Ok(bootstrap) if !bootstrap.trim().is_empty() => Shared { bootstrap, _own: None },
            _ => {
                let own = Kafka::start(KafkaOptions::default());
                Shared { bootstrap: own.bootstrap(), _own: Some(own) }
            }
        })
    }
}
