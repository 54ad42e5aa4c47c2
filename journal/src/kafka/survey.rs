//! What an onlooker shows of a campaign every few seconds.

use super::control::Control;
use super::fold::Sum;
use crate::{Obstacle, Paused, Pin, Preflighted, Tally};
use campaign::Counts;
use jiff::Timestamp;

/// Where a campaign stands, all of it as of one moment. What could be claimed at once, besides what is due in the queue, is
/// `counts.pending + counts.deferred - in_flight - waiting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// What is pinned, if anything is.
    pub pin: Option<Pin>,
    /// What the preflight found, if it was written with the pin.
    pub preflight: Option<Preflighted>,
    /// What the rows of the list became so far.
    pub tally: Tally,
    /// Whether the whole list is published.
    pub published: bool,
    /// Why sending is paused, if it is.
    pub paused: Option<Paused>,
    /// Since when sending is suspended, if it is.
    pub suspended: Option<Timestamp>,
    /// What keeps workers from sending, as one of them has told last and not taken back; whether that is still so says [`Obstacle::holds`].
    pub obstacle: Option<Obstacle>,
    /// The account.
    pub counts: Counts,
    /// Messages that are claimed by a worker that may still send them, and not settled.
    pub in_flight: u64,
    /// Messages whose worker was gone before it settled them, and that no other has taken over yet. They count as unknown until then.
    pub left_behind: u64,
    /// Messages in the queue: deferred, paced, or queued again.
    pub waiting: u64,
    /// When the first of those is due; long past if it may be claimed now, or if the workers are of a version that doesn't say.
    pub next_due: Option<Timestamp>,
    /// Partitions of `outbox`.
    pub partitions: u32,
}

impl Survey {
    /// What `control` and the account say.
    pub(super) fn of(control: &Control, sum: &Sum, partitions: i32) -> Self {
        let time = |millis| Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
        Self {
            pin: control.pin.clone(),
            preflight: control.preflight,
            tally: control.tally(),
            published: control.published(),
            paused: control.paused.clone(),
            suspended: control.suspended,
            obstacle: control.obstacle.clone(),
            counts: sum.counts,
            in_flight: sum.in_flight,
            left_behind: sum.left_behind,
            waiting: sum.waiting,
            next_due: sum.next_due.map(time),
            partitions: u32::try_from(partitions).unwrap_or(0),
        }
    }
}
