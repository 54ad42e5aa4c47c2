//! What one worker holds in memory. It is lost in a crash. A freeze is nothing of its own here: it is a worker that takes no step while the others,
//! the broker and time go on.

use crate::broker::{Kind, PARTITIONS, ROWS};

/// What the worker knows of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Hold {
    /// It isn't its own.
    NotMine,
    /// It was given to it, the committed offset is fetched, `outcomes` is being read from the tail to `end`, the high watermark seen after the fetch.
    Reading {
        /// None: there was no committed offset, so the position is rebuilt from the claims.
        next: Option<usize>,
        tail: usize,
        end: usize,
    },
    /// It works on it; `next` is the first row that it has not claimed.
    Mine { next: usize },
}

/// Where a sending lease stands. Time passes by events: a lease may end at any moment, and it has ended when a wait is over that began after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Lease {
    /// Ended, or there is none.
    Over,
    /// Begun before the present owner's stable fetch: ends before that owner's wait does, because the lease is shorter than the wait.
    Old,
    /// Begun since.
    Live,
}

/// What the worker knows of a row; numbers are attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Row {
    /// Nothing to do, or nothing known: new, done, or another's.
    Away,
    /// May be claimed again, at this attempt.
    Waiting(u8),
    /// Its claim is in the tick that is under way.
    Claiming(u8),
    /// Its claim is committed: it may be sent.
    Claimed(u8),
    /// The final dot is written; no reply yet.
    Dotted(u8),
    /// The result is known and in no tick yet.
    Finished(u8, Kind),
    /// The result is in the tick that is under way.
    Settling(u8, Kind),
    /// Another's claim without a result, found when the partition was taken over.
    Found(u8),
    /// Unknown, waiting for a person.
    Held,
}

/// How far a tick has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// The batch is chosen; group metadata and start time are noted with it.
    Formed,
    /// Its records are written and acknowledged.
    Produced,
    /// The broker took its offsets.
    OffsetsSent,
    /// The broker has decided to commit; the answer may get lost, and then the commit is repeated.
    CommitAsked,
}

/// A tick: one Kafka transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick {
    pub(crate) step: Step,
    /// Whether the group metadata that was noted is still the member's.
    pub(crate) is_current: bool,
    /// What each partition's lease becomes if it commits: it began when the tick began.
    pub(crate) leases: [Lease; PARTITIONS],
    /// The position behind the tick's claims; none for partitions that it doesn't cover.
    pub(crate) next: [Option<usize>; PARTITIONS],
}

/// A worker's memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Worker {
    /// The process is there.
    pub(crate) is_alive: bool,
    /// The group gave its partitions away, and its tick task doesn't know yet.
    pub(crate) is_expelled: bool,
    pub(crate) holds: [Hold; PARTITIONS],
    pub(crate) leases: [Lease; PARTITIONS],
    pub(crate) rows: [Row; ROWS],
    pub(crate) tick: Option<Tick>,
    /// By row, the attempt that was claimed and never sent; 0: none. Only for [`crate::model::Protocol::ClaimsByAttempt`].
    pub(crate) never_sent: [u8; ROWS],
}

impl Worker {
    /// A new process.
    pub(crate) fn new() -> Self {
        Self {
            is_alive: true,
            is_expelled: false,
            holds: [Hold::NotMine; PARTITIONS],
            leases: [Lease::Over; PARTITIONS],
            rows: [Row::Away; ROWS],
            tick: None,
            never_sent: [0; ROWS],
        }
    }

    /// How far the tick has come, if there is one.
    pub(crate) fn step(&self) -> Option<Step> {
        self.tick.as_ref().map(|tick| tick.step)
    }

    /// The leases that began before another's stable fetch of the partition: those that are committed, and the one of the tick under way.
    pub(crate) fn grow_old(&mut self, partition: usize) {
        for lease in self.leases_of(partition) {
            if *lease == Lease::Live {
                *lease = Lease::Old;
            }
        }
    }

    /// Another's wait is over, and so is every lease that began before it.
    pub(crate) fn outlast_old(&mut self, partition: usize) {
        for lease in self.leases_of(partition) {
            if *lease == Lease::Old {
                *lease = Lease::Over;
            }
        }
    }

    fn leases_of(&mut self, partition: usize) -> impl Iterator<Item = &mut Lease> {
        let of_tick = self.tick.as_mut().map(|tick| &mut tick.leases[partition]);
        std::iter::once(&mut self.leases[partition]).chain(of_tick)
    }

    /// The tick came to nothing and the partitions are still its own: what was finished stays finished, what was to be claimed is not.
    pub(crate) fn roll_back(&mut self, place: impl Fn(usize) -> (usize, usize)) {
        self.tick = None;
        for row in 0..ROWS {
            self.rows[row] = match self.rows[row] {
                Row::Claiming(attempt) => {
                    let (partition, index) = place(row);
                    let is_new = matches!(self.holds[partition], Hold::Mine { next } if index >= next);
                    if is_new { Row::Away } else { Row::Waiting(attempt) }
                }
                Row::Settling(attempt, result) => Row::Finished(attempt, result),
                other => other,
            };
        }
    }

    /// The tick is committed, and the worker knows.
    pub(crate) fn learn_commit(&mut self, is_lease_from_now: bool) {
        let Some(tick) = self.tick.take() else { return };
        for (partition, next) in tick.next.into_iter().enumerate() {
            let Some(next) = next else { continue };
            self.holds[partition] = Hold::Mine { next };
            self.leases[partition] = if is_lease_from_now { Lease::Live } else { tick.leases[partition] };
        }
        for row in &mut self.rows {
            *row = match *row {
                Row::Claiming(attempt) => Row::Claimed(attempt),
                Row::Settling(attempt, Kind::Again) => Row::Waiting(attempt + 1),
                Row::Settling(_, Kind::Unknown) => Row::Held,
                Row::Settling(..) => Row::Away,
                other => other,
            };
        }
    }
}
