//! How many recipients are in which state: the account of a campaign.

use serde::{Deserialize, Serialize};

/// The account. Always `total = invalid + duplicate + suppressed + published` and
/// `published = pending + delivered + rejected + refused + deferred + dead + unknown`, once the list is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Rows of the list that are not blank.
    pub total: u64,
    /// Rows that can't be mailed: a bad address, an error cell, a letter that can't be made of them.
    pub invalid: u64,
    /// Rows whose address stood in an earlier row.
    pub duplicate: u64,
    /// Rows whose address or domain is never to be mailed.
    pub suppressed: u64,
    /// Rows that became a message.
    pub published: u64,
    /// Published, with no outcome yet (new, claimed or released).
    pub pending: u64,
    /// A server took responsibility for the mail.
    pub delivered: u64,
    /// The address is bad.
    pub rejected: u64,
    /// The sender is misconfigured or blocked.
    pub refused: u64,
    /// Will be tried again.
    pub deferred: u64,
    /// Attempts or age are exhausted.
    pub dead: u64,
    /// Nobody knows whether it was delivered.
    pub unknown: u64,
}

impl Counts {
    /// Whether both sums of the account hold.
    pub fn balances(&self) -> bool {
        self.total == self.invalid + self.duplicate + self.suppressed + self.published
            && self.published == self.pending + self.with_outcome()
    }

    /// Published, and not pending.
    pub fn with_outcome(&self) -> u64 {
        self.delivered + self.rejected + self.refused + self.deferred + self.dead + self.unknown
    }

    /// Messages that a worker may still have to do something about.
    pub fn unfinished(&self) -> u64 {
        self.pending + self.deferred
    }
}
