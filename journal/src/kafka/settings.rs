//! How a Kafka cluster is reached: the same for every client of every program. Checked as a whole before the first connection; no secret is shown.

mod given;
mod properties;
mod security;
mod token;

pub use given::{Given, Secret};
pub(super) use properties::is_secret;
pub(super) use token::TokenFile;

use super::clients::Ears;
use super::errors::Heard;
use crate::Error;
use campaign::Mistake;
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How a Kafka cluster is reached. Holds secrets: its `Debug` shows none. A clone is the same cluster: what one's clients hear of it, the other knows.
#[derive(Clone)]
pub struct Settings {
    /// `host:port[,…]`.
    pub bootstrap: String,
    /// librdkafka's own settings, by their names.
    pub properties: BTreeMap<String, String>,
    token: Option<Arc<TokenFile>>,
    heard: Arc<Heard>,
}

impl Settings {
    /// Without encryption and credentials.
    pub fn plaintext(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), properties: BTreeMap::new(), token: None, heard: Arc::default() }
    }

    /// Settings of what was given; none if no broker is named, neither by `--kafka` nor in the file of `--kafka-config`. Reads the files, connects to nobody.
    ///
    /// # Errors
    /// Every mistake at once, each with the flag, the variable or the line of the file.
    pub fn check(given: &Given) -> Result<Option<Self>, Vec<Mistake>> {
        let properties = given.config.as_deref().map_or_else(|| Ok(BTreeMap::new()), properties::read)?;
        Self::with(given, properties)
    }

    /// Settings of the file `client.properties` in a folder that holds what pods see as `/kafka`: its values may name files beside it as `/kafka/FILE`, or as
    /// `FILE`, and no others. Reads the files, connects to nobody. Whoever wrote them has no say over this process: settings that run or load something
    /// are refused.
    ///
    /// # Errors
    /// Every mistake at once, with the line.
    pub fn in_folder(folder: &Path) -> Result<Self, Vec<Mistake>> {
        let properties = properties::read_in(folder)?;
        let missing = || vec![Mistake::new("client.properties", "no broker is named; add bootstrap.servers=HOST:PORT")];
        Self::with(&Given::default(), properties)?.ok_or_else(missing)
    }

    fn with(given: &Given, mut properties: BTreeMap<String, String>) -> Result<Option<Self>, Vec<Mistake>> {
        let in_file = properties.remove("bootstrap.servers").or_else(|| properties.remove("metadata.broker.list"));
        let flag = if given.bootstrap.is_some() { "--kafka" } else { "bootstrap.servers" };
        let Some(bootstrap) = given.bootstrap.clone().or(in_file) else { return Ok(None) };
        let mut secured = security::secure(given, properties);
        let brokers = brokers(&bootstrap);
        let mistakes = &mut secured.mistakes;
        mistakes.extend(brokers.iter().filter_map(|broker| broker.as_ref().err()).map(|why| Mistake::new(flag, why)));
        let settings = Self {
            bootstrap: brokers.into_iter().flatten().collect::<Vec<_>>().join(","),
            properties: secured.properties,
            token: secured.token.map(Arc::new),
            heard: Arc::default(),
        };
        if secured.mistakes.is_empty() {
            secured.mistakes.extend(settings.try_out());
        }
        if secured.mistakes.is_empty() { Ok(Some(settings)) } else { Err(secured.mistakes) }
    }

    /// Whether the cluster can be reached, and used, with these settings. Blocks, for 10 s at most.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Denied`] or [`Error::Unsuitable`], with what to do.
    pub fn try_reach(&self) -> Result<(), Error> {
        super::contact::first_contact(self)
    }

    /// What only the library can tell: whether key, certificate and password belong together, and the like.
    fn try_out(&self) -> Option<Mistake> {
        // Without brokers, no connection is tried.
        let mut config = self.client();
        config.remove("bootstrap.servers");
        let made: Result<BaseConsumer<Ears>, KafkaError> = config.create_with_context(self.ears());
        match made {
            Ok(_) => None,
            Err(KafkaError::ClientCreation(why)) => Some(Mistake::new(culprit(&why), why)),
            Err(KafkaError::ClientConfig(_, _, key, _)) => Some(Mistake::new(key, "can't be set to that")),
            Err(error) => Some(Mistake::new("Kafka", error.to_string())),
        }
    }

    /// What a client hears with.
    pub(super) fn ears(&self) -> Ears {
        Ears::new(self.token.clone(), Arc::clone(&self.heard))
    }

    /// What clients have heard of this cluster beside their calls.
    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// What every client begins with.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // A name of one's own may have a quota of one's own.
        config.set("client.id", "mailcampaign");
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// A client for making topics and looking at their settings. Not for keeping: nobody takes what it hears, and that piles up.
    ///
    /// # Errors
    /// With OAUTHBEARER: rdkafka's administrator never asks for a token, so that it would wait for ever.
    pub(super) fn admin(&self) -> Result<AdminClient<Ears>, Error> {
        if self.token.is_some() {
            let why =
                "with OAUTHBEARER this program can't make or change topics; let somebody make them with another login";
            return Err(Error::Unsuitable { why: why.to_owned() });
        }
        let made = self.client().create_with_context(self.ears());
        made.map_err(|error| super::errors::failed("connecting to Kafka", error))
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Settings");
        shown.field("bootstrap", &self.bootstrap);
        for key in ["security.protocol", "sasl.mechanism", "sasl.username", "ssl.ca.location"] {
            if let Some(value) = self.properties.get(key) {
                shown.field(key, value);
            }
        }
        shown.finish_non_exhaustive()
    }
}

/// The brokers of a list `host:port[,…]`, or what is wrong with each.
fn brokers(list: &str) -> Vec<Result<String, String>> {
    list.split(',').map(|broker| check_broker(broker.trim())).collect()
}

fn check_broker(broker: &str) -> Result<String, String> {
    if broker.is_empty() {
        return Err("a broker is missing; expected HOST:PORT[,…]".to_owned());
    }
    if broker.contains("://") || broker.contains('/') {
        return Err(format!("\"{broker}\" is an address of something else; expected HOST:PORT"));
    }
    let Some((host, port)) = broker.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
    else {
        return Err(format!("\"{broker}\" has no port; Kafka's usual one is 9092"));
    };
    let host_is_possible = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '@');
    let port_is_possible = port.parse::<u16>().is_ok_and(|port| port > 0);
    if host_is_possible && port_is_possible {
        return Ok(broker.to_owned());
    }
    Err(format!("\"{broker}\" is not HOST:PORT"))
}

/// The flag that librdkafka's complaint is about.
fn culprit(why: &str) -> &'static str {
    let flags = [
        ("ssl.key.location", "--kafka-key"),
        ("rivate key check", "--kafka-key"),
        ("ssl.certificate.location", "--kafka-cert"),
        ("ssl.ca.location", "--kafka-ca"),
    ];
    flags.into_iter().find(|(part, _)| why.contains(part)).map_or("Kafka", |(_, flag)| flag)
}
