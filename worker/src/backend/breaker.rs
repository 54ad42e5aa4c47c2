//! The circuit breaker of one backend: after failures in a row it is left alone for a while, then tried with one mail.
//!
//! closed → (failures in a row) → open → (the wait is over) → half-open: one mail as a probe → closed again, or open for longer.
//! Only failures of the backend count; a mail that it turned down shows that it works.

use crate::{outcome::backoff, pacing::Moment};
use campaign::{Reply, spec::Retry};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Failures in a row that open a breaker.
const FAILURES_TO_OPEN: u32 = 5;

/// The breaker of one backend.
#[derive(Debug)]
pub(crate) struct Breaker {
    retry: Retry,
    /// Closed, and the last result was good: nothing to look up and nothing to write down.
    sound: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    failures: u32,
    /// Times that it was found unusable in a row: when it opened, and each failed probe since.
    openings: u32,
    first_failure: Moment,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Moment },
    Probing,
}

/// What may be expected of a backend now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It takes mails.
    Closed,
    /// It takes one mail, as a probe.
    ProbeDue,
    /// Its probe is under way.
    Probing,
    /// It takes none before the given time.
    Open(Moment),
}

/// A backend's failures since its last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) count: u32,
    pub(crate) openings: u32,
    pub(crate) since: Moment,
    pub(crate) reason: String,
    pub(crate) next_try: Option<Moment>,
}

