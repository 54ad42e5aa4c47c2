//! The durable log between producer and worker: for every row of the list, the message and what became of it.
//!
//! The traits here are the specification; `conformance` (a feature) is the same as tests, and every implementation passes it. What holds for all:
//! - A campaign's content is pinned once ([`Journal::pin`]); who has other bytes is refused.
//! - Publishing is exactly once: a chunk and the checkpoint behind it are one transaction, and a new publisher fences the one before.
//! - Claim, then send, then settle: only [`Worker::commit`] makes a [`Claimed`], and it does so after the claim is durable.
//! - A claim without a settlement, its owner gone, is *unknown*: shown as such from then on, found by the next owner and handled by
//!   [`OnUnknown`], never taken as new.
//! - A row counts as what its latest settlement says, and as pending while it has none. Neither a claim nor [`campaign::Outcome::Released`] nor a
//!   deferral for pacing is a settlement: a row that is tried a second time counts as deferred until the second result is there.
//! - A settled [`campaign::Outcome::Unknown`] stays until a person decides ([`Command`]): a worker that is to resend what it lost sight of
//!   settles it as deferred.
//! - The counts are those of a committed state, they always balance, and [`Journal::rows`] adds up to them. A call that failed changed nothing.
//! - A claim is good as long as its [`Lease`]. A journal that several workers share gives each of them some rows, and takes them away again: a row
//!   that was claimed and taken away is not sent any more, and what becomes known of it later is evidence only.
//!
//! The futures are to be awaited to their end: a call that is dropped in the middle may have happened, and its rows are then nobody's
//! until the next worker.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod embedded;
mod error;
pub mod kafka;
mod lease;
mod turn;
mod types;

pub use campaign::spec::OnUnknown;
pub use error::Error;
pub use lease::{Lease, boottime};
pub use types::{
    Checkpoint, Claimed, Command, Entry, Obstacle, Paused, Pin, Preflighted, Queued, RowState, Share, Sighting,
    TailFrom, Tally, Tick, WorkerOptions,
};

use campaign::{Counts, Settlement};
use jiff::Timestamp;
use std::future::Future;

/// A campaign's journal. Cheap to clone; every clone is the same journal.
pub trait Journal: Clone + Send + Sync + 'static {
    /// Writes messages.
    type Publisher: Publisher;
    /// Claims and settles them.
    type Worker: Worker;
    /// Follows what becomes of them.
    type Tail: Tail;

    /// Pins the content of the campaign, once: written if nothing is pinned, compared otherwise.
    ///
    /// # Errors
    /// [`Error::ContentChanged`] with what differs.
    fn pin(&self, pin: Pin) -> impl Future<Output = Result<(), Error>> + Send {
        self.pin_with(pin, None)
    }

    /// The same; what the preflight found is written with the pin, in one transaction, or not at all if something is pinned already.
    ///
    /// # Errors
    /// As [`Journal::pin`].
    fn pin_with(&self, pin: Pin, found: Option<Preflighted>) -> impl Future<Output = Result<(), Error>> + Send;

    /// What is pinned, if anything is.
    fn pinned(&self) -> impl Future<Output = Result<Option<Pin>, Error>> + Send;

    /// What the preflight found, if it was written with the pin.
    fn preflighted(&self) -> impl Future<Output = Result<Option<Preflighted>, Error>> + Send;

    /// Becomes the publisher of a shard; an earlier one is fenced from now on. Only after [`Journal::pin`].
    fn publisher(&self, shard: u32) -> impl Future<Output = Result<Self::Publisher, Error>> + Send;

    /// Becomes a worker. Rows that a dead owner had claimed are taken over as unknown: with `Resend` they are queued again (the attempt counts),
    /// with `Hold` they are settled as [`campaign::Outcome::Unknown`] and wait for a person. Only after [`Journal::pin`]. A journal whose worker
    /// owns the whole campaign refuses a second one while the first is there.
    fn worker(&self, options: WorkerOptions) -> impl Future<Output = Result<Self::Worker, Error>> + Send;

    /// The account as of the last commit. A failure is an error, never zero.
    fn counts(&self) -> impl Future<Output = Result<Counts, Error>> + Send;

    /// Whether the whole list is published.
    fn published(&self) -> impl Future<Output = Result<bool, Error>> + Send;

    /// The states of at most `limit` rows from `from_row` on, by ascending row: published ones and skipped ones.
    fn rows(&self, from_row: u64, limit: usize) -> impl Future<Output = Result<Vec<RowState>, Error>> + Send;

    /// A person's decision, with a worker going or not. A repeated or stale one does nothing; returns how many rows it changed.
    fn command(&self, command: Command) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Why sending is paused, if it is. Kept until [`Command::Resume`].
    fn paused(&self) -> impl Future<Output = Result<Option<Paused>, Error>> + Send;

    /// Since when sending is suspended, if it is. Kept until [`Command::Unsuspend`], and independent of a pause: nothing is taken while there is either.
    fn suspended(&self) -> impl Future<Output = Result<Option<Timestamp>, Error>> + Send;

    /// What keeps workers from sending, as one of them has told last and not taken back. It changes no row and stops no mail. Who told it may have died
    /// since: whoever shows it asks [`Obstacle::holds`].
    fn obstacle(&self) -> impl Future<Output = Result<Option<Obstacle>, Error>> + Send;

    /// Follows the settlements as they are committed. Reading along touches nothing.
    fn tail(&self, from: TailFrom) -> impl Future<Output = Result<Self::Tail, Error>> + Send;

    /// The longest message that can be published, in bytes of its JSON; none: any.
    fn max_message_bytes(&self) -> Option<usize> {
        None
    }
}

