//! The connections to Kafka: the operator's own, and those that campaigns bring along. And what is asked and told there about one campaign.

mod connection;

use crate::build::KafkaForPods;
use crate::resource::{Campaign, Kind, Named};
use campaign::CampaignUid;
use campaign::spec::KafkaSpec;
use connection::{Connection, Files, Latest};
use journal::kafka::{Found, Kafka, Options, Settings, Timing, Which};
use journal::{Command, Error, Journal as _};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// The clusters of Kafka that are known.
pub struct Connections {
    client: Client,
    own: Option<Connection>,
    own_for_pods: KafkaForPods,
    /// Where the files of campaigns' own connections are.
    scratch: PathBuf,
    /// Those that campaigns bring along.
    others: Latest,
}

impl Connections {
    /// The operator's own Kafka, if it has one, and how pods reach it.
    pub fn new(client: Client, own: Option<Settings>, own_for_pods: KafkaForPods, scratch: PathBuf) -> Self {
        Self { client, own: own.map(Connection::by), own_for_pods, scratch, others: Latest::default() }
    }

    /// How the pods of a campaign reach its Kafka.
    pub fn for_pods(&self, kafka: &KafkaSpec) -> KafkaForPods {
        match &kafka.connection {
            Some(connection) => KafkaForPods { bootstrap: None, secret: Some(connection.secret.name.clone()) },
            None => self.own_for_pods.clone(),
        }
    }

    /// The Secret that the pods of a campaign mount for Kafka, besides those it refers to.
    pub fn secret_of_pods(&self) -> Option<Named> {
        self.own_for_pods.secret.clone().map(|name| Named { kind: Kind::Secret, name })
    }

    /// The Kafka of a campaign; `version` is that of its own connection's Secret, if it has one.
    ///
    /// # Errors
    /// What to change.
    pub async fn of(&self, campaign: &Campaign, version: Option<&str>) -> Result<Journals, String> {
        let uid = Uuid::parse_str(campaign.uid()).map_err(|_| "the resource has no uid".to_owned())?;
        let connection = match &campaign.kafka.connection {
            Some(connection) => self.other(campaign, &connection.secret.name, version).await?,
            None => self.own.clone().ok_or(
                "no Kafka is named: set spec.kafka.connection, or kafka.bootstrapServers of the operator's chart",
            )?,
        };
        Ok(Journals::of(connection, campaign, CampaignUid(uid)))
    }

    /// Lets go of what no campaign brings along any more.
    pub fn forget_all_but_those_of(&self, campaigns: &[Arc<Campaign>]) {
        let place = |campaign: &Arc<Campaign>| {
            Some((campaign.namespace().to_owned(), campaign.kafka.connection.as_ref()?.secret.name.clone()))
        };
        self.others.keep_only(&campaigns.iter().filter_map(place).collect());
    }

    async fn other(&self, campaign: &Campaign, secret: &str, version: Option<&str>) -> Result<Connection, String> {
        let field = format!("spec.kafka.connection.secret: Secret {secret}");
        let (namespace, is_deleted) = (campaign.namespace(), campaign.metadata.deletion_timestamp.is_some());
        let place = (namespace.to_owned(), secret.to_owned());
        if let Some((known, connection)) = self.others.get(&place)
            // With its namespace the Secret goes, too, and maybe first: what it said last is good enough to delete topics.
            && version.map_or(is_deleted, |version| known == version)
        {
            return Ok(connection);
        }
        let version = version.ok_or_else(|| format!("{field}: not found in this namespace"))?;
        let found = Api::<Secret>::namespaced(self.client.clone(), namespace).get(secret).await;
        let found = found.map_err(|error| format!("{field}: {error}"))?;
        let scratch = self.scratch.clone();
        let connected = tokio::task::spawn_blocking(move || Connection::in_secret(&found, &scratch)).await;
        let connection =
            connected.map_err(|error| error.to_string()).flatten().map_err(|why| format!("{field}: {why}"))?;
        self.others.put(place, version, connection.clone());
        Ok(connection)
    }
}

/// The journal of one campaign, whether it exists or not.
#[derive(Debug, Clone)]
pub struct Journals {
    connection: Connection,
    options: Options,
}

/// A journal that exists.
#[derive(Clone)]
pub struct Opened {
    kafka: Kafka,
    /// Its clients read them when they are made, which is whenever one is needed.
    _files: Option<Arc<Files>>,
}

impl Deref for Opened {
    type Target = Kafka;

    fn deref(&self) -> &Kafka {
        &self.kafka
    }
}

impl Journals {
    /// Of a campaign, on the Kafka of a connection.
    fn of(connection: Connection, campaign: &Campaign, uid: CampaignUid) -> Self {
        let KafkaSpec { partitions, replication_factor, topic_prefix, .. } = &campaign.kafka;
        let which = Which {
            prefix: topic_prefix.clone(),
            namespace: campaign.namespace().to_owned(),
            name: campaign.name().to_owned(),
            uid,
        };
        let options = Options {
            settings: connection.settings.clone(),
            which,
            partitions: *partitions,
            replication: *replication_factor,
            timing: Timing::default(),
        };
        Self { connection, options }
    }

    /// Which topics are there.
    ///
    /// # Errors
    /// Kafka doesn't answer, or not as it must; and so for all of these.
    pub async fn find(&self) -> Result<Found, Error> {
        self.connection.hub.find(&self.options.which).await
    }

    /// The uids of other campaigns of this name that have sent mails.
    pub async fn sent_before(&self) -> Result<Vec<String>, Error> {
        let siblings = self.connection.hub.siblings(&self.options.which).await?;
        let sent = siblings.into_iter().filter(|sibling| sibling.sent);
        Ok(sent.map(|sibling| sibling.pin.map_or(sibling.uid8, |pin| pin.uid.to_string())).collect())
    }

    /// Makes the topics, or lets them grow.
    pub async fn ensure(&self) -> Result<(), Error> {
        self.connection.hub.ensure(&self.options).await.map(drop)
    }

    /// Opens what is there.
    pub async fn open(&self) -> Result<Opened, Error> {
        let kafka = self.connection.hub.open_existing(&self.options).await?;
        Ok(Opened { kafka, _files: self.connection.files.clone() })
    }

    /// Where `control` ends: as long as it is the same, nobody decided anything.
    pub async fn control_end(&self) -> Result<i64, Error> {
        self.connection.hub.control_end(&self.options.which).await
    }

    /// Deletes the topics.
    pub async fn delete(&self) -> Result<(), Error> {
        self.connection.hub.delete(&self.options.which).await
    }

    /// Writes a decision down.
    pub async fn tell(&self, command: Command) -> Result<(), Error> {
        self.open().await?.command(command).await.map(drop)
    }
}
