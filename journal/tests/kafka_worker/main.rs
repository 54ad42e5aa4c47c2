//! The worker of the Kafka journal in its hard cases, on real brokers.

mod classic;
mod clock;
mod common;
mod company;
mod coordinator;
mod expired;
mod frozen;
mod garbage;
mod histories;
mod outage;
mod topics;
