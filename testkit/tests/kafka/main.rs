//! Real brokers, and rdkafka as their client.

mod brokers;
mod client;
mod ending;
mod security;
