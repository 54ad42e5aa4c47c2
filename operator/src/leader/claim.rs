//! Who may lead, as a state and its transitions. Pure: what was heard of the Lease and what our own clock shows go in, the next step comes out.
//!
//! Three rules keep two from leading at once, whatever their times of day say and whichever replies get lost:
//! - We lead only after *our own* write was confirmed, and for [`HELD`] from the time **before** it was sent.
//! - Somebody else's Lease has run out when *we* saw it unchanged for its whole duration, which is longer than `HELD`.
//! - Every write names the resourceVersion that was read: whoever wrote in between wins.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use std::time::Duration;

/// `leaseDurationSeconds`: how long a Lease must be seen unchanged before somebody else may take it.
pub const DURATION: Duration = Duration::from_secs(10);
/// How long after a confirmed renewal was begun its holder leads.
pub const HELD: Duration = Duration::from_secs(7);
/// What must be left of that to begin a write.
pub const SPARE: Duration = Duration::from_secs(2);
/// How often the holder renews and the others look.
pub(super) const EVERY: Duration = Duration::from_secs(2);
/// How long after a call that failed the holder looks again.
pub(super) const AGAIN: Duration = Duration::from_millis(500);
/// How long a reply is awaited: a second try fits in what is left of [`HELD`].
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// What became of a call.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    /// The Lease as it stands there.
    Found(Lease),
    /// There is none.
    Missing,
    /// Our write was confirmed; this is the Lease now.
    Written {
        /// What our clock showed before the write was sent.
        asked: Duration,
        /// As it stands there.
        lease: Lease,
    },
    /// Somebody else was faster.
    Conflict,
    /// It failed, or nothing was heard: what was asked for may have been done all the same.
    Failed,
}

/// The next call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Read the Lease.
    Look,
    /// Make it, held by us.
    Create,
    /// Write it as ours over this one.
    Replace(Box<Lease>),
}

/// What one candidate knows.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    identity: String,
    /// The Lease as it was seen last.
    seen: Option<Lease>,
    /// Since when it was seen as it is.
    since: Duration,
    /// Since when it is gone, if it once was there.
    gone: Option<Duration>,
    /// Until when we lead; zero: we don't.
    until: Duration,
}

impl Claim {
    /// Of a candidate that knows nothing yet. The identity must never have been used before.
    pub(super) fn new(identity: String) -> Self {
        Self { identity, seen: None, since: Duration::ZERO, gone: None, until: Duration::ZERO }
    }

    /// Until when we lead; zero: we don't.
    pub(super) fn until(&self) -> Duration {
        self.until
    }

    /// The Lease as our confirmed write left it, as long as it is known to be ours.
    pub(super) fn ours(&self) -> Option<&Lease> {
        self.seen.as_ref().filter(|lease| holder(lease) == self.identity)
    }

    /// Takes in what was heard, and says what to do next and when.
    pub(super) fn next(&mut self, heard: Heard, now: Duration) -> (Step, Duration) {
        match heard {
            Heard::Written { asked, lease } => {
                self.see(lease.clone(), now);
                self.until = asked + HELD;
                (Step::Replace(Box::new(lease)), asked + EVERY)
            }
            Heard::Found(lease) => {
                self.see(lease.clone(), now);
                self.upon(lease, now)
            }
            Heard::Missing => self.upon_none(now),
            Heard::Conflict => (Step::Look, now + AGAIN),
            Heard::Failed => (Step::Look, now + if now < self.until { AGAIN } else { EVERY }),
        }
    }

    /// It is judged unchanged by what its holder writes: what others write on it (a label) doesn't make it younger.
    fn see(&mut self, lease: Lease, now: Duration) {
        if self.seen.as_ref().is_none_or(|seen| seen.spec != lease.spec || seen.metadata.uid != lease.metadata.uid) {
            self.since = now;
        }
        (self.seen, self.gone) = (Some(lease), None);
    }

    fn upon(&mut self, lease: Lease, now: Duration) -> (Step, Duration) {
        let holder = holder(&lease);
        // Ours: a write of ours landed and its reply got lost.
        if holder.is_empty() || holder == self.identity {
            return (Step::Replace(Box::new(lease)), now);
        }
        self.until = Duration::ZERO;
        let runs_out = self.since + duration(&lease);
        if now >= runs_out { (Step::Replace(Box::new(lease)), now) } else { (Step::Look, runs_out.min(now + EVERY)) }
    }

    /// A Lease that was deleted by hand may have a holder who doesn't know yet. Only who leads knows that nobody else does.
    fn upon_none(&mut self, now: Duration) -> (Step, Duration) {
        let Some(seen) = self.seen.as_ref().filter(|_| now >= self.until) else { return (Step::Create, now) };
        let runs_out = *self.gone.get_or_insert(now) + duration(seen);
        if now >= runs_out { (Step::Create, now) } else { (Step::Look, runs_out.min(now + EVERY)) }
    }
}

/// Who holds it; empty: nobody.
pub(super) fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

/// What its holder was promised, but never less than we promise.
fn duration(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec: &LeaseSpec| spec.lease_duration_seconds).unwrap_or_default();
    DURATION.max(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
