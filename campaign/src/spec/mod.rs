//! The resource `MailCampaign` as it is written in `campaign.yaml`: defined here once, for the CRD, the files and the programs.

#![expect(unreachable_pub, reason = "kube's derive copies each struct, with its `pub`, into a function")]

pub mod cluster;
pub mod delivery;
pub mod guard;
pub mod message;
pub mod pods;
pub mod recipients;
mod rules;
pub mod window;

pub use cluster::*;
pub use delivery::*;
pub use guard::*;
pub use message::*;
pub use pods::*;
pub use recipients::*;
pub use window::*;

use crate::status::MailCampaignStatus;
use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A campaign of personal e-mail: a list of recipients, a message made for each, and how it is delivered.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "mailcampaign.io",
    version = "v1alpha1",
    kind = "MailCampaign",
    plural = "mailcampaigns",
    shortname = "mc",
    category = "all",
    doc = "A campaign of personal e-mail: a list of recipients, a message made for each, and how it is delivered.",
    namespaced,
    status = "MailCampaignStatus",
    derive = "PartialEq",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "integer", json_path = ".status.progressPercent", description = "Percent of the list that is done."),
    printcolumn(name = "Delivered", type_ = "integer", json_path = ".status.recipients.delivered"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.recipients.failed", description = "Rejected, refused and dead."),
    printcolumn(name = "Rate", type_ = "number", json_path = ".status.mailsPerSecond", description = "Mails a second."),
    printcolumn(name = "ETA", type_ = "string", json_path = ".status.estimatedCompletionTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Total", type_ = "integer", json_path = ".status.recipients.total", priority = "1"),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.recipients.pending", priority = "1"),
    printcolumn(name = "Deferred", type_ = "integer", json_path = ".status.recipients.deferred", priority = "1"),
    printcolumn(name = "Rejected", type_ = "integer", json_path = ".status.recipients.rejected", priority = "1"),
    printcolumn(name = "Refused", type_ = "integer", json_path = ".status.recipients.refused", priority = "1"),
    printcolumn(name = "Dead", type_ = "integer", json_path = ".status.recipients.dead", priority = "1"),
    printcolumn(name = "Unknown", type_ = "integer", json_path = ".status.recipients.unknown", priority = "1"),
    printcolumn(name = "Workers", type_ = "integer", json_path = ".status.workers.ready", priority = "1"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Progressing\")].reason", priority = "1"),
    validation = rules::CAMPAIGN_NAME,
    validation = rules::once(
        "Published", ".spec.recipients", "self.spec.recipients == oldSelf.spec.recipients",
        "the list can't be changed once it is published: put it back, and make a new campaign (another metadata.name) of the other list",
    ),
    validation = rules::once(
        "Published", ".spec.message", "self.spec.message == oldSelf.spec.message",
        "the message can't be changed once the list is published: put it back, and make a new campaign (another metadata.name) of the other message",
    ),
    validation = rules::once(
        "Validated", ".spec.producer.shards", "self.spec.producer.shards == oldSelf.spec.producer.shards",
        "the list is cut into as many shards as there were when it was validated; put the number back",
    ),
    validation = rules::once(
        "TopicsReady", ".spec.kafka.topicPrefix", "self.spec.kafka.topicPrefix == oldSelf.spec.kafka.topicPrefix",
        "the topics are there and can't be renamed; put the prefix back, or make a new campaign",
    ),
    validation = rules::once(
        "TopicsReady", ".spec.kafka.replicationFactor",
        "(has(self.spec.kafka.replicationFactor) ? self.spec.kafka.replicationFactor : 0) \
         == (has(oldSelf.spec.kafka.replicationFactor) ? oldSelf.spec.kafka.replicationFactor : 0)",
        "the topics are there and keep the copies that they were made with; put the number back (kafka-reassign-partitions changes it)",
    ),
    validation = rules::at(
        ".spec.workers.maxReplicas",
        "!has(self.spec.workers.maxReplicas) || self.spec.workers.maxReplicas <= self.spec.kafka.partitions",
        "more workers than partitions would have no work; lower maxReplicas, or raise spec.kafka.partitions",
    ),
    validation = rules::at(
        ".spec.workers.minReplicas",
        "has(self.spec.workers.maxReplicas) || self.spec.workers.minReplicas <= self.spec.kafka.partitions",
        "more workers than partitions would have no work; lower minReplicas, or raise spec.kafka.partitions",
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MailCampaignSpec {
    /// Whom to mail.
    pub recipients: Recipients,
    /// What to mail.
    pub message: MessageSpec,
    /// How to mail it.
    pub delivery: Delivery,
    /// Stop sending until it is false again; nothing is lost.
    #[serde(default)]
    pub suspend: bool,
    /// Nothing is sent before this time (RFC 3339, with its offset); absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::timestamp")]
    pub start_at: Option<Timestamp>,
    /// When to pause a campaign that goes wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardSpec>,
    /// The campaign's topics, and the Kafka that they are on.
    #[serde(default)]
    pub kafka: KafkaSpec,
    /// The pods that put the list on Kafka.
    #[serde(default)]
    pub producer: Producer,
    /// The pods that send.
    #[serde(default)]
    pub workers: Workers,
    /// What becomes of the topics when the campaign is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Delete the campaign so many seconds after it has ended; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 2_147_483_647))]
    pub ttl_seconds_after_finished: Option<u32>,
}

/// A key of a ConfigMap or Secret. Without a cluster: another document of the same YAML file, else the file `key` beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRef {
    /// Name of the ConfigMap or Secret.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub name: String,
    /// Key in it.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::DATA_KEY)]
    pub key: String,
}

/// Where some content comes from: exactly one of its fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "[has(self.configMap), has(self.secret)].exists_one(set, set)",
    "give exactly one of configMap and secret",
))]
pub struct ContentRef {
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<KeyRef>,
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<KeyRef>,
}

/// A file or folder in a volume. Without a cluster: in a folder of the claim's name beside the campaign's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimPath {
    /// Name of the PersistentVolumeClaim.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub claim_name: String,
    /// Path in the volume.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::PATH_IN_VOLUME)]
    pub path: String,
}

impl ClaimPath {
    /// Where it is, relative to the folder of the campaign's file: `<claimName>/<path>`. In a pod the volume is mounted there.
    pub fn beside(&self) -> PathBuf {
        Path::new(&self.claim_name).join(&self.path)
    }
}
