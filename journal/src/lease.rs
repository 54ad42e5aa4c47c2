//! How long a claim is good for: an owner that was cut off stops by itself, before anybody takes its mails over.

use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

const BEGIN: u8 = 1;
const FINISH: u8 = 2;
const REPLY: u8 = 3;

/// The right to send what was claimed in one part of the campaign. Cheap to clone; every clone is the same lease.
///
/// It runs out by the clock unless its owner renews it, and it is closed step by step when the owner gives the part away. Neither can be undone.
#[derive(Debug, Clone)]
pub struct Lease {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Nanoseconds of [`boottime`] until which it is good.
    until: AtomicU64,
    steps: AtomicU8,
    /// While set, nothing is begun: the owner can't tell anybody what becomes of it.
    held_up: Option<Arc<AtomicBool>>,
    /// Wakes who waits for the next step.
    closed: Notify,
}

/// The clock of leases: since the machine started, counting on while it is suspended, and never set by anybody (CLOCK_BOOTTIME).
pub fn boottime() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

impl Lease {
    /// One that never runs out: where a dead owner can't be alive, nothing has to be waited for.
    pub fn forever() -> Self {
        Self::until(Duration::from_nanos(u64::MAX))
    }

    /// One that is good until a time of [`boottime`].
    pub fn until(time: Duration) -> Self {
        Self::new(time, None)
    }

    /// The same, under which nothing is begun while `held_up` is set.
    pub(crate) fn until_unless(time: Duration, held_up: Arc<AtomicBool>) -> Self {
        Self::new(time, Some(held_up))
    }

    fn new(time: Duration, held_up: Option<Arc<AtomicBool>>) -> Self {
        let until = AtomicU64::new(nanos(time));
        let state = State { until, steps: AtomicU8::new(0), held_up, closed: Notify::new() };
        Self { state: Arc::new(state) }
    }

    /// Renews it: it never gets shorter, and what has run out or was closed stays so.
    pub fn renew(&self, until: Duration) {
        let longer = nanos(until);
        // In one step with the look at the clock's time: who is frozen in between must not bring back what has run out.
        let renewed = self.state.until.try_update(Ordering::AcqRel, Ordering::Acquire, |current| {
            let has_run_out = current != u64::MAX && nanos(boottime()) >= current;
            (!has_run_out && longer > current).then_some(longer)
        });
        // What stays as it was has run out or is longer already.
        let _ = renewed;
    }

    /// Whether it is neither closed nor over.
    pub(crate) fn is_open(&self) -> bool {
        self.steps() == 0 && !self.has_run_out()
    }

    /// Whether the first byte of a mail may be written.
    pub fn may_begin(&self) -> bool {
        let held_up = self.state.held_up.as_ref().is_some_and(|held_up| held_up.load(Ordering::Acquire));
        self.steps() < BEGIN && !held_up && !self.has_run_out()
    }

    /// Whether the byte may be written that makes a mail deliverable: the final dot, the end of a request's body.
    pub fn may_finish(&self) -> bool {
        self.steps() < FINISH && !self.has_run_out()
    }

    /// Resolves when [`Lease::close_finish`] is called; running out by the clock is only seen by asking.
    pub async fn finish_closed(&self) {
        self.reaches(FINISH).await;
    }

    /// Resolves when [`Lease::close_reply`] is called.
    pub async fn reply_closed(&self) {
        self.reaches(REPLY).await;
    }

    /// From now on no mail is begun.
    pub fn close_begin(&self) {
        self.close(BEGIN);
    }

    /// From now on no mail is finished either.
    pub fn close_finish(&self) {
        self.close(FINISH);
    }

    /// From now on no reply is awaited either.
    pub fn close_reply(&self) {
        self.close(REPLY);
    }

    fn has_run_out(&self) -> bool {
        let until = self.state.until.load(Ordering::Acquire);
        // Those of one machine need no clock.
        until != u64::MAX && nanos(boottime()) >= until
    }

    fn steps(&self) -> u8 {
        self.state.steps.load(Ordering::Acquire)
    }

    fn close(&self, step: u8) {
        self.state.steps.fetch_max(step, Ordering::AcqRel);
        self.state.closed.notify_waiters();
    }

    async fn reaches(&self, step: u8) {
        loop {
            let closed = self.state.closed.notified();
            if self.steps() >= step {
                return;
            }
            closed.await;
        }
    }
}

/// Leases are equal: they say nothing about the mail.
impl PartialEq for Lease {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_has_run_out_can_not_be_renewed() {
        let lease = Lease::until(boottime());
        assert!(!lease.may_begin() && !lease.may_finish());
        lease.renew(boottime() + Duration::from_mins(1));
        assert!(!lease.may_finish());
        assert!(Lease::forever().may_finish());
    }

    #[test]
    fn renewing_never_makes_it_shorter() {
        let lease = Lease::until(boottime() + Duration::from_mins(1));
        lease.renew(boottime());
        assert!(lease.may_begin());
    }

    #[tokio::test]
    async fn it_closes_step_by_step_and_wakes_who_waits() {
        let lease = Lease::forever();
        lease.close_begin();
        assert!(!lease.may_begin() && lease.may_finish());
        let waiting = tokio::spawn({
            let lease = lease.clone();
            async move {
                lease.finish_closed().await;
                lease.reply_closed().await;
            }
        });
        lease.close_finish();
        assert!(!lease.may_finish());
        lease.close_reply();
        waiting.await.expect("woken");
    }
}
