//! The resource `MailCampaign` as it is written in `campaign.yaml`: defined here once, for the CRD, the files and the programs.

#![expect(unreachable_pub, reason = "kube's derive copies each struct, with its `pub`, into a function")]

pub mod delivery;
pub mod message;
pub mod recipients;
mod rules;

pub use delivery::*;
pub use message::*;
pub use recipients::*;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    validation = rules::CAMPAIGN_NAME
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MailCampaignSpec {
    /// Whom to mail.
    pub recipients: Recipients,
    /// What to mail.
    pub message: MessageSpec,
    /// How to mail it.
    pub delivery: Delivery,
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
