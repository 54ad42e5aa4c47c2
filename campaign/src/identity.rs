//! Who a campaign and its mails are: stable across restarts and hosts, never random.

use crate::address::EmailAddress;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// The campaign's identity: the resource's uid on a cluster, a UUIDv5 (RFC 9562) alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CampaignUid(#[schemars(with = "String")] pub Uuid);

/// UUIDv5 namespace of campaigns without a cluster: the UUIDv5 of the DNS name `mailcampaign.io`.
fn namespace() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"mailcampaign.io")
}

impl CampaignUid {
    /// The uid of a campaign that runs without a cluster: of its namespace and name, the SHA-256 (hex) of its list and its message,
    /// and the label of `--run`. Every host that has the same files agrees on it.
    pub fn alone(namespaced_name: &str, list_sha256: &str, message_sha256: &str, run: Option<&str>) -> Self {
        let text = format!("{namespaced_name}\n{list_sha256}\n{message_sha256}\n{}", run.unwrap_or(""));
        Self(Uuid::new_v5(&namespace(), text.as_bytes()))
    }

    /// The Message-ID (RFC 5322 §3.6.4) of one row, without the angle brackets: `uid.row@domain`.
    pub fn message_id(&self, row: u64, from: &EmailAddress) -> String {
        format!("{}.{row}@{}", self.0.as_simple(), from.ascii_domain())
    }
}

impl fmt::Display for CampaignUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
