//! The state that the checker explores, its bounds, and the actions. What is possible when is in `possible`, what it does in `effects`.

use crate::broker::{Broker, Kind, Partition, ROWS, Stage, WORKERS};
use crate::worker::Worker;
use crate::{canonical, effects, possible, properties};
use stateright::{Model, Property};

/// What becomes of unknown rows (`delivery.onUnknown`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnUnknown {
    Hold,
    Resend,
}

/// The protocol as it is, or with one of its rules left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// All rules.
    Sound,
    /// A mail goes out when its claim is produced, not when it is committed.
    SendBeforeClaim,
    /// The final dot is written whatever the time.
    NoLease,
    /// The lease counts from when the worker learns of the commit, not from the tick's start.
    LeaseFromAnswer,
    /// A found claim is called unknown at once.
    NoWait,
    /// The group metadata is fetched when offsets are sent, not noted with the batch.
    MetadataAtCommit,
    /// The committed offset is fetched without waiting for pending transactions.
    UnstableFetch,
    /// Outcomes are read as far as they are visible, not to the high watermark.
    ReadWhatIsVisible,
    /// The offset moves when rows are settled, not when they are claimed.
    OffsetAtSettle,
    /// A partition without a committed offset is taken as new.
    FreshAfterExpiry,
    /// The tail looks at claims only, not at rows that wait.
    TailForgetsWaiting,
    /// Claims of lost partitions stay in memory and are sent under the lease of a later tenure.
    ClaimsOutliveTenure,
    /// A worker that was fenced remembers what it claimed and never sent by row and attempt, not by the records.
    ClaimsByAttempt,
}

/// What can go wrong, and is bounded because a state space must be finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A worker dies and forgets everything.
    Crash,
    /// A worker is silent for longer than the group's session or its transaction lasts.
    Freeze,
    /// The group moves a partition from one live member to another.
    Rebalance,
    /// A lease runs out although nobody took the partition over.
    Slowness,
    /// The connection breaks between the final dot and its reply.
    LostReply,
    /// The server wants the mail later.
    Deferral,
    /// The broker forgets a committed offset.
    Expiry,
    /// A commit isn't answered for so long that the worker gives up asking.
    NoAnswer,
}

/// How often each fault may happen, and all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) each: [u8; 8],
    pub(crate) together: u8,
}

impl Budget {
    pub(crate) fn allows(self, fault: Fault) -> bool {
        self.together > 0 && self.each[fault as usize] > 0
    }

    fn pay(&mut self, fault: Fault) {
        self.together -= 1;
        self.each[fault as usize] -= 1;
        if self.together == 0 {
            self.each = [0; 8];
        }
    }
}

/// What somebody who sees everything notes about a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    /// Final dots written, by anybody.
    pub(crate) dots: u8,
    /// The attempt of the last one.
    pub(crate) last: u8,
    /// The last attempt that somebody called unknown.
    pub(crate) unknown: u8,
}

/// A rule that is broken in one moment, when a final dot is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Claimed,
    Leased,
    UnknownIsFinal,
    Once,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) broker: Broker,
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) budget: Budget,
    pub(crate) seen: [Seen; ROWS],
    /// The rules ([`Rule`]) that were broken.
    pub(crate) broken: [bool; 4],
}

/// One step of somebody. `w` is a worker, `p` a partition, `r` a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    // A worker's tick.
    Form { w: usize },
    Produce { w: usize },
    SendOffsets { w: usize },
    Commit { w: usize },
    HearOfCommit { w: usize },
    // A worker's mails.
    WriteDot { w: usize, r: usize },
    HearReply { w: usize, r: usize },
    LoseReply { w: usize, r: usize },
    Defer { w: usize, r: usize },
    Release { w: usize, r: usize },
    // A worker's partitions.
    TakeOver { w: usize, p: usize },
    Read { w: usize, p: usize },
    WaitIsOver { w: usize, p: usize },
    GiveBack { w: usize, p: usize },
    LoseEverything { w: usize },
    GiveUp { w: usize },
    Restart { w: usize },
    // The brokers.
    AskBack { p: usize },
    EndSession { w: usize },
    TimeOut { w: usize },
    MarkOffsets { w: usize },
    MarkOutcomes { w: usize, p: usize },
    ExpireOffset { p: usize },
    // Time, and death.
    LeaseEnds { w: usize, p: usize },
    Crash { w: usize },
}

/// A protocol in a world with bounds.
#[derive(Debug, Clone)]
pub(crate) struct Tick {
    pub(crate) protocol: Protocol,
    pub(crate) on_unknown: OnUnknown,
    /// The partition of each row.
    pub(crate) rows: &'static [usize],
    /// How many rows a tick claims at most.
    pub(crate) batch: usize,
    pub(crate) budget: Budget,
}

impl Tick {
    pub(crate) fn partitions(&self) -> usize {
        self.rows.iter().max().map_or(0, |last| last + 1)
    }

    /// The rows of a partition, in the order of its outbox.
    pub(crate) fn rows_of(&self, partition: usize) -> impl Iterator<Item = usize> {
        (0..self.rows.len()).filter(move |row| self.rows[*row] == partition)
    }

    /// A row's partition, and its offset in that outbox.
    pub(crate) fn place(&self, row: usize) -> (usize, usize) {
        let partition = self.rows[row];
        (partition, self.rows_of(partition).take_while(|other| *other < row).count())
    }

    /// Whether nothing is left to happen but faults.
    pub(crate) fn is_quiet(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        possible::actions(self, state, &mut actions);
        actions.into_iter().all(|action| possible::fault(state, action).is_some())
    }
}

impl Model for Tick {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            broker: Broker::new(self.partitions()),
            workers: [Worker::new(), Worker::new()],
            budget: self.budget,
            seen: [Seen::default(); ROWS],
            broken: [false; 4],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        possible::actions(self, state, actions);
        actions.retain(|action| possible::fault(state, *action).is_none_or(|fault| state.budget.allows(fault)));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        effects::apply(self, &mut state, action);
        if let Some(fault) = possible::fault(last, action) {
            state.budget.pay(fault);
        }
        canonical::forget(self, &mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

/// What the account says of a row: its latest committed record.
pub(crate) fn account(partition: &Partition, row: usize) -> Option<Kind> {
    partition.latest(row, 0, partition.log.len()).map(|record| record.kind)
}

/// Whether a transaction is being committed although its worker's partitions were given away meanwhile.
pub(crate) fn ends_late(state: &State, worker: usize) -> bool {
    let is_committing = state.broker.transactions[worker].stage == Stage::Committing;
    is_committing && state.workers[worker].is_alive && state.workers[worker].is_expelled
}
