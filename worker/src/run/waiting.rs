//! When the next tick is due, and what happens until then.

use super::{Ending, Run, floor::MOVE};
use crate::{Until, backend::choose::Availability, pacing::Moment};
use std::{ops::Range, time::Duration};

/// Longest time between two looks at what was finished.
const TICK: Duration = Duration::from_millis(100);
/// Shortest time between two ticks that only settle a few.
const SHORT_TICK: Duration = Duration::from_millis(20);
/// How often the journal is asked for new rows when it had none: soon at first, less and less often.
const POLL: Range<Duration> = Duration::from_millis(5)..Duration::from_millis(200);
/// The same for a worker that stays: at rest it wakes up twice a second, which is little, and new rows wait half a second at most.
const POLL_AT_REST: Duration = Duration::from_millis(500);
/// When the journal can't be written: time between two tries to settle.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

/// When to ask the journal for rows again.
pub(super) struct Poll {
    next: Moment,
    pause: Duration,
    longest: Duration,
    /// When it was asked last.
    asked: Moment,
}

impl Poll {
    pub(super) fn new(until: Until) -> Self {
        let longest = if until == Until::Stopped { POLL_AT_REST } else { POLL.end };
        Self { next: Moment(0), pause: POLL.start, longest, asked: Moment(0) }
    }

    /// It is asked now.
    pub(super) fn asked(&mut self, now: Moment) {
        self.asked = now;
    }

    /// It had less than it was asked for: something, or nothing at all.
    pub(super) fn found_less(&mut self, some: bool, now: Moment) {
        self.pause = if some { POLL.start } else { (self.pause * 2).min(self.longest) };
        self.next = now.plus(self.pause);
    }

    /// It has more.
    pub(super) fn found_all(&mut self, now: Moment) {
        (self.next, self.pause) = (now, POLL.start);
    }

    /// Whether it may have rows: it is time to ask, or one has become due since it was asked.
    pub(super) fn is_due(&self, due: Option<Moment>, now: Moment) -> bool {
        self.at(due) <= now
    }

    /// Whether it was not asked for as long as it may be left alone.
    pub(super) fn is_asked_too_long_ago(&self, now: Moment) -> bool {
        now >= self.latest()
    }

    fn latest(&self) -> Moment {
        self.asked.plus(self.longest)
    }

    fn at(&self, due: Option<Moment>) -> Moment {
        due.filter(|due| *due > self.asked).map_or(self.next, |due| due.min(self.next))
    }
}

impl<W: journal::Worker> Run<W> {
    /// Waits until there is something to do, letting mails go as their time comes.
    pub(super) async fn wait(&mut self) {
        loop {
            let now = self.now();
            if self.ending.is_none() {
                self.floor.release();
            }
            let clock = self.floor.desk.clock.clone();
            let next_tick = self.next_tick(now);
            let next_release = self.floor.next_release(now).filter(|_| self.ending.is_none());
            let next_release = next_release.unwrap_or(next_tick).min(next_tick);
            tokio::select! {
                () = self.floor.lanes.finished(self.enough()) => {
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
                () = self.floor.stopping.raised() => return,
            }
        }
    }

    /// When to look again though nothing happened.
    fn next_tick(&self, now: Moment) -> Moment {
        let mut next = self.last_tick.plus(MOVE);
        if self.floor.under_way() > 0 {
            next = next.min(self.last_tick.plus(TICK));
        }
        if let Some(change) = self.floor.hours.next_change() {
            next = next.min(change);
        }
        if let Some(step) = self.floor.stopping.next_step(TICK, now) {
            next = next.min(step);
        }
        if matches!(self.ending, Some(Ending::Failed { .. })) {
            next = next.min(self.last_tick.plus(SETTLE_AGAIN));
        }
        if let Some(again) = self.floor.link.again() {
            next = next.min(again);
        } else if self.ending.is_none() {
            next = next.min(self.next_take(now));
        }
        next.max(self.last_tick.plus(Duration::from_millis(1)))
    }

    /// When the journal may have rows to claim, or is to be asked though it has none.
    fn next_take(&self, now: Moment) -> Moment {
        let latest = self.poll.latest();
        if self.floor.hours.waiting().is_some() {
            return latest;
        }
        if let Availability::Closed(until) = self.floor.desk.pool.availability(now) {
            return until.unwrap_or(self.last_tick.plus(TICK)).min(latest);
        }
        let idle = self.floor.under_way() == 0 && self.stays();
        if self.floor.room() == 0 || (!self.stays() && self.worker.exhausted()) {
            return if idle { latest } else { self.last_tick.plus(TICK) };
        }
        // The rate lets some go each moment; not each is worth a transaction.
        let soonest = if self.floor.intake.held() > 0 { self.last_tick.plus(TICK) } else { now };
        self.poll.at(self.next_due()).max(soonest).min(latest.max(soonest))
    }

    /// How many finished mails are enough for a tick: a quarter of what may be on its way; all that is, if nothing else is to go.
    fn enough(&self) -> usize {
        match (self.floor.lanes.sending(), self.floor.intake.held()) {
            (0, _) => usize::MAX,
            (sending, 0) => sending.min(self.quarter()),
            _ => self.quarter(),
        }
    }

    fn quarter(&self) -> usize {
        (self.floor.most() / 4).max(1)
    }
}
