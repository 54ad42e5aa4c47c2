//! The resource `MailCampaign` as it is written in `campaign.yaml`: defined here once, for the CRD, the files and the programs.

pub mod delivery;
pub mod message;
pub mod recipients;

pub use delivery::*;
pub use message::*;
pub use recipients::*;

use kube::CustomResource;
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
    namespaced
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRef {
    /// Name of the ConfigMap or Secret.
    pub name: String,
    /// Key in it.
    pub key: String,
}

/// Where some content comes from: exactly one of its fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContentRef {
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<KeyRef>,
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<KeyRef>,
}
