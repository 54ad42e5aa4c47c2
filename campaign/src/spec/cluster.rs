//! `spec.kafka`, `producer`, `workers` and what remains afterwards: how a campaign runs on a cluster.

use super::{PodTemplate, Resources, SecretName, rules};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The campaign's topics, and the Kafka that they are on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSpec {
    /// Partitions of the topics: at most so many workers have work. They can only grow.
    #[serde(default = "default_partitions")]
    #[schemars(range(min = 1, max = 1000))]
    #[x_kube(validation = (
        "self >= oldSelf",
        "partitions can only grow: Kafka can't take one away. Write at least as many as before, or make a new campaign",
    ))]
    pub partitions: u32,
    /// Copies of each partition; absent: the broker's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replication_factor: Option<u16>,
    /// What the names of the topics begin with.
    #[serde(default = "default_topic_prefix")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = rules::TOPIC_PREFIX)]
    pub topic_prefix: String,
    /// Another Kafka than the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<KafkaConnection>,
}

fn default_partitions() -> u32 {
    4
}

fn default_topic_prefix() -> String {
    "mailcampaign".to_owned()
}

impl Default for KafkaSpec {
    fn default() -> Self {
        Self {
            partitions: default_partitions(),
            replication_factor: None,
            topic_prefix: default_topic_prefix(),
            connection: None,
        }
    }
}

/// How to reach a Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaConnection {
    /// A Secret with the settings of the connection.
    pub secret: SecretName,
}

/// The pods that put the list on Kafka.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Producer {
    /// Pods that publish at the same time, each a part of the list. Each reads the whole list to find duplicates.
    #[serde(default = "default_shards")]
    #[schemars(range(min = 1, max = 100))]
    pub shards: u32,
    /// What a pod may use.
    #[serde(default = "Resources::of_producer")]
    pub resources: Resources,
    /// What to add to the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

fn default_shards() -> u32 {
    1
}

impl Default for Producer {
    fn default() -> Self {
        Self { shards: default_shards(), resources: Resources::of_producer(), pod_template: None }
    }
}

/// The pods that send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = rules::at(
    ".minReplicas",
    "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
    "minReplicas is more than maxReplicas; lower it, or raise maxReplicas",
))]
pub struct Workers {
    /// Pods at least while the campaign is sending; 0: none while no mail is due.
    #[serde(default = "default_min_replicas")]
    #[schemars(range(max = 1000))]
    pub min_replicas: u32,
    /// Pods at most; absent: as many as there are partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: Option<u32>,
    /// What a pod may use.
    #[serde(default = "Resources::of_worker")]
    pub resources: Resources,
    /// What to add to the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

fn default_min_replicas() -> u32 {
    1
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            min_replicas: default_min_replicas(),
            max_replicas: None,
            resources: Resources::of_worker(),
            pod_template: None,
        }
    }
}

impl Workers {
    /// Pods at most, of a campaign with so many partitions: a worker more would have no work.
    pub fn most(&self, partitions: u32) -> u32 {
        self.max_replicas.unwrap_or(partitions).min(partitions)
    }
}

/// What becomes of the topics when the campaign is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay: what became of every mail can still be read.
    #[default]
    Retain,
    /// They are deleted.
    Delete,
}
