//! Everything of a run but the journal: what was claimed, what is on its way, and whether anything may be begun. It goes on while the journal is asked.

use super::link::{Link, SILENCE};
use crate::{
    Backends, Options, Stop, backend::choose::Pool, clock::Clock, deliver::Desk, ending::Stopping, gate::Gate,
    hours::Hours, intake::Intake, lanes::Lanes, metrics::Tallies, outcome::Policy, pacing::Moment,
};
use journal::{Claimed, Share};
use letter::Letters;
use program::health::Heartbeat;
use std::{sync::Arc, time::Duration};

/// A run moves at least this often, whatever happens; much less often it is stuck.
const ALIVE: Duration = Duration::from_secs(15);
/// Longest time between two moves.
pub(super) const MOVE: Duration = Duration::from_secs(5);
/// How often leases are looked at, at most.
const LOOK: Duration = Duration::from_millis(50);
/// How often those who wait for a server are told to look at their lease.
const NUDGE: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Floor {
    pub(super) desk: Arc<Desk>,
    pub(super) lanes: Lanes,
    pub(super) intake: Intake,
    pub(super) hours: Hours,
    pub(super) stopping: Stopping,
    pub(super) link: Link,
    pub(super) tallies: Arc<Tallies>,
    heartbeat: Heartbeat,
    most: usize,
    looked: Moment,
    nudged: Moment,
}

impl Floor {
    pub(super) fn new(letters: Arc<Letters>, backends: Backends, options: &Options, stop: Stop, share: Share) -> Self {
        let clock = Clock::start(options.clock.clone());
        let pool = Pool::new(backends, &options.retry);
        let phases = options.metrics.phases();
        pool.observe(&phases);
        let tallies = Arc::new(Tallies::new(&options.metrics, &pool));
        let policy = Policy { retry: options.retry, on_unknown: options.on_unknown };
        let now = clock.now();
        let desk = Arc::new(Desk { letters, pool, policy, gate: Gate::open(), phases, clock });
        let most = usize::try_from(options.max_in_flight).unwrap_or(usize::MAX).max(1);
        let rate = options.rate.as_ref();
        let intake = match share {
            Share::WHOLE => Intake::new(rate, now),
            _ => Intake::without_share(rate, now),
        };
        Self {
            lanes: Lanes::open(&desk, most),
            intake,
            hours: Hours::new(options.schedule.clone(), desk.gate.clone()),
            stopping: Stopping::new(stop, options.grace),
            link: Link::new(desk.gate.clone(), options.health.ready(), Arc::clone(&tallies)),
            tallies,
            heartbeat: options.health.heartbeat("sending", ALIVE),
            most,
            looked: Moment(0),
            nudged: Moment(0),
            desk,
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.desk.clock.now()
    }

    /// Mails that may be on their way at the same time.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Mails that are claimed and not finished.
    pub(super) fn under_way(&self) -> usize {
        self.lanes.sending() + self.intake.held()
    }

    /// How many mails could be claimed now.
    pub(super) fn room(&self) -> usize {
        self.intake.wanted(self.lanes.sending(), self.most)
    }

    /// Sends what is claimed, as soon as its rate allows.
    pub(super) fn accept(&mut self, claimed: Vec<Claimed>) {
        let free = self.intake.accept(claimed, self.now());
        self.lanes.give(free);
    }

    /// Lets go whose time has come.
    pub(super) fn release(&mut self) {
        if !self.desk.gate.is_held() {
            let free = self.intake.release(self.now());
            self.lanes.give(free);
        }
    }

    /// When [`Floor::release`] has something to do.
    pub(super) fn next_release(&self, now: Moment) -> Option<Moment> {
        if self.desk.gate.is_held() { None } else { self.intake.next_release(now) }
    }

    /// Takes back everything that was claimed and not begun.
    pub(super) fn take_back(&mut self) -> Vec<Claimed> {
        let mut back = self.lanes.take_back();
        back.extend(self.intake.drain());
        back
    }

    /// Takes back what was claimed, not begun, and may not be begun any more.
    pub(super) fn take_lapsed(&mut self) -> Vec<Claimed> {
        let now = self.now();
        if self.under_way() == 0 || now.since(self.looked) < LOOK {
            return Vec::new();
        }
        self.looked = now;
        if now.since(self.nudged) >= NUDGE {
            self.nudged = now;
            self.desk.gate.look_again();
        }
        let mut lapsed = self.lanes.take_lapsed();
        lapsed.extend(self.intake.take_lapsed());
        lapsed
    }

    /// Moves: says so, and obeys the clock and a stop. Whether one is asked for.
    pub(super) fn heed(&mut self) -> bool {
        self.heartbeat.beat();
        self.hours.heed(&self.desk.clock);
        self.stopping.heed(&self.desk.gate, self.now())
    }

    /// Waits for the journal, letting mails go meanwhile as their time comes: the rate doesn't depend on the disk. A stop is obeyed meanwhile; none if
    /// there is no time left to wait.
    pub(super) async fn meanwhile<T>(&mut self, journal: impl Future<Output = T>) -> Option<T> {
        let mut journal = std::pin::pin!(journal);
        let clock = self.desk.clock.clone();
        let silence = clock.now().plus(SILENCE);
        loop {
            let now = clock.now();
            let next = if now < silence { silence } else { now.plus(MOVE) };
            let next = next.min(self.next_release(now).unwrap_or(next));
            let next = next.min(self.hours.next_change().unwrap_or(next));
            let next = next.min(self.stopping.next_step(SILENCE, now).unwrap_or(next));
            tokio::select! {
                biased;
                result = &mut journal => return Some(result),
                () = tokio::time::sleep_until(clock.instant(next)) => {}
                () = self.stopping.raised() => {}
            }
            self.heed();
            if self.stopping.is_over(clock.now()) {
                return None;
            }
            if clock.now() >= silence {
                self.link.is_silent();
            }
            self.release();
        }
    }
}
