//! How a run is getting on, for those who show it.

use crate::pacing::Moment;
use campaign::{Counts, Outcome, schedule::Waiting};
use jiff::Timestamp;
use std::{collections::VecDeque, time::Duration};
use tokio::sync::watch;

/// How a run is getting on, as of its last tick. Holds no address and no secret.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The account.
    pub counts: Counts,
    /// Mails claimed and not settled.
    pub in_flight: u32,
    /// Mails settled for good a second, over the last few seconds.
    pub per_second: f64,
    /// When the next deferred mail is due.
    pub next_due: Option<Timestamp>,
    /// What is waited for before anything is begun, if it is not the time to send.
    pub waiting: Option<Waiting>,
    /// Backends that can't be used at the moment.
    pub troubles: Vec<Trouble>,
    /// Why the run is about to end before its time, if it is.
    pub ending: Option<String>,
}

/// A backend that can't be used at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its name.
    pub backend: String,
    /// Where it is (`relay.example.com:25`, a URL without its query, a folder).
    pub address: String,
    /// What is wrong, for people: refused, no route, name not found, TLS, …
    pub reason: String,
    /// Failures since its last success.
    pub failures: u32,
    /// When it is tried again.
    pub next_try: Option<Timestamp>,
}

/// Time between two reports, at least.
const BETWEEN_REPORTS: Duration = Duration::from_millis(100);
/// Time over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(5);

/// Measures the rate and sends reports.
pub(crate) struct Meter {
    to: watch::Sender<Progress>,
    settled: u64,
    /// What was settled by when, at each report of the last seconds.
    history: VecDeque<(Moment, u64)>,
}

impl Meter {
    pub(crate) fn new(to: watch::Sender<Progress>) -> Self {
        Self { to, settled: 0, history: VecDeque::from([(Moment(0), 0)]) }
    }

    /// Counts a mail if it is settled for good.
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        self.settled += u64::from(!matches!(outcome, Outcome::Deferred { .. } | Outcome::Released));
    }

    /// Whether it is time for a report.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        self.history.back().is_none_or(|(last, _)| now.since(*last) >= BETWEEN_REPORTS)
    }

    /// Mails settled for good a second, over the last few seconds.
    pub(crate) fn per_second(&self, now: Moment) -> f64 {
        let Some((since, settled)) = self.history.front() else { return 0.0 };
        let span = now.since(*since).as_secs_f64();
        if span > 0.0 { (self.settled - settled) as f64 / span } else { 0.0 }
    }

    /// Sends a report.
    pub(crate) fn report(&mut self, progress: Progress, now: Moment) {
        self.history.push_back((now, self.settled));
        while self.history.len() > 1 && self.history.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.history.pop_front();
        }
        self.to.send_replace(progress);
    }
}
