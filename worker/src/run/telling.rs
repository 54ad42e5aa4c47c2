//! What a run tells: how it is getting on, and what it came to.

use super::{Ended, Ending, Finished, Run};
use crate::{Error, Progress, metrics::Load, pacing::Moment, progress::Trouble};

/// How often a journal that fails for good is tried once nothing is on its way, to settle what was finished.
const SETTLE_TRIES: u32 = 10;

impl<W: journal::Worker> Run<W> {
    /// What the run came to, once it has come to something.
    pub(super) fn finished(&mut self) -> Result<Option<Finished>, Error> {
        let now = self.now();
        let under_way = self.floor.under_way() > 0;
        let (at_once, over) = (self.floor.stopping.is_cut_off(now), self.floor.stopping.is_over(now));
        let written = self.unsettled.is_empty() && self.batch.pause.is_none();
        let counts = self.worker.counts();
        let ended = match self.ending.take() {
            None if !self.stays() && !under_way && self.worker.exhausted() => Ended::Done,
            Some(Ending::Failed { error, tries }) if !under_way || at_once || over => {
                if written || tries >= SETTLE_TRIES || at_once || over {
                    return Err(error.into());
                }
                self.ending = Some(Ending::Failed { error, tries });
                return Ok(None);
            }
            Some(Ending::As(ended)) if at_once || (!under_way && written) => ended,
            Some(Ending::As(_)) if over => {
                return Err(self.floor.link.take_error().map_or(Error::JournalSilent, Error::Journal));
            }
            ending => {
                self.ending = ending;
                return Ok(None);
            }
        };
        self.meter.report(self.progress_now(), self.now());
        Ok(Some(Finished { counts, ended }))
    }

    pub(super) fn report(&mut self) {
        let now = self.now();
        if !self.meter.is_due(now) {
            return;
        }
        let progress = self.progress_now();
        let load = Load {
            in_flight: self.floor.under_way(),
            backlog: progress.counts.unfinished(),
            share: self.worker.share(),
            taking_over: self.worker.taking_over(),
            paused: self.worker.paused(),
        };
        self.floor.tallies.stands(&load, &self.floor.desk.pool, now);
        self.meter.report(progress, now);
    }

    fn progress_now(&self) -> Progress {
        let clock = &self.floor.desk.clock;
        let troubles = self.floor.desk.pool.troubles().map(|(member, failures)| Trouble {
            backend: member.name.to_string(),
            address: member.address.clone(),
            reason: failures.reason,
            failures: failures.count,
            next_try: failures.next_try.map(|at| clock.timestamp(at)),
        });
        Progress {
            counts: self.worker.counts(),
            in_flight: u32::try_from(self.floor.under_way()).unwrap_or(u32::MAX),
            per_second: self.meter.per_second(self.now()),
            next_due: self.worker.next_due(),
            waiting: self.floor.hours.waiting().cloned(),
            troubles: troubles.collect(),
            ending: self.ending.as_ref().map(Ending::text),
        }
    }

    /// When the next waiting row is due.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.worker.next_due().map(|due| self.floor.desk.clock.moment(due))
    }
}
