//! The connections to Kafka: the operator's own, and those that campaigns bring along. And what is asked and told there about one campaign.

use crate::build::KafkaForPods;
use crate::resource::{Campaign, Kind, Named};
use campaign::CampaignUid;
use campaign::spec::KafkaSpec;
use journal::kafka::{Found, Hub, Kafka, Options, Settings, Timing, Which};
use journal::{Command, Error, Journal as _};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// The clusters of Kafka that are known.
pub struct Connections {
    client: Client,
    own: Option<(Settings, Hub)>,
    own_for_pods: KafkaForPods,
    /// Where the files of campaigns' own connections are while they are read.
    scratch: PathBuf,
    /// By namespace and Secret.
    others: Mutex<HashMap<(String, String), Other>>,
}

/// A Kafka that campaigns bring along.
#[derive(Clone)]
struct Other {
    /// The Secret's.
    version: String,
    settings: Settings,
    hub: Hub,
}

impl Connections {
    /// The operator's own Kafka, if it has one, and how pods reach it.
    pub fn new(client: Client, own: Option<Settings>, own_for_pods: KafkaForPods, scratch: PathBuf) -> Self {
        let own = own.map(|settings| (settings.clone(), Hub::connect(settings)));
        Self { client, own, own_for_pods, scratch, others: Mutex::default() }
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
        let kafka: KafkaSpec = serde_json::from_value(campaign.spec()["kafka"].clone()).unwrap_or_default();
        let uid = Uuid::parse_str(campaign.uid()).map_err(|_| "the resource has no uid".to_owned())?;
        let (settings, hub) = match &kafka.connection {
            Some(connection) => self.other(campaign, &connection.secret.name, version).await?,
            None => self.own.clone().ok_or(
                "no Kafka is named: set spec.kafka.connection, or kafka.bootstrapServers of the operator's chart",
            )?,
        };
        let which = Which {
            prefix: kafka.topic_prefix,
            namespace: campaign.namespace().to_owned(),
            name: campaign.name().to_owned(),
            uid: CampaignUid(uid),
        };
        let (partitions, replication) = (kafka.partitions, kafka.replication_factor);
        Ok(Journals { hub, options: Options { settings, which, partitions, replication, timing: Timing::default() } })
    }

    async fn other(&self, campaign: &Campaign, secret: &str, version: Option<&str>) -> Result<(Settings, Hub), String> {
        let field = format!("spec.kafka.connection.secret: Secret {secret}");
        let (namespace, is_deleted) = (campaign.namespace(), campaign.metadata.deletion_timestamp.is_some());
        let key = (namespace.to_owned(), secret.to_owned());
        let known = self.others.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(Other { version: known, settings, hub }) = known
            // With its namespace the Secret goes, too, and maybe first: what it said last is good enough to delete topics.
            && version.map_or(is_deleted, |version| known == version)
        {
            return Ok((settings, hub));
        }
        let version = version.ok_or_else(|| format!("{field}: not found in this namespace"))?;
        let found = Api::<Secret>::namespaced(self.client.clone(), namespace).get(secret).await;
        let found = found.map_err(|error| format!("{field}: {error}"))?;
        let folder = self.scratch.join(format!("{namespace}.{secret}.{}", Uuid::new_v4().simple()));
        let settings = tokio::task::spawn_blocking(move || settings_of(&found, &folder)).await;
        let settings =
            settings.map_err(|error| error.to_string()).flatten().map_err(|why| format!("{field}: {why}"))?;
        let hub = Hub::connect(settings.clone());
        let known = Other { version: version.to_owned(), settings: settings.clone(), hub: hub.clone() };
        self.others.lock().unwrap_or_else(PoisonError::into_inner).insert(key, known);
        Ok((settings, hub))
    }
}

/// The settings in a Secret. Its files stay as long as this process: the client reads them when it connects.
fn settings_of(secret: &Secret, folder: &std::path::Path) -> Result<Settings, String> {
    let written = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        for (name, content) in secret.data.iter().flatten() {
            std::fs::write(folder.join(name), &content.0)?;
        }
        Ok(())
    };
    written().map_err(|error| format!("can't be kept for the connection: {error}"))?;
    let as_text =
        |mistakes: Vec<campaign::Mistake>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Settings::in_folder(folder).map_err(as_text)
}

/// The journal of one campaign, whether it exists or not.
#[derive(Debug, Clone)]
pub struct Journals {
    hub: Hub,
    options: Options,
}

impl Journals {
    /// Which topics are there.
    ///
    /// # Errors
    /// Kafka doesn't answer, or not as it must; and so for all of these.
    pub async fn find(&self) -> Result<Found, Error> {
        self.hub.find(&self.options.which).await
    }

    /// The uids of other campaigns of this name that have sent mails.
    pub async fn sent_before(&self) -> Result<Vec<String>, Error> {
        let siblings = self.hub.siblings(&self.options.which).await?;
        let sent = siblings.into_iter().filter(|sibling| sibling.sent);
        Ok(sent.map(|sibling| sibling.pin.map_or(sibling.uid8, |pin| pin.uid.to_string())).collect())
    }

    /// Makes the topics, or lets them grow. Returns whether any was made.
    pub async fn ensure(&self) -> Result<bool, Error> {
        Ok(self.hub.ensure(&self.options).await?.created)
    }

    /// Opens what is there.
    pub async fn open(&self) -> Result<Kafka, Error> {
        self.hub.open_existing(&self.options).await
    }

    /// Where `control` ends: as long as it is the same, nobody decided anything.
    pub async fn control_end(&self) -> Result<i64, Error> {
        self.hub.control_end(&self.options.which).await
    }

    /// Deletes the topics.
    pub async fn delete(&self) -> Result<(), Error> {
        self.hub.delete(&self.options.which).await
    }

    /// Writes a decision down.
    pub async fn tell(&self, command: Command) -> Result<(), Error> {
        self.open().await?.command(command).await.map(drop)
    }
}
