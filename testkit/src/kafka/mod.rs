//! Real Apache Kafka for tests and for people: brokers on 127.0.0.1, with Kafka's own jars from Maven's repository.
//!
//! A test that needs nothing special takes [`Kafka::shared`] and topics with names of its own. One that stops brokers, or wants other settings, starts
//! its own with [`Kafka::start`]. [`Standing`] is for people: brokers that stay.

mod archive;
mod broker;
mod cluster;
mod config;
mod dist;
mod error;
pub(crate) mod ports;
mod rights;
mod security;
mod shared;
mod standing;
mod wire;

pub use cluster::Kafka;
pub use dist::VERSION;
pub use error::Error;
pub use rights::{Resource, Right};
pub use security::{Login, Security};
pub use shared::{BOOTSTRAP_VARIABLE, Shared};
pub use standing::{Standing, Up};

use std::net::SocketAddr;
use std::path::PathBuf;

/// What brokers are wanted. `KafkaOptions::default()` is one, on free ports, with data that goes when it ends.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    brokers: u16,
    properties: Vec<(String, String)>,
    security: Security,
    folder: Option<PathBuf>,
    first_port: Option<u16>,
    runs_long: bool,
    second_address: Option<SecondAddress>,
}

/// Another address of a broker, for clients to whom 127.0.0.1 is somebody else.
#[derive(Debug, Clone)]
struct SecondAddress {
    listen: SocketAddr,
    advertised: String,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            brokers: 1,
            properties: Vec::new(),
            security: Security::default(),
            folder: None,
            first_port: None,
            runs_long: false,
            second_address: None,
        }
    }
}

impl KafkaOptions {
    /// That many brokers: 1 or 3. With three, Kafka's own topics have three replicas of which two must be in step.
    #[must_use]
    pub fn brokers(mut self, brokers: u16) -> Self {
        self.brokers = brokers;
        self
    }

    /// One more setting of the brokers (`server.properties`); it goes before the rig's own.
    #[must_use]
    pub fn property(mut self, name: &str, value: impl ToString) -> Self {
        self.properties.push((name.to_owned(), value.to_string()));
        self
    }

    /// How clients must come.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Data in this folder, which stays afterwards. What is there already is taken up again.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Clients come to this port and the ones after it, instead of free ones.
    #[must_use]
    pub fn first_port(mut self, port: u16) -> Self {
        self.first_port = Some(port);
        self
    }

    /// For brokers that run for more than a minute, or are measured: Java compiles what is used often a second time.
    #[must_use]
    pub fn runs_long(mut self) -> Self {
        self.runs_long = true;
        self
    }

    /// The (one) broker also listens there, and tells who comes that way to come to `advertised` (host and port). Its port must be another than those of
    /// the first address.
    #[must_use]
    pub fn second_address(mut self, listen: SocketAddr, advertised: &str) -> Self {
        self.second_address = Some(SecondAddress { listen, advertised: advertised.to_owned() });
        self
    }
}
