//! A campaign that is paused: by this run, because it goes wrong, or by others; or suspended, as it declares. Nothing is begun until that has ended.

use super::{Ended, Ending, Run};
use crate::{gate::Hold, guard::Guard};

impl<W: journal::Worker> Run<W> {
    /// Begins nothing while the campaign is paused, and goes on when it is resumed.
    pub(super) fn heed_pause(&mut self) {
        self.heed_suspension();
        let (is, was) = (self.worker.paused(), self.paused);
        let gate = &self.floor.desk.gate;
        if is && !self.stays() {
            self.end(Ending::As(Ended::Paused("the campaign is paused".to_owned())));
        } else if is && !was {
            tracing::warn!("the campaign is paused; nothing is begun until it is resumed");
            gate.hold(Hold::Paused);
            self.paused = true;
        } else if !is && was && self.batch.pause.is_none() {
            tracing::info!("the campaign is resumed");
            gate.let_go(Hold::Paused);
            gate.let_go(Hold::Refused);
            self.guard = Guard::default();
            let now = self.now();
            if let Some(limits) = &mut self.limits {
                limits.begin_anew(now);
            }
            self.paused = false;
        }
    }

    /// Begins nothing while the campaign is suspended. What the guards have counted goes on counting then.
    fn heed_suspension(&mut self) {
        let (is, was) = (self.worker.suspended(), self.suspended);
        if is && !self.stays() {
            self.end(Ending::As(Ended::Paused("the campaign is suspended".to_owned())));
        } else if is && !was {
            tracing::info!("the campaign is suspended; nothing is begun until it goes on");
            self.floor.desk.gate.hold(Hold::Suspended);
        } else if !is && was {
            tracing::info!("the campaign goes on");
            self.floor.desk.gate.let_go(Hold::Suspended);
        }
        self.suspended = is;
    }

    /// Pauses the campaign, for all who work on it, with the next tick.
    pub(super) fn pause(&mut self, reason: String) {
        if self.stays() {
            tracing::error!(reason, "the campaign pauses");
            self.floor.desk.gate.hold(Hold::Paused);
            self.paused = true;
        } else {
            self.end(Ending::As(Ended::Paused(reason.clone())));
        }
        self.batch.pause.get_or_insert(reason);
    }

    /// Pauses the campaign when its own limits are passed, unless there is nothing left to stop.
    pub(super) fn heed_limits(&mut self) {
        if self.paused || self.ending.is_some() || self.worker.exhausted() {
            return;
        }
        let passed = self.limits.as_ref().and_then(|limits| limits.passed(&self.worker.counts()));
        if let Some(reason) = passed {
            self.pause(reason);
        }
    }
}
