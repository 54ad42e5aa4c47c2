//! Why and how a run comes to its end.

use crate::{Ended, Grace, StopLevel, pacing::Moment};
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

#[derive(Clone, Copy)]
pub(crate) struct StopRequest {
    pub(crate) level: StopLevel,
    /// When a stop was first asked for.
    pub(crate) since: Moment,
    /// When this level was.
    pub(crate) raised: Moment,
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

impl StopRequest {
    /// Until when an immediate stop waits for what its cut connections came to.
    pub(crate) fn cut_off(self) -> Moment {
        self.raised.plus(Duration::from_millis(300))
    }

    pub(crate) fn next_step(self, grace: &Grace, tick: Duration, now: Moment) -> Moment {
        let steps = [self.since.plus(grace.final_dot), self.since.plus(grace.reply), now.plus(tick)];
        steps.into_iter().filter(|step| *step > now).min().unwrap_or(now)
    }
}
