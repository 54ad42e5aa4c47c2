//! The Kafka journal on a real broker, beyond what every journal must do.

mod common;
mod hub;
mod reading;
mod surveying;
mod topics;
mod writing;
