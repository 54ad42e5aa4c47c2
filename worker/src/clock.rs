//! The run's clock: moments for rates and waits, timestamps for the journal and the campaign's schedule.

use crate::pacing::Moment;
use jiff::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The time of day that a run goes by: this machine's, ahead by what it was set forward. Cheap to clone; every clone is the same clock.
#[derive(Debug, Clone, Default)]
pub struct WallClock {
    ahead_millis: Arc<AtomicU64>,
}

impl WallClock {
    /// The time.
    pub fn now(&self) -> Timestamp {
        let ahead = Duration::from_millis(self.ahead_millis.load(Ordering::Relaxed));
        let now = Timestamp::now();
        now.checked_add(ahead).unwrap_or(now)
    }

    /// Sets it forward; a run sees that at its next move.
    pub fn set_forward(&self, by: Duration) {
        self.ahead_millis.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Counts from the start of the run; never goes backwards.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    started: Instant,
    wall: WallClock,
}

impl Clock {
    pub(crate) fn start(wall: WallClock) -> Self {
        Self { started: Instant::now(), wall }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment(0).plus(self.started.elapsed())
    }

    /// The time of day.
    pub(crate) fn time(&self) -> Timestamp {
        self.wall.now()
    }

    /// The instant to sleep until.
    pub(crate) fn instant(&self, moment: Moment) -> Instant {
        self.started + moment.since(Moment(0))
    }

    /// A moment as people write it.
    pub(crate) fn timestamp(&self, moment: Moment) -> Timestamp {
        let now = self.now();
        let (ahead, behind) = (moment.since(now), now.since(moment));
        let today = self.time();
        today.checked_add(ahead).and_then(|later| later.checked_sub(behind)).unwrap_or(today)
    }

    /// The moment of a time; the beginning of the run, if it is earlier.
    pub(crate) fn moment(&self, at: Timestamp) -> Moment {
        let ahead = at.duration_since(self.time());
        let length = ahead.unsigned_abs();
        if ahead.is_negative() { self.now().minus(length) } else { self.now().plus(length) }
    }
}
