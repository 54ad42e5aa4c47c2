//! What a mail that is being sent may still do: as long as the run lets it, and as long as its lease is good.

use journal::Lease;
use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};
use tokio::sync::Notify;

/// What a mail that is being sent may still do. Cheap to clone; every clone is the same gate.
///
/// A run's gate closes step by step when the run stops, and never opens again; for a while it may be held, so that nothing is begun. The gate of one
/// mail ([`Gate::with`]) obeys the mail's lease besides. Whoever writes bytes asks it, and asks it again before the byte that counts.
#[derive(Debug, Clone)]
pub struct Gate {
    run: Arc<Run>,
    /// The mail's.
    lease: Lease,
}

#[derive(Debug)]
struct Run {
    /// Closed when the run stops.
    lease: Lease,
    holds: AtomicU8,
    /// Wakes who waits, to look whether the mail's lease has run out.
    look: Notify,
}

/// Why nothing is begun for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Hold {
    /// The sender as such was refused.
    Refused = 1,
    /// The campaign is paused.
    Paused = 2,
    /// The campaign is suspended.
    Suspended = 16,
    /// The journal can't be reached: what becomes of a mail could not be written down.
    Journal = 4,
    /// It is not the time for it: before the start, or outside of the window.
    Closed = 8,
}

impl Gate {
    /// A gate that is open.
    pub fn open() -> Self {
        let run = Run { lease: Lease::forever(), holds: AtomicU8::new(0), look: Notify::new() };
        Self { run: Arc::new(run), lease: Lease::forever() }
    }

    /// This gate for one mail, which obeys its lease besides.
    #[must_use]
    pub fn with(&self, lease: &Lease) -> Self {
        Self { run: Arc::clone(&self.run), lease: lease.clone() }
    }

    /// Whether the first byte of a mail may be written.
    pub fn may_begin(&self) -> bool {
        !self.is_held() && self.run.lease.may_begin() && self.lease.may_begin()
    }

    /// Whether the byte may be written that makes a mail deliverable: the final dot, the end of a request's body.
    pub fn may_finish(&self) -> bool {
        self.run.lease.may_finish() && self.lease.may_finish()
    }

    /// Resolves when [`Gate::may_finish`] turns false: what has not got that far is cut off, and was not delivered. That a lease ran out by the clock is
    /// seen when somebody looks ([`Gate::look_again`]).
    pub async fn finish_closed(&self) {
        loop {
            let look = self.run.look.notified();
            if !self.may_finish() {
                return;
            }
            tokio::select! {
                () = look => {}
                () = self.run.lease.finish_closed() => return,
                () = self.lease.finish_closed() => return,
            }
        }
    }

    /// Resolves when replies are no longer awaited: what waits for one is unknown. A lease that ran out by the clock lets a mail wait on: its end was
    /// written in time.
    pub async fn reply_closed(&self) {
        tokio::select! {
            () = self.run.lease.reply_closed() => {}
            () = self.lease.reply_closed() => {}
        }
    }

    /// Lets those who wait look whether their lease has run out.
    pub fn look_again(&self) {
        self.run.look.notify_waiters();
    }

    /// From now on no mail is begun.
    pub fn close_begin(&self) {
        self.run.lease.close_begin();
    }

    /// From now on no mail is finished either.
    pub fn close_finish(&self) {
        self.run.lease.close_finish();
    }

    /// From now on no reply is awaited either.
    pub fn close_reply(&self) {
        self.run.lease.close_reply();
    }

    /// Until it is let go, no mail is begun.
    pub(crate) fn hold(&self, why: Hold) {
        self.run.holds.fetch_or(why as u8, Ordering::AcqRel);
    }

    /// This reason is over.
    pub(crate) fn let_go(&self, why: Hold) {
        self.run.holds.fetch_and(!(why as u8), Ordering::AcqRel);
    }

    /// Whether it is held.
    pub(crate) fn is_held(&self) -> bool {
        self.run.holds.load(Ordering::Acquire) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::boottime;
    use std::time::Duration;

    #[test]
    fn a_mail_needs_both_the_run_and_its_own_lease() {
        let (run, lease) = (Gate::open(), Lease::forever());
        let (mail, other) = (run.with(&lease), run.with(&Lease::forever()));
        lease.close_begin();
        assert!(!mail.may_begin() && mail.may_finish() && other.may_begin());
        lease.close_finish();
        assert!(!mail.may_finish() && other.may_finish());
        run.close_finish();
        assert!(!other.may_begin() && !other.may_finish());
    }

    #[test]
    fn it_is_held_as_long_as_there_is_one_reason() {
        let gate = Gate::open();
        gate.hold(Hold::Paused);
        gate.hold(Hold::Journal);
        gate.let_go(Hold::Paused);
        assert!(!gate.may_begin() && gate.may_finish());
        gate.let_go(Hold::Journal);
        assert!(gate.may_begin());
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_the_run_by_the_lease_and_by_a_look_at_a_lease_that_has_run_out() {
        let (run, lease) = (Gate::open(), Lease::forever());
        for close in [(|_: &Gate, lease: &Lease| lease.close_reply()) as fn(&Gate, &Lease), |run: &Gate, _: &Lease| {
            run.close_reply();
        }] {
            let mail = run.with(&lease);
            let waiting = tokio::spawn(async move {
                mail.finish_closed().await;
                mail.reply_closed().await;
            });
            tokio::task::yield_now().await;
            close(&run, &lease);
            waiting.await.expect("woken");
        }
        let (run, lease) = (Gate::open(), Lease::until(boottime() + Duration::from_millis(30)));
        let mail = run.with(&lease);
        let waiting = tokio::spawn(async move { mail.finish_closed().await });
        while lease.may_finish() {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished(), "nobody has looked");
        run.look_again();
        waiting.await.expect("woken");
    }
}
