//! The operator on a whole cluster: real pods, a real Kafka, a mail server that keeps what it gets.
//!
//! The cluster is the one that `KUBECONFIG`, `KAFKA_BOOTSTRAP_SERVERS` and `SMTP_SINK_MAILDIR` name, with the chart installed as in the README (kind, a cloud's); else that of
//! this machine (`cargo xtask cluster`), which is started, and ended with these tests unless it ran before.
//!
//! Every campaign has a namespace of its own, so that most tests run at the same time. What breaks the installation that they share runs alone: [`cluster::Use`].
#![expect(
    clippy::print_stdout,
    reason = "what was measured is told, and what a person would look at when a test fails"
)]

mod admission;
mod campaign;
mod changes;
mod cluster;
mod control;
mod deletion;
mod example;
mod input;
mod installation;
mod mailbox;
mod storm;
mod world;