/// Leave to give one mail to the backend. Its result must be told; a pass that is dropped tells nothing about the backend.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    pub(crate) fn new(retry: Retry) -> Self {
        let inner =
            Inner { state: State::Closed, failures: 0, openings: 0, first_failure: Moment(0), reason: String::new() };
        Self { retry, sound: AtomicBool::new(true), inner: Mutex::new(inner) }
    }

    /// Leave for one mail, if the backend takes one now.
    pub(crate) fn admit(&self, now: Moment) -> Option<Pass<'_>> {
        if self.sound.load(Ordering::Relaxed) {
            return Some(Pass { breaker: self, probe: false });
        }
        let mut inner = self.lock();
        match inner.state {
            State::Closed => Some(Pass { breaker: self, probe: false }),
            State::Open { until } if until <= now => {
                inner.state = State::Probing;
                Some(Pass { breaker: self, probe: true })
            }
            State::Open { .. } | State::Probing => None,
        }
    }

    /// What may be expected of it now.
    pub(crate) fn status(&self, now: Moment) -> Status {
        if self.sound.load(Ordering::Relaxed) {
            return Status::Closed;
        }
        match self.lock().state {
            State::Closed => Status::Closed,
            State::Open { until } if until <= now => Status::ProbeDue,
            State::Open { until } => Status::Open(until),
            State::Probing => Status::Probing,
        }
    }

    /// Its failures, while it is not closed.
    pub(crate) fn failures(&self) -> Option<Failures> {
        let inner = self.lock();
        let next_try = match inner.state {
            State::Closed => return None,
            State::Open { until } => Some(until),
            State::Probing => None,
        };
        Some(Failures {
            count: inner.failures,
            openings: inner.openings,
            since: inner.first_failure,
            reason: inner.reason.clone(),
            next_try,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere can't leave it half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The backend works.
    pub(crate) fn succeeded(mut self) {
        self.probe = false;
        if !self.breaker.sound.load(Ordering::Relaxed) {
            let mut inner = self.breaker.lock();
            inner.state = State::Closed;
            inner.failures = 0;
            inner.openings = 0;
            self.breaker.sound.store(true, Ordering::Relaxed);
        }
    }

    /// The backend failed. What it asked for goes before our own backoff, if it is longer.
    pub(crate) fn failed(mut self, now: Moment, reply: &Reply, retry_after: Option<Duration>) {
        let was_probe = std::mem::take(&mut self.probe);
        let mut inner = self.breaker.lock();
        self.breaker.sound.store(false, Ordering::Relaxed);
        if inner.failures == 0 {
            inner.first_failure = now;
        }
        inner.failures = inner.failures.saturating_add(1);
        inner.reason = match reply.code {
            0 => reply.text.clone(),
            code => format!("{code} {}", reply.text),
        };
        // The failures of mails that were under way when it opened say nothing new.
        if was_probe || (inner.state == State::Closed && inner.failures >= FAILURES_TO_OPEN) {
            inner.openings = inner.openings.saturating_add(1);
            let wait = backoff(&self.breaker.retry, inner.openings).max(retry_after.unwrap_or_default());
            inner.state = State::Open { until: now.plus(wait) };
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe {
            let mut inner = self.breaker.lock();
            if inner.state == State::Probing {
                inner.state = State::Open { until: Moment(0) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::HumanDuration;

    fn breaker() -> Breaker {
        let human = |seconds| HumanDuration(Duration::from_secs(seconds));
        Breaker::new(Retry { initial_backoff: human(10), max_backoff: human(30), ..Retry::default() })
    }

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000_000)
    }

    fn fail(breaker: &Breaker, now: Moment) {
        breaker.admit(now).expect("admitted").failed(
            now,
            &Reply { code: 421, enhanced: None, text: "busy".into() },
            None,
        );
    }

    fn opened() -> Breaker {
        let breaker = breaker();
        (0..FAILURES_TO_OPEN).for_each(|_| fail(&breaker, at(0)));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_starts_the_row_anew() {
        let breaker = breaker();
        (0..FAILURES_TO_OPEN - 1).for_each(|_| fail(&breaker, at(0)));
        breaker.admit(at(0)).expect("closed").succeeded();
        (0..FAILURES_TO_OPEN - 1).for_each(|_| fail(&breaker, at(0)));
        assert_eq!(breaker.status(at(0)), Status::Closed);
        fail(&breaker, at(0));
        assert_eq!(breaker.status(at(0)), Status::Open(at(10)));
        assert!(breaker.admit(at(9)).is_none());
    }

    #[test]
    fn when_the_wait_is_over_one_mail_goes_as_a_probe_and_its_success_closes_it() {
        let breaker = opened();
        let probe = breaker.admit(at(10)).expect("a probe");
        assert!(breaker.admit(at(10)).is_none());
        assert_eq!(breaker.status(at(10)), Status::Probing);
        probe.succeeded();
        assert_eq!(breaker.status(at(10)), Status::Closed);
        assert_eq!(breaker.failures(), None);
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_the_limit() {
        let breaker = opened();
        fail(&breaker, at(10));
        assert_eq!(breaker.status(at(10)), Status::Open(at(30)));
        fail(&breaker, at(30));
        assert_eq!(breaker.status(at(30)), Status::Open(at(60)));
        let failures = breaker.failures().expect("open");
        assert_eq!((failures.openings, failures.reason.as_str(), failures.since), (3, "421 busy", at(0)));
    }

    #[test]
    fn mails_that_were_under_way_when_it_opened_neither_prolong_nor_hide_it() {
        let breaker = breaker();
        let under_way: Vec<_> = (0..3).map(|_| breaker.admit(at(0)).expect("closed")).collect();
        (0..FAILURES_TO_OPEN).for_each(|_| fail(&breaker, at(0)));
        for pass in under_way {
            pass.failed(at(5), &Reply::default(), None);
        }
        assert_eq!(breaker.status(at(5)), Status::Open(at(10)));
    }

    #[test]
    fn a_probe_without_a_result_is_made_again() {
        let breaker = opened();
        drop(breaker.admit(at(10)).expect("a probe"));
        assert_eq!(breaker.status(at(10)), Status::ProbeDue);
    }

    #[test]
    fn a_server_that_asks_to_be_left_alone_is_left_alone_for_as_long() {
        let breaker = breaker();
        for _ in 0..FAILURES_TO_OPEN {
            let pass = breaker.admit(at(0)).expect("closed");
            pass.failed(at(0), &Reply::default(), Some(Duration::from_secs(77)));
        }
        assert_eq!(breaker.status(at(0)), Status::Open(at(77)));
    }
}
