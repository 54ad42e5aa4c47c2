//! What the journal's thread keeps in memory: the account, who owns what, and how far the new rows were handed out.
//!
//! It always equals the committed state: a transaction works on a [`Draft`], which becomes part of the ledger once the commit
//! has succeeded, and is dropped if it has not.

use crate::{Checkpoint, Error};
use campaign::Counts;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Above so many queued rows no new ones are taken, so that one slow domain can't turn the whole list into waiting rows.
pub(super) const MOST_WAITING: u64 = 500_000;

/// A shard of the list and its publisher.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shard {
    /// Of the newest publisher; older ones are fenced.
    pub(super) epoch: u64,
    pub(super) checkpoint: Checkpoint,
}

/// A row that was handed out, and is neither claimed nor deferred yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Attempts begun so far.
    pub(super) attempts: u32,
    pub(super) first: Option<i64>,
    /// Whether it has a row in `state`; new ones have none.
    pub(super) has_state: bool,
    pub(super) kind: i64,
}

/// A row that was begun by the live worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub(super) attempt: u32,
    pub(super) first: Option<i64>,
    pub(super) has_state: bool,
    pub(super) kind: i64,
}

/// The live worker.
#[derive(Debug, Default)]
pub(super) struct Owner {
    pub(super) epoch: u64,
    pub(super) taken: HashMap<u64, Taken>,
    pub(super) begun: HashMap<u64, Begun>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) counts: Counts,
    pub(super) shards: BTreeMap<u32, Shard>,
    pub(super) paused: bool,
    pub(super) suspended: bool,
    /// Rows in `state` with `queued = 1`.
    pub(super) waiting: u64,
    pub(super) owner: Option<Owner>,
    /// New rows are looked for from here on.
    pub(super) cursor: u64,
    /// Up to this row some at or above the cursor may be no longer new.
    pub(super) seen_until: u64,
    /// Durable: every message below it has a row in `claim` or `state`. A lower bound; behind the cursor by some thousand rows.
    pub(super) mark: u64,
    /// The highest `seq` that was given out.
    pub(super) seq: u64,
    /// Into how many shards the list is cut, once that is pinned.
    pub(super) pinned_shards: Option<u32>,
    epochs: u64,
}

/// Whether the whole list is published: every shard that it is cut into is done, and every one that was begun.
pub(super) fn is_published(pinned: Option<u32>, shards: impl Iterator<Item = (u32, Checkpoint)>) -> bool {
    let mut missing = pinned.unwrap_or(1).max(1);
    for (number, checkpoint) in shards {
        if !checkpoint.done {
            return false;
        }
        missing -= u32::from(number < pinned.unwrap_or(1).max(1));
    }
    missing == 0
}

/// What a transaction will have changed.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) counts: Counts,
    pub(super) waiting: u64,
    pub(super) mark: u64,
    pub(super) seq: u64,
    pub(super) paused: bool,
    pub(super) suspended: bool,
    pub(super) checkpoint: Option<(u32, Checkpoint)>,
    /// The lowest row that was published, if it is below the cursor.
    pub(super) rewind: Option<u64>,
    pub(super) settled: HashSet<u64>,
    pub(super) begun: HashMap<u64, Begun>,
    pub(super) paced: HashSet<u64>,
}

impl Ledger {
    /// A number that no earlier owner had.
    pub(super) fn next_epoch(&mut self) -> u64 {
        self.epochs += 1;
        self.epochs
    }

    /// The worker of this epoch.
    ///
    /// # Errors
    /// [`Error::Fenced`] if there is another.
    pub(super) fn owner(&self, epoch: u64) -> Result<&Owner, Error> {
        self.owner.as_ref().filter(|owner| owner.epoch == epoch).ok_or(Error::Fenced)
    }

    /// Whether the whole list is published.
    pub(super) fn is_published(&self) -> bool {
        let shards = self.shards.iter().map(|(number, shard)| (*number, shard.checkpoint));
        is_published(self.pinned_shards, shards)
    }

    /// Whether nothing is left to claim, now or later.
    pub(super) fn is_exhausted(&self) -> bool {
        let begun = self.owner.as_ref().map_or(0, |owner| owner.begun.len());
        self.is_published() && self.counts.unfinished() == begun as u64
    }

    /// The lowest row that may still be new, in a committed state where the given draft holds.
    pub(super) fn lowest_new(&self, draft: &Draft) -> u64 {
        let taken = self.owner.iter().flat_map(|owner| &owner.taken);
        let in_hand = taken
            .filter(|(row, taken)| !taken.has_state && !draft.begun.contains_key(row) && !draft.paced.contains(row));
        in_hand.map(|(row, _)| *row).chain(draft.rewind).fold(self.cursor, u64::min)
    }

    /// What a transaction starts from.
    pub(super) fn draft(&self) -> Draft {
        Draft {
            counts: self.counts,
            waiting: self.waiting,
            mark: self.mark,
            seq: self.seq,
            paused: self.paused,
            suspended: self.suspended,
            ..Draft::default()
        }
    }

    /// Takes over what was committed.
    pub(super) fn apply(&mut self, draft: Draft) {
        self.counts = draft.counts;
        self.waiting = draft.waiting;
        self.mark = draft.mark;
        self.seq = draft.seq;
        self.paused = draft.paused;
        self.suspended = draft.suspended;
        if let Some((shard, checkpoint)) = draft.checkpoint {
            self.shards.entry(shard).or_default().checkpoint = checkpoint;
        }
        if let Some(row) = draft.rewind {
            self.seen_until = self.seen_until.max(self.cursor);
            self.cursor = self.cursor.min(row);
        }
        let Some(owner) = &mut self.owner else { return };
        for row in &draft.settled {
            owner.begun.remove(row);
        }
        for row in draft.begun.keys().chain(&draft.paced) {
            owner.taken.remove(row);
        }
        owner.begun.extend(draft.begun);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_new_row_is_in_hand_or_just_published_or_at_the_cursor() {
        let new = Taken { attempts: 0, first: None, has_state: false, kind: 0 };
        let mut ledger = Ledger { cursor: 90, ..Ledger::default() };
        ledger.owner = Some(Owner { taken: [(70, new), (80, new)].into(), ..Owner::default() });
        assert_eq!(ledger.lowest_new(&Draft::default()), 70);
        assert_eq!(ledger.lowest_new(&Draft { paced: [70].into(), ..Draft::default() }), 80);
        assert_eq!(ledger.lowest_new(&Draft { paced: [70, 80].into(), ..Draft::default() }), 90);
        let chunk_in_the_same_commit = Draft { paced: [70, 80].into(), rewind: Some(50), ..Draft::default() };
        assert_eq!(ledger.lowest_new(&chunk_in_the_same_commit), 50);
    }
}
