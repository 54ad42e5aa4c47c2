//! What goes into the journal and comes out of it.

use crate::{Error, Lease};
use campaign::{CampaignUid, Message, Settlement, SkipReason, Skipped, spec::OnUnknown};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a campaign is made of, as hashes: pinned before the first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// Who the campaign is.
    pub uid: CampaignUid,
    /// SHA-256 (hex) of each content by its field path (`spec.recipients.source`, `spec.message.html`, …), so that a difference can be named.
    pub contents: BTreeMap<String, String>,
    /// Where the mails go: `backends`, or `outbox` for a rehearsal that leaves the machine alone.
    pub destination: String,
    /// Into how many shards the list is cut for publishing; at least 1.
    #[serde(default = "one")]
    pub shards: u32,
}

fn one() -> u32 {
    1
}

impl Pin {
    /// Compares with what is pinned (`self`).
    ///
    /// # Errors
    /// [`Error::ContentChanged`] with the field paths of the contents that differ; with the run label if only the uid does; with the destination
    /// and the number of shards if those do.
    pub fn must_be(&self, other: &Self) -> Result<(), Error> {
        let paths: BTreeSet<&String> = self.contents.keys().chain(other.contents.keys()).collect();
        let differing = paths.into_iter().filter(|path| self.contents.get(*path) != other.contents.get(*path));
        let mut changed: Vec<String> = differing.cloned().collect();
        if changed.is_empty() && self.uid != other.uid {
            changed.push("the run label or the campaign's name".to_owned());
        }
        if self.destination != other.destination {
            changed.push(format!("the destination (was {}, is {})", self.destination, other.destination));
        }
        if self.shards != other.shards {
            changed.push(format!("the number of shards (was {}, is {})", self.shards, other.shards));
        }
        if changed.is_empty() { Ok(()) } else { Err(Error::ContentChanged { changed }) }
    }
}

/// How far a shard of the list is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// Every row of the shard below this number is in the journal.
    pub next_row: u64,
    /// What they were.
    pub tally: Tally,
    /// The whole shard is published.
    pub done: bool,
}

/// Rows of the list by what became of them when they were published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Became a message.
    pub published: u64,
    /// See [`SkipReason::Invalid`].
    pub invalid: u64,
    /// See [`SkipReason::Duplicate`].
    pub duplicate: u64,
    /// See [`SkipReason::Suppressed`].
    pub suppressed: u64,
}

impl Tally {
    /// All rows.
    pub fn total(&self) -> u64 {
        self.published + self.invalid + self.duplicate + self.suppressed
    }

    /// Counts one more entry.
    pub fn add(&mut self, entry: &Entry) {
        match entry {
            Entry::Message(_) => self.published += 1,
            Entry::Skipped(Skipped { reason: SkipReason::Invalid { .. }, .. }) => self.invalid += 1,
            Entry::Skipped(Skipped { reason: SkipReason::Duplicate, .. }) => self.duplicate += 1,
            Entry::Skipped(Skipped { reason: SkipReason::Suppressed, .. }) => self.suppressed += 1,
        }
    }
}

/// What a row of the list became.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A message to send.
    Message(Message),
    /// None.
    Skipped(Skipped),
}

impl Entry {
    /// The row's number.
    pub fn row(&self) -> u64 {
        match self {
            Self::Message(message) => message.row,
            Self::Skipped(skipped) => skipped.row,
        }
    }
}

/// How a worker is to behave.
#[derive(Debug, Clone, Copy)]
pub struct WorkerOptions {
    /// What becomes of claims whose owner is gone.
    pub on_unknown: OnUnknown,
    /// The time now, for what is settled while taking over.
    pub now: Timestamp,
}

/// A message that may be claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    /// The message.
    pub message: Message,
    /// Which attempt this would be, from 1.
    pub attempt: u32,
    /// When the first attempt was claimed, for the age; none if this is the first, or the first after a person's decision ([`crate::Command`]).
    pub first_attempt: Option<Timestamp>,
}

/// A message whose claim is durable: the only thing that may be sent. Only a journal's `commit` makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    queued: Queued,
    lease: Lease,
}

impl Claimed {
    /// For the implementations in this crate, after their commit.
    pub(crate) fn after_commit(queued: Queued, lease: Lease) -> Self {
        Self { queued, lease }
    }

    /// How long it may be sent.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.queued.message
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.queued.attempt
    }

    /// See [`Queued::first_attempt`].
    pub fn first_attempt(&self) -> Option<Timestamp> {
        self.queued.first_attempt
    }
}

