//! When the next tick is due, and what happens until then.

use super::{Ending, Run, SETTLE_AGAIN, SHORT_TICK, TICK, most_in_flight};
use crate::{StopLevel, backend::choose::Availability, pacing::Moment};
use std::time::Duration;

impl<W: journal::Worker> Run<W> {
    /// Waits until there is something to do, letting mails go as their time comes.
    pub(super) async fn wait(&mut self) {
        loop {
            let now = self.now();
            let free = if self.ending.is_none() { self.intake.release(now) } else { Vec::new() };
            self.lanes.give(free);
            let clock = self.desk.clock;
            let next_tick = self.next_tick(now);
            let next_release = self.intake.next_release(now).unwrap_or(Moment(u64::MAX)).min(next_tick);
            let seen = self.stopped.map_or(StopLevel::Running, |stopped| stopped.level);
            tokio::select! {
                () = self.lanes.finished(self.enough()) => {
                    // A few are not worth one transaction after the other.
                    if self.enough() < self.quarter() {
                        tokio::time::sleep_until(clock.instant(self.last_tick.plus(SHORT_TICK))).await;
                    }
                    return;
                }
                () = tokio::time::sleep_until(clock.instant(next_release)) => {
                    if next_release >= next_tick {
                        return;
                    }
                }
                () = self.stop.raised_above(seen) => return,
            }
        }
    }

    /// When to look again though nothing happened.
    fn next_tick(&self, now: Moment) -> Moment {
        let mut next = Moment(u64::MAX);
        if self.lanes.sending() > 0 {
            next = next.min(self.last_tick.plus(TICK));
        }
        if let Some(stopped) = self.stopped {
            next = next.min(stopped.next_step(&self.options.grace, TICK, now));
        }
        if matches!(self.ending, Some(Ending::Failed { .. })) {
            next = next.min(self.last_tick.plus(SETTLE_AGAIN));
        }
        if self.ending.is_none() {
            match self.desk.pool.availability(now) {
                Availability::Closed(until) => next = next.min(until.unwrap_or(self.last_tick.plus(TICK))),
                _ => next = next.min(self.next_take(now)),
            }
        }
        next.max(self.last_tick.plus(Duration::from_millis(1)))
    }

    /// When the journal may have rows to claim.
    fn next_take(&self, now: Moment) -> Moment {
        if self.intake.wanted(self.lanes.sending(), most_in_flight(&self.options)) == 0 || self.worker.exhausted() {
            return self.last_tick.plus(TICK);
        }
        let due = self.worker.next_due().map(|due| self.desk.clock.moment(due));
        // The rate lets some go each moment; not each is worth a transaction.
        let soonest = if self.intake.held() > 0 { self.last_tick.plus(TICK) } else { now };
        self.poll.next.min(due.unwrap_or(self.poll.next)).max(soonest)
    }

    /// How many finished mails are enough for a tick: a quarter of what may be on its way; all that is, if nothing else is to go.
    fn enough(&self) -> usize {
        match (self.lanes.sending(), self.intake.held()) {
            (0, _) => usize::MAX,
            (sending, 0) => sending.min(self.quarter()),
            _ => self.quarter(),
        }
    }

    fn quarter(&self) -> usize {
        (most_in_flight(&self.options) / 4).max(1)
    }
}
