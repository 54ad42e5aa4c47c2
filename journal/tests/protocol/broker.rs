//! What Kafka guarantees, as far as the protocol leans on it: transactions whose markers arrive one by one, group membership that is checked
//! when offsets are sent, committed offsets that wait for a pending transaction and that can expire. It never looks into a worker.

/// How many workers there are.
pub(crate) const WORKERS: usize = 2;
/// The other worker.
pub(crate) fn other(worker: usize) -> usize {
    WORKERS - 1 - worker
}

/// How many rows there are at most.
pub(crate) const ROWS: usize = 3;
/// How many partitions there are at most.
pub(crate) const PARTITIONS: usize = 2;

/// What a record of `outcomes` says of a row. `Late`, what an old owner learned when the row was no longer its own, is evidence that no rule reads: it isn't
/// modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// It is claimed.
    Claim,
    /// The server took it.
    Delivered,
    /// Nobody can know; it waits for a person.
    Unknown,
    /// It is to be claimed again: deferred, released, or unknown under `Resend`.
    Again,
}

/// How the transaction of a record ended, if it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ending {
    /// No marker yet: a `read_committed` reader stops before it.
    Open,
    /// It counts.
    Committed,
    /// Readers skip it.
    Aborted,
}

/// A record of a partition of `outcomes`; its offset is its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Record {
    pub(crate) row: usize,
    pub(crate) attempt: u8,
    pub(crate) kind: Kind,
    pub(crate) by: usize,
    pub(crate) ending: Ending,
    /// A claim whose writer gave up before it heard whether it was committed: it remembers the record, and that the mail never went out.
    pub(crate) is_forsaken: bool,
}

/// The committed offset of a partition of `outbox`, with its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Committed {
    /// The first row that is not claimed yet, counted within the partition.
    pub(crate) next: usize,
    /// The lowest offset in `outcomes` of a row that is claimed, waiting or held.
    pub(crate) tail: usize,
}

/// `outbox-p` and `outcomes-p`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Partition {
    /// The member that the group gave it to.
    pub(crate) owner: Option<usize>,
    /// The group wants it back from its owner.
    pub(crate) asked_back: bool,
    /// `outcomes-p`.
    pub(crate) log: Vec<Record>,
    /// None once it has expired.
    pub(crate) committed: Option<Committed>,
}

impl Partition {
    /// Whether every record below `end` is committed or aborted.
    pub(crate) fn is_decided(&self, end: usize) -> bool {
        self.log[..end].iter().all(|record| record.ending != Ending::Open)
    }

    /// The latest committed record of a row in `from..end`.
    pub(crate) fn latest(&self, row: usize, from: usize, end: usize) -> Option<Record> {
        let counts = |record: &&Record| record.row == row && record.ending == Ending::Committed;
        self.log[from.min(end)..end].iter().rev().find(counts).copied()
    }
}

/// Where a worker's transaction stands at its coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// There is none.
    Idle,
    /// Begun.
    Open,
    /// Ended by its timeout, and its producer fenced, which the producer doesn't know yet.
    TimedOut,
    /// Decided: it will be committed everywhere, but the markers are still on their way.
    Committing,
}

/// A worker's transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Transaction {
    pub(crate) stage: Stage,
    /// Offsets that were sent and whose marker isn't written.
    pub(crate) offsets: [Option<Committed>; PARTITIONS],
}

/// The brokers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Broker {
    pub(crate) partitions: Vec<Partition>,
    /// Whether the worker is a member of the group. One that is alive is: when its session ended it joins again in the background.
    pub(crate) members: [bool; WORKERS],
    pub(crate) transactions: [Transaction; WORKERS],
}

impl Broker {
    /// A new campaign: initial offsets are written when the topics are made.
    pub(crate) fn new(partitions: usize) -> Self {
        let committed = Some(Committed { next: 0, tail: 0 });
        let partition = Partition { owner: None, asked_back: false, log: Vec::new(), committed };
        let transaction = Transaction { stage: Stage::Idle, offsets: [None; PARTITIONS] };
        Self {
            partitions: vec![partition; partitions],
            members: [true; WORKERS],
            transactions: [transaction.clone(), transaction],
        }
    }

    /// Whether offsets of the partition wait for the end of a transaction: a stable fetch waits, and they don't expire.
    pub(crate) fn is_pending(&self, partition: usize) -> bool {
        self.transactions.iter().any(|transaction| transaction.offsets[partition].is_some())
    }

    /// Whether a partition has records of the worker's transaction without a marker.
    pub(crate) fn has_open_records(&self, worker: usize, partition: usize) -> bool {
        self.partitions[partition].log.iter().any(|record| record.by == worker && record.ending == Ending::Open)
    }

    /// Writes the commit marker of the offsets.
    pub(crate) fn mark_offsets(&mut self, worker: usize) {
        let offsets = std::mem::take(&mut self.transactions[worker].offsets);
        for (partition, sent) in self.partitions.iter_mut().zip(offsets) {
            partition.committed = sent.or(partition.committed);
        }
        self.complete(worker);
    }

    /// Writes the commit marker of a partition of `outcomes`.
    pub(crate) fn mark_outcomes(&mut self, worker: usize, partition: usize) {
        self.end_records(worker, partition, Ending::Committed);
        self.complete(worker);
    }

    /// Aborts an open transaction. The markers of an abort are one step: whoever reads early only waits for them.
    pub(crate) fn abort(&mut self, worker: usize) {
        for partition in 0..self.partitions.len() {
            self.end_records(worker, partition, Ending::Aborted);
        }
        self.transactions[worker] = Transaction { stage: Stage::Idle, offsets: [None; PARTITIONS] };
    }

    /// A membership ended, by itself or with its session: the partitions may be given to others at once.
    pub(crate) fn expel(&mut self, worker: usize) {
        for partition in &mut self.partitions {
            if partition.owner == Some(worker) {
                partition.owner = None;
                partition.asked_back = false;
            }
        }
    }

    fn end_records(&mut self, worker: usize, partition: usize, ending: Ending) {
        for record in &mut self.partitions[partition].log {
            if record.by == worker && record.ending == Ending::Open {
                record.ending = ending;
            }
        }
    }

    /// The next transaction may begin when all markers are written.
    fn complete(&mut self, worker: usize) {
        let offsets_marked = self.transactions[worker].offsets.iter().all(Option::is_none);
        if offsets_marked && (0..self.partitions.len()).all(|partition| !self.has_open_records(worker, partition)) {
            self.transactions[worker].stage = Stage::Idle;
        }
    }
}