/// Follows the settlements of a campaign.
pub trait Tail: Send + 'static {
    /// The next ones, at least one; waits for them. Those of one row come in the order in which they happened; a journal that keeps only the latest
    /// of each row may leave out earlier ones. May be dropped while it waits.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Settlement>, Error>> + Send;
}

/// Publishes one shard of the list.
pub trait Publisher: Send + 'static {
    /// How far the shard has come, as of the last commit of this or an earlier publisher.
    fn checkpoint(&self) -> &Checkpoint;

    /// Commits entries and the checkpoint behind them as one transaction. The entries' rows ascend, none below the last checkpoint's `next_row` and
    /// all below the new one's; its tally is the last one plus the entries. `checkpoint.done` marks the shard as published.
    ///
    /// # Errors
    /// [`Error::Fenced`] once a newer publisher has the shard: nothing was written, stop. [`Error::OutOfTurn`] for a chunk that doesn't follow on.
    /// [`Error::DiskFull`]: nothing was written; the same call may be made again.
    fn publish(
        &mut self,
        entries: Vec<Entry>,
        checkpoint: Checkpoint,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// How many rows of ordinary length a chunk had best have.
    fn chunk(&self) -> usize {
        1024
    }
}

/// Owns part of the campaign (alone: all of it) and takes its messages through claim, send, settle.
pub trait Worker: Send + 'static {
    /// Rows that may be claimed at `now`, at most `max`: due deferred ones first, then new ones in the order of the list. A row is handed out once,
    /// until it is claimed or deferred by a commit and due again; rows handed out and never committed are handed out by the next worker.
    /// None while the campaign is paused or suspended.
    fn take(&mut self, max: usize, now: Timestamp) -> impl Future<Output = Result<Vec<Queued>, Error>> + Send;

    /// Commits one transaction: what was finished, what is deferred for pacing, and what is claimed. Only the returned rows may be sent.
    /// A settlement for a row that is not claimed at that attempt comes twice or too late: it is logged and ignored.
    ///
    /// # Errors
    /// [`Error::OutOfTurn`] if a row to claim or to defer was not handed out by [`Worker::take`]; [`Error::Fenced`] once another owns the rows;
    /// [`Error::DiskFull`]. After any of them nothing was written, and the same tick may be committed again.
    ///
    /// Rows that were taken away since they were handed out are passed over: fewer are returned than were to be claimed.
    fn commit(&mut self, tick: Tick) -> impl Future<Output = Result<Vec<Claimed>, Error>> + Send;

    /// The account as of the last [`Worker::take`] or [`Worker::commit`]; what other workers have done since may be missing.
    fn counts(&self) -> Counts;

    /// When the next waiting row is due that is not handed out, as of the last call; it may be past already.
    fn next_due(&self) -> Option<Timestamp>;

    /// Whether everything was published and nothing is left to claim, now or later, by this worker or another, as of the last call. Rows that this
    /// worker has claimed and not settled do not count as left.
    fn exhausted(&self) -> bool;

    /// Claims of former owners that are not yet known to be over: unknown once their lease has certainly run out.
    fn taking_over(&self) -> u64 {
        0
    }

    /// Whether the campaign is paused, as of the last call.
    fn paused(&self) -> bool {
        false
    }

    /// Whether the campaign is suspended, as of the last call.
    fn suspended(&self) -> bool {
        false
    }

    /// Which part of the campaign is this worker's, as of now.
    fn share(&self) -> Share {
        Share::WHOLE
    }
}
