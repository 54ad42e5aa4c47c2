//! Whether it is the time to send, by the campaign's schedule: when it isn't, the gate is held. What was begun is finished all the same.

use crate::{Gate, clock::Clock, gate::Hold, pacing::Moment};
use campaign::{Schedule, schedule::Waiting};

/// The hours of a run.
pub(crate) struct Hours {
    schedule: Schedule,
    gate: Gate,
    waiting: Option<Waiting>,
    change: Option<Moment>,
}

impl Hours {
    pub(crate) fn new(schedule: Schedule, gate: Gate) -> Self {
        Self { schedule, gate, waiting: None, change: None }
    }

    /// Looks at the clock, and says so when mails may not leave any more, or may again.
    ///
    /// The clock itself is looked at each time, not only a timer: it may be set, and the machine may sleep.
    pub(crate) fn heed(&mut self, clock: &Clock) {
        let now = clock.time();
        let waiting = self.schedule.waiting(now);
        let change = waiting.as_ref().map_or_else(|| self.schedule.open_until(now), |waiting| waiting.until);
        match (&waiting, &self.waiting) {
            (Some(waiting), None) => {
                tracing::info!("nothing is begun: {waiting}");
                self.gate.hold(Hold::Closed);
            }
            (None, Some(_)) => {
                let until = change.map_or_else(String::new, |at| format!(" until {}", self.schedule.local(at)));
                tracing::info!("mails may leave from {}{until}", self.schedule.local(now));
                self.gate.let_go(Hold::Closed);
            }
            _ => {}
        }
        self.change = change.map(|at| clock.moment(at));
        self.waiting = waiting;
    }

    /// What is waited for, if it is not the time to send.
    pub(crate) fn waiting(&self) -> Option<&Waiting> {
        self.waiting.as_ref()
    }

    /// When that changes.
    pub(crate) fn next_change(&self) -> Option<Moment> {
        self.change
    }
}
