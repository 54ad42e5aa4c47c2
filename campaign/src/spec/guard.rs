//! `spec.guard`: when a campaign that goes wrong is paused. [`crate::guard`] applies it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Pauses the campaign when too many mails fail. Percentages are of the mails to which a server gave its last word: delivered, rejected and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "has(self.maxRejectedPercent) || has(self.maxRefusedPercent)",
    "give at least one of maxRejectedPercent and maxRefusedPercent, or leave out guard",
))]
pub struct GuardSpec {
    /// Pause when more than so many percent were rejected: their addresses are bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub max_rejected_percent: Option<u8>,
    /// Pause when more than so many percent were refused: the sender is blocked or misconfigured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub max_refused_percent: Option<u8>,
    /// Mails that must have had a server's last word before the percentages say anything.
    #[serde(default = "default_min_sent")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub min_sent: u32,
}

fn default_min_sent() -> u32 {
    100
}
