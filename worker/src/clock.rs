//! The run's clock: moments for rates and waits, timestamps for the journal.

use crate::pacing::Moment;
use jiff::Timestamp;
use tokio::time::Instant;

/// Counts from the start of the run; never goes backwards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub(crate) fn now(self) -> Moment {
        Moment(0).plus(self.started.elapsed())
    }

    /// The instant to sleep until.
    pub(crate) fn instant(self, moment: Moment) -> Instant {
        self.started + moment.since(Moment(0))
    }

    /// A moment as people write it.
    pub(crate) fn timestamp(self, moment: Moment) -> Timestamp {
        let now = self.now();
        let (ahead, behind) = (moment.since(now), now.since(moment));
        let today = Timestamp::now();
        today.checked_add(ahead).and_then(|later| later.checked_sub(behind)).unwrap_or(today)
    }

    /// The moment of a time; the beginning of the run, if it is earlier.
    pub(crate) fn moment(self, at: Timestamp) -> Moment {
        let ahead = at.duration_since(Timestamp::now());
        let length = ahead.unsigned_abs();
        if ahead.is_negative() { self.now().minus(length) } else { self.now().plus(length) }
    }
}
