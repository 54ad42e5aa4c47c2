//! What a person can set about Kafka, as it was given: unchecked.

use std::fmt;
use std::path::PathBuf;

/// What was given by flags and variables; [`super::Settings::check`] makes settings of it. Its mistakes are told by the flags' names.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `--kafka`: `host:port[,…]`.
    pub bootstrap: Option<String>,
    /// `--kafka-config`: a file of librdkafka's own settings.
    pub config: Option<PathBuf>,
    /// `--kafka-tls`: TLS, with the system's authorities if no others are given.
    pub tls: bool,
    /// `--kafka-ca`: PEM.
    pub ca: Option<PathBuf>,
    /// `--kafka-cert`: PEM.
    pub cert: Option<PathBuf>,
    /// `--kafka-key`: PEM.
    pub key: Option<PathBuf>,
    /// `KAFKA_KEY_PASSWORD`.
    pub key_password: Option<Secret>,
    /// `--kafka-sasl-mechanism`.
    pub sasl_mechanism: Option<String>,
    /// `--kafka-user`.
    pub user: Option<String>,
    /// `KAFKA_PASSWORD`.
    pub password: Option<Secret>,
    /// `--kafka-password-file`.
    pub password_file: Option<PathBuf>,
    /// `--kafka-oauth-token-file`.
    pub oauth_token_file: Option<PathBuf>,
}

/// Something that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// For the library that needs it.
    pub(in crate::kafka) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
