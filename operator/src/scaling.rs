//! How many workers could help: the metric that an autoscaler follows, and the number that the operator sets by itself from it. Pure: what is asked is in [`Demand`].
//!
//! The metric `mailcampaign_sendable_backlog` counts mails that another worker could send now. It is 0 while nothing may leave, retries count when they are due, and
//! it never asks for more workers than the rate allows. Its unit is the mail of a worker of ordinary speed ([`CAPACITY`]), so that [`TARGET`] stays the same
//! whatever speed is learnt: the autoscaler's object never needs to change for it.

mod learning;

pub use learning::{Capacity, Rates, Work};

use std::time::Duration;

/// The name of the metric.
pub const METRIC: &str = "mailcampaign_sendable_backlog";
/// Mails a second of a worker, as long as nothing was learnt.
pub const CAPACITY: f64 = 50.0;
/// What one worker is good for: its work of 30 s. The autoscaler's `averageValue`.
pub const TARGET: u64 = 1_500;
/// Who has nothing to do for longer than this is not kept.
const SHORT: Duration = Duration::from_mins(5);
/// How long before there is something to do workers are made: they need that long to be ready.
const AHEAD: Duration = Duration::from_secs(30);

/// What is to be sent, and what may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// Mails that are due now and that no worker has claimed.
    pub due: u64,
    /// Mails that a worker has claimed.
    pub in_flight: u64,
    /// When the next mail that waits is due.
    pub next_due_in: Option<Duration>,
    /// Mails may leave: published, started, inside the window, not suspended, not paused.
    pub is_open: bool,
    /// When they may leave again by the clock; none: when a person does something, or never.
    pub opens_in: Option<Duration>,
    /// The campaign's rate.
    pub rate_per_second: Option<f64>,
    /// Mails a second of one worker: [`Capacity`].
    pub capacity_per_worker: f64,
    /// Workers at least, while something is due.
    pub min: u32,
    /// Workers at most.
    pub max: u32,
    /// The outbox's partitions: more workers than these have no work.
    pub partitions: u32,
}

impl Demand {
    /// Workers that the rate keeps busy; one at least.
    fn workers_for_rate(&self) -> u64 {
        let enough = |rate: f64| whole((rate / self.capacity()).ceil()).max(1);
        self.rate_per_second.filter(|rate| rate.is_finite()).map_or(u64::MAX, enough)
    }

    fn capacity(&self) -> f64 {
        if self.capacity_per_worker.is_finite() && self.capacity_per_worker > 0.0 {
            self.capacity_per_worker
        } else {
            CAPACITY
        }
    }

    fn upper(&self) -> u32 {
        self.max.min(self.partitions)
    }

    fn lower(&self) -> u32 {
        self.min.max(1).min(self.upper())
    }

    /// When there is something to send; none: as far as is known, never.
    fn work_in(&self) -> Option<Duration> {
        let due_in = if self.due > 0 { Some(Duration::ZERO) } else { self.next_due_in };
        let open_in = if self.is_open { Some(Duration::ZERO) } else { self.opens_in };
        Some(due_in?.max(open_in?))
    }
}

/// The metric: mails that another worker could send now, in mails of an ordinary worker.
pub fn sendable_backlog(demand: &Demand) -> u64 {
    if !demand.is_open {
        return 0;
    }
    // A slow worker's mail is more work.
    let work = whole((demand.due as f64 * CAPACITY / demand.capacity()).ceil());
    work.min(demand.workers_for_rate().saturating_mul(TARGET))
}

/// How many workers there should be, when there are `current`.
///
/// More at once when the backlog asks for them. Fewer only when half of them would do: a group of workers pauses for each change, and a backlog that
/// goes up and down around a border must not move anybody. With nothing to do for the next five minutes: none. Between that and 30 s before there is
/// something to do, those that are there stay, as few as may be, and none are made.
pub fn replicas(demand: &Demand, current: u32) -> u32 {
    let (lower, upper) = (demand.lower(), demand.upper());
    match demand.work_in() {
        Some(Duration::ZERO) => {
            let wanted =
                u32::try_from(sendable_backlog(demand).div_ceil(TARGET)).unwrap_or(u32::MAX).clamp(lower, upper);
            let allowed = u32::try_from(demand.workers_for_rate()).unwrap_or(u32::MAX).clamp(lower, upper);
            if wanted > current || wanted <= current / 2 { wanted } else { current.min(allowed) }
        }
        Some(soon) if soon <= AHEAD => lower,
        // What is claimed is brought to its end by who claimed it, or taken over by who stays.
        _ if demand.in_flight > 0 => current.min(lower),
        Some(soon) if soon <= SHORT => current.min(lower),
        Some(_) | None => 0,
    }
}

fn whole(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is meant")]
    {
        number as u64
    }
}

#[cfg(test)]
mod tests;