/// One transaction of a worker.
#[derive(Debug, Clone, Default)]
pub struct Tick {
    /// Results of claimed rows.
    pub finished: Vec<Settlement>,
    /// Rows to claim: taken by [`crate::Worker::take`], in any order and number.
    pub claims: Vec<Queued>,
    /// Rows to defer for pacing until the given time, at no attempt.
    pub paced: Vec<(Queued, Timestamp)>,
    /// When the tick happens.
    pub at: Timestamp,
    /// Pause the campaign from now on, with the reason; an earlier pause keeps its own. What is claimed may still be sent and settled.
    pub pause: Option<String>,
    /// What the worker has seen of an obstacle; none: nothing new. Changes no row and stops no mail, and may be all there is in the tick.
    pub obstacle: Option<Sighting>,
}

/// What a worker has seen of an obstacle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// There is one, or still is: it takes the place of what was told before, by whichever worker.
    Met(Obstacle),
    /// What this worker has told is over. What another has told since stays: that is for the other to end. Only after a [`Sighting::Met`] of the same
    /// worker.
    Gone,
}

impl Sighting {
    /// What stands in the journal from now on.
    pub(crate) fn obstacle(&self) -> Option<&Obstacle> {
        match self {
            Self::Met(obstacle) => Some(obstacle),
            Self::Gone => None,
        }
    }
}

/// Something keeps a worker from sending, whatever it claims: none of its backends takes mails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Obstacle {
    /// What is in the way, for people; holds no address. The same obstacle has the same text.
    pub reason: String,
    /// When it was told. It is told again and again while it lasts.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

impl Obstacle {
    /// What was told longer ago says nothing about now: who told it may have died. While it lasts it is told more than twice as often.
    pub const GOOD_FOR: SignedDuration = SignedDuration::from_secs(150);

    /// Whether it counts, as of `now`. One of a clock that is ahead does.
    pub fn holds(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) <= Self::GOOD_FOR
    }
}

/// Sending is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Paused {
    /// Why, for people; holds no address.
    pub reason: String,
    /// Since when.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// What the preflight found, before anything was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preflighted {
    /// When it ended.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What the rows of the list are going to be.
    pub tally: Tally,
}

/// What is decided from outside about the campaign or about rows of it, by a person or the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Unknown rows (all, or the given ones) are queued again, with the same Message-ID. Their attempts count on, their age begins anew.
    ResendUnknown {
        /// None: all.
        rows: Option<Vec<u64>>,
    },
    /// Unknown rows (all, or the given ones) are given up: dead.
    DiscardUnknown {
        /// None: all.
        rows: Option<Vec<u64>>,
        /// When it was decided.
        at: Timestamp,
    },
    /// Dead rows are queued again. Their attempts count on, their age begins anew.
    ReplayDead {
        /// Only those whose last reply has this code: SMTP or HTTP (`552`) or enhanced (`5.2.2`). None: all.
        code: Option<String>,
    },
    /// A pause ends, if there is one; the refused rows are queued again, for the sender has been mended. Their attempts count on, their age
    /// begins anew.
    Resume,
    /// Sending is suspended, whether it is paused or not; an earlier suspension keeps its time. Changes no row.
    Suspend {
        /// Since when.
        at: Timestamp,
    },
    /// A suspension ends, if there is one; a pause stays, and no row is changed.
    Unsuspend,
}

/// A part of a campaign: so many of so many equal pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Pieces that are owned.
    pub owned: u32,
    /// All pieces; at least 1.
    pub of: u32,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { owned: 1, of: 1 };

    /// As a fraction, 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.owned) / f64::from(self.of.max(1))
    }
}

/// From where on settlements are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailFrom {
    /// All that are kept, and then the new ones.
    Start,
    /// Only new ones.
    Now,
}

/// What the journal knows of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowState {
    /// It became no message.
    Skipped(Skipped),
    /// Published, with its latest settlement; none while it is new, claimed for the first time by a live worker, or queued again by a person.
    /// A claim whose owner is gone shows as unknown.
    Message {
        /// The row's number.
        row: u64,
        /// Attempts that were begun.
        attempts: u32,
        /// The latest result.
        latest: Option<Settlement>,
    },
}

impl RowState {
    /// The row's number.
    pub fn row(&self) -> u64 {
        match self {
            Self::Skipped(skipped) => skipped.row,
            Self::Message { row, .. } => *row,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_obstacle_that_nobody_tells_any_more_holds_for_two_and_a_half_minutes() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).expect("a time");
        let obstacle = Obstacle { reason: "backend relay (mx.example.com:25): refused".to_owned(), at: at(0) };
        for (second, holds) in [(-9, true), (0, true), (149, true), (150, true), (151, false), (86_400, false)] {
            assert_eq!(obstacle.holds(at(second)), holds, "{second}");
        }
    }
}
