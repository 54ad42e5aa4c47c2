//! The flags and variables that say how Kafka is reached: the same for every program.

use crate::exit::Failure;
use campaign::CampaignUid;
use clap::builder::BoolishValueParser;
use journal::kafka::{Given, Options, Secret, Settings, Timing, Which};
use std::ffi::OsString;
use std::path::PathBuf;

/// The variable with the password of `--kafka-user`. There is no flag for it: flags can be read by everybody on the machine.
pub const PASSWORD: &str = "KAFKA_PASSWORD";
/// The variable with the password of `--kafka-key`'s file.
pub const KEY_PASSWORD: &str = "KAFKA_KEY_PASSWORD";

const HEADING: &str = "Kafka";

/// How Kafka is reached. Each flag has a variable of the same name in capitals.
#[derive(Debug, Clone, clap::Args)]
pub struct ConnectionArgs {
    /// Brokers to begin with.
    #[arg(help_heading = HEADING, long = "kafka", value_name = "HOST:PORT[,…]", env = "KAFKA_BOOTSTRAP_SERVERS")]
    pub bootstrap: Option<String>,
    /// Further settings, by librdkafka's names: a file of lines `key=value`. What has a flag here is better set by it.
    #[arg(help_heading = HEADING, long = "kafka-config", value_name = "FILE", env = "KAFKA_CONFIG")]
    pub config: Option<PathBuf>,
    /// Speak TLS, and trust the authorities that the system trusts.
    #[arg(help_heading = HEADING, long = "kafka-tls", env = "KAFKA_TLS", value_parser = BoolishValueParser::new())]
    pub tls: bool,
    /// Speak TLS, and trust only the authorities in this file (PEM).
    #[arg(help_heading = HEADING, long = "kafka-ca", value_name = "FILE", env = "KAFKA_CA")]
    pub ca: Option<PathBuf>,
    /// The client's certificate (PEM), with --kafka-key.
    #[arg(help_heading = HEADING, long = "kafka-cert", value_name = "FILE", env = "KAFKA_CERT")]
    pub cert: Option<PathBuf>,
    /// The key of the client's certificate (PEM); if it has a password: the variable KAFKA_KEY_PASSWORD.
    #[arg(help_heading = HEADING, long = "kafka-key", value_name = "FILE", env = "KAFKA_KEY")]
    pub key: Option<PathBuf>,
    /// PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER [default: SCRAM-SHA-512 with a user, OAUTHBEARER with a token file].
    #[arg(help_heading = HEADING, long = "kafka-sasl-mechanism", value_name = "NAME", env = "KAFKA_SASL_MECHANISM")]
    pub sasl_mechanism: Option<String>,
    /// Log in as this user; the password is in --kafka-password-file, or in the variable KAFKA_PASSWORD.
    #[arg(help_heading = HEADING, long = "kafka-user", value_name = "NAME", env = "KAFKA_USER")]
    pub user: Option<String>,
    /// File with the password of --kafka-user.
    #[arg(help_heading = HEADING, long = "kafka-password-file", value_name = "FILE", env = "KAFKA_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
    /// Log in with the token in this file (a JWT); read anew whenever it is about to expire.
    #[arg(help_heading = HEADING, long = "kafka-oauth-token-file", value_name = "FILE", env = "KAFKA_OAUTH_TOKEN_FILE")]
    pub oauth_token_file: Option<PathBuf>,
}

/// How Kafka is reached, and how a campaign's topics are made there.
#[derive(Debug, Clone, clap::Args)]
pub struct KafkaArgs {
    /// How Kafka is reached.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// What the names of the campaign's topics begin with.
    #[arg(help_heading = HEADING, long = "kafka-topic-prefix", value_name = "PREFIX", env = "KAFKA_TOPIC_PREFIX", default_value = "mailcampaign")]
    pub topic_prefix: String,
    /// Partitions of the campaign's topics, when they are created; existing ones grow to this, and never shrink.
    #[arg(help_heading = HEADING, long = "kafka-partitions", value_name = "N", env = "KAFKA_PARTITIONS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub partitions: u32,
    /// Copies of each partition, when topics are created [default: the broker's default].
    #[arg(help_heading = HEADING, long = "kafka-replication", value_name = "N", env = "KAFKA_REPLICATION", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub replication: Option<u16>,
}

impl ConnectionArgs {
    /// Whether a Kafka is named, by `--kafka` or in the file of `--kafka-config`: without, the journal is a file on this machine.
    pub fn settings(&self) -> Result<Option<Settings>, Failure> {
        self.settings_with(|name| std::env::var_os(name))
    }

    /// The same, with the variables of secrets looked up by `variable`.
    pub fn settings_with(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Settings>, Failure> {
        let secret = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(|value| Secret::from(value.to_string_lossy().into_owned()))
        };
        let given = Given {
            bootstrap: self.bootstrap.clone(),
            config: self.config.clone(),
            tls: self.tls,
            ca: self.ca.clone(),
            cert: self.cert.clone(),
            key: self.key.clone(),
            key_password: secret(KEY_PASSWORD),
            sasl_mechanism: self.sasl_mechanism.clone(),
            user: self.user.clone(),
            password: secret(PASSWORD),
            password_file: self.password_file.clone(),
            oauth_token_file: self.oauth_token_file.clone(),
        };
        Settings::check(&given).map_err(|mistakes| Failure::mistakes(&mistakes))
    }

    /// The same for programs that need Kafka.
    pub fn required(&self) -> Result<Settings, Failure> {
        self.settings()?.ok_or_else(|| {
            Failure::bad_input("no Kafka is named: give --kafka HOST:PORT, or set KAFKA_BOOTSTRAP_SERVERS")
        })
    }
}

impl KafkaArgs {
    /// How a campaign's journal on Kafka is opened; none if no Kafka is named.
    pub fn options(&self, namespace: &str, name: &str, uid: CampaignUid) -> Result<Option<Options>, Failure> {
        Ok(self.connection.settings()?.map(|settings| self.with_settings(settings, namespace, name, uid)))
    }

    /// The same for programs that need Kafka.
    pub fn required(&self, namespace: &str, name: &str, uid: CampaignUid) -> Result<Options, Failure> {
        Ok(self.with_settings(self.connection.required()?, namespace, name, uid))
    }

    fn with_settings(&self, settings: Settings, namespace: &str, name: &str, uid: CampaignUid) -> Options {
        Options {
            settings,
            which: Which {
                prefix: self.topic_prefix.clone(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                uid,
            },
            partitions: self.partitions,
            replication: self.replication,
            timing: Timing::default(),
        }
    }
}
