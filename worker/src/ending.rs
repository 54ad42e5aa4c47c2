//! Why and how a run comes to its end: an orderly stop closes the gate step by step.

use crate::{Ended, Gate, Grace, Stop, StopLevel, pacing::Moment};
use std::time::Duration;

/// Why a run is about to end.
pub(crate) enum Ending {
    As(Ended),
    /// The journal failed; tried this often since nothing was on its way any more.
    Failed {
        error: journal::Error,
        tries: u32,
    },
}

impl Ending {
    /// For people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::As(Ended::Done) => "done".to_owned(),
            Self::As(Ended::Stopped) => "stopping".to_owned(),
            Self::As(Ended::Paused(reason) | Ended::NoBackend(reason)) => reason.clone(),
            Self::Failed { error, .. } => error.to_string(),
        }
    }
}

/// How long an immediate stop waits for what its cut connections came to.
const CUT_OFF: Duration = Duration::from_millis(300);
/// How long an immediate stop waits for the journal.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// The request to stop, and how far it was obeyed.
pub(crate) struct Stopping {
    stop: Stop,
    grace: Grace,
    request: Option<Request>,
}

#[derive(Clone, Copy)]
struct Request {
    level: StopLevel,
    /// When a stop was first asked for.
    since: Moment,
    /// When this level was.
    raised: Moment,
}

impl Stopping {
    pub(crate) fn new(stop: Stop, grace: Grace) -> Self {
        Self { stop, grace, request: None }
    }

    /// Closes the gate step by step once a stop is asked for; whether it is.
    pub(crate) fn heed(&mut self, gate: &Gate, now: Moment) -> bool {
        let level = self.stop.level();
        if level == StopLevel::Running {
            return false;
        }
        let since = self.request.map_or(now, |request| request.since);
        let raised = self.request.filter(|request| request.level == level).map_or(now, |request| request.raised);
        self.request = Some(Request { level, since, raised });
        gate.close_begin();
        let waited = now.since(since);
        if waited >= self.grace.final_dot {
            gate.close_finish();
        }
        if waited >= self.grace.reply || level == StopLevel::Now {
            gate.close_reply();
        }
        true
    }

    /// Whether a stop was heeded.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.request.is_some()
    }

    /// Whether nothing on its way is waited for any more.
    pub(crate) fn is_cut_off(&self, now: Moment) -> bool {
        self.request.is_some_and(|request| request.level == StopLevel::Now && now >= request.raised.plus(CUT_OFF))
    }

    /// Whether the journal isn't waited for any more either.
    pub(crate) fn is_over(&self, now: Moment) -> bool {
        self.request.is_some_and(|request| now >= self.end(request))
    }

    fn end(&self, request: Request) -> Moment {
        let graceful = request.since.plus(self.grace.settle);
        if request.level == StopLevel::Now { graceful.min(request.raised.plus(LAST_WRITE)) } else { graceful }
    }

    /// When the next step is due, if a stop was asked for: `tick` from now at the latest.
    pub(crate) fn next_step(&self, tick: Duration, now: Moment) -> Option<Moment> {
        let request = self.request?;
        let (final_dot, reply) = (request.since.plus(self.grace.final_dot), request.since.plus(self.grace.reply));
        [final_dot, reply, self.end(request), now.plus(tick)].into_iter().filter(|step| *step > now).min()
    }

    /// Resolves when more is asked for than was heeded.
    pub(crate) async fn raised(&self) {
        let seen = self.request.map_or(StopLevel::Running, |request| request.level);
        self.stop.raised_above(seen).await;
    }

    /// How urgently to stop.
    pub(crate) fn level(&self) -> StopLevel {
        self.stop.level()
    }
}
