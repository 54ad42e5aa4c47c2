//! How a Kafka cluster is reached: the same for every client of every program.

use rdkafka::ClientConfig;
use std::collections::BTreeMap;

/// How a Kafka cluster is reached. Holds secrets: its `Debug` shows none.
#[derive(Clone)]
pub struct Settings {
    /// `host:port[,…]`.
    pub bootstrap: String,
    /// librdkafka's own settings, by their names.
    pub properties: BTreeMap<String, String>,
}

impl Settings {
    /// Without encryption and credentials.
    pub fn plaintext(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), properties: BTreeMap::new() }
    }

    /// What a client hears with.
    pub(super) fn ears(&self) -> super::clients::Ears {
        super::clients::Ears::default()
    }

    /// What every client begins with.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", "mailcampaign");
        config
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

/// A file with an OAuth bearer token (a JWT), read anew each time the token has expired.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: std::path::PathBuf,
}

impl TokenFile {
    /// The token as it is in the file now.
    pub(super) fn read(&self) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
        Err(format!("{}: not implemented", self.path.display()).into())
    }
}
