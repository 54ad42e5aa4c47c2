//! What the programs share: how Kafka is set, logging, signals, exit codes, and the listener for health and metrics. Nothing here knows what sending means.

pub mod exit;
pub mod health;
pub mod kafka;
pub mod listen;
pub mod logging;
pub mod signals;
pub mod termination;

pub use exit::Failure;
pub use health::{Health, Heartbeat, Ready};
pub use kafka::{ConnectionArgs, KafkaArgs};
pub use listen::{ListenArgs, Server};
pub use logging::{LogArgs, LogFormat};
pub use signals::Signals;
pub use termination::TerminationArgs;
