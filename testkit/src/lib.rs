//! Tools of the tests: real parts that record what happened and misbehave on request. Never part of the product.

pub mod cache;
pub mod certificates;
pub mod kafka;
pub mod kubernetes;
pub mod lists;
mod process;
pub mod sink;

pub use certificates::Authority;
pub use kafka::{Kafka, KafkaOptions};
pub use kubernetes::ApiServer;
pub use process::is_root;
pub use sink::{Action, Keep, Moment, Phase, Received, Sink, SinkOptions, SinkTls};
