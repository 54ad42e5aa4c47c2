//! Real Kubernetes for tests and for people, built from its Go modules.
//!
//! A test that needs only an API server takes [`ApiServer`]. [`Cluster`] is a whole one, with a node on which pods run, a Kafka broker and a mail server that
//! records; it stays until it is told to end.
//!
//! A cluster lives in a network namespace and a mount namespace of its own: its bridge, its routes, its packet filter and its mounts exist only there.

mod addons;
mod api_server;
mod cluster;
mod control_groups;
mod control_plane;
mod credentials;
mod daemons;
mod error;
mod files;
mod go;
mod helm;
mod images;
mod kubectl;
mod layout;
mod network;
mod node;
mod run;

pub use addons::KAFKA_FOR_PODS;
pub use api_server::ApiServer;
pub use cluster::{Cluster, Up};
pub use error::Error;
pub use go::{build_missing as build_missing_programs, missing as missing_programs, version};
pub use helm::helm;
pub use images::{BASE, build as build_image};

/// Set by who runs several suites on one cluster, and ends it after them: what a suite has started stays.
pub const STAYS: &str = "MAILCAMPAIGN_CLUSTER_STAYS";
