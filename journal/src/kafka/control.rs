//! What stands in `control`: pinned content, how far the list is published, pauses, obstacles, decisions. Pure.

use super::wire::{Controlled, Decision, Published};
use crate::{Obstacle, Paused, Pin, Preflighted, Tally};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The topic `control`, read up to some offset.
#[derive(Debug, Clone, Default)]
pub(super) struct Control {
    /// What is pinned.
    pub(super) pin: Option<Pin>,
    /// What the preflight found, if that was written.
    pub(super) preflight: Option<Preflighted>,
    /// By shard: how far it is published.
    pub(super) shards: BTreeMap<u32, Published>,
    /// Why sending is paused, if it is.
    pub(super) paused: Option<Paused>,
    /// Since when sending is suspended, if it is.
    pub(super) suspended: Option<Timestamp>,
    /// What keeps a worker from sending, as it was told last.
    pub(super) obstacle: Option<Obstacle>,
    /// By offset: what people decided.
    pub(super) decisions: BTreeMap<i64, Decision>,
    /// Everything below this offset was read.
    pub(super) next: i64,
}

impl Control {
    /// Takes in the next record.
    pub(super) fn apply(&mut self, offset: i64, record: Controlled) {
        match record {
            // The first one stands, whoever writes another.
            Controlled::Pin(pin) => drop(self.pin.get_or_insert(pin)),
            Controlled::Shard(number, published) => drop(self.shards.insert(number, published)),
            Controlled::Preflight(found) => drop(self.preflight.get_or_insert(found)),
            Controlled::Paused(paused) => self.paused = paused,
            Controlled::Suspended(suspended) => self.suspended = suspended.map(|suspended| suspended.at),
            Controlled::Obstacle(obstacle) => self.obstacle = obstacle,
            Controlled::Decision(decision) => drop(self.decisions.insert(offset, decision)),
        }
        self.next = self.next.max(offset + 1);
    }

    /// Whether the whole list is published.
    pub(super) fn published(&self) -> bool {
        let pinned = self.pin.as_ref().map_or(1, |pin| pin.shards.max(1));
        let is_done = |shard: &u32| self.shards.get(shard).is_some_and(|published| published.checkpoint.done);
        (0..pinned).all(|shard| is_done(&shard)) && self.shards.keys().all(is_done)
    }

    /// What the rows of the list became so far.
    pub(super) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        for Published { checkpoint: crate::Checkpoint { tally, .. }, .. } in self.shards.values() {
            sum.published += tally.published;
            sum.invalid += tally.invalid;
            sum.duplicate += tally.duplicate;
            sum.suppressed += tally.suppressed;
        }
        sum
    }

    /// The offset behind the last record of a partition of `outbox` that is known to be published.
    pub(super) fn end_of(&self, partition: i32) -> i64 {
        self.shards.values().filter_map(|published| published.ends.get(&partition)).copied().max().unwrap_or(0)
    }

    /// How many partitions of `outbox` are known to hold something, the highest counting.
    pub(super) fn partitions(&self) -> i32 {
        let highest = self.shards.values().filter_map(|published| published.ends.keys().max()).max();
        highest.map_or(0, |highest| highest + 1)
    }

    /// Whether there are decisions about a partition at or behind an offset.
    pub(super) fn decides(&self, partition: i32, from: i64) -> bool {
        self.decisions.range(from..).any(|(_, decision)| decision.rows.contains_key(&partition))
    }
}
