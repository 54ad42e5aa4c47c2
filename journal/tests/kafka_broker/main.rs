//! The Kafka journal on a real broker, beyond what every journal must do.

mod common;
mod reading;
mod topics;
mod writing;
