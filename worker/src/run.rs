//! The tick loop: settle what was finished, claim what may go, send only what is claimed.

mod floor;
mod link;
mod obstacle;
mod pausing;
mod telling;
mod waiting;

use crate::{
    Backends, Error, Options, Progress, Stop, Until,
    backend::choose::Availability,
    deliver::Delivered,
    ending::Ending,
    guard::{Guard, Limits},
    intake::Sorted,
    pacing::Moment,
    progress::Meter,
};
use campaign::{Counts, Outcome, Settlement};
use floor::Floor;
use journal::{Claimed, Tick};
use letter::Letters;
use link::Call;
use obstacle::Lookout;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use waiting::Poll;

/// Rows looked at in one tick, at most, in search of some that may go.
const MOST_LOOKED_AT: usize = 10_000;
/// Who has claims commits at least this often, though nothing was finished: it renews their leases.
const RENEW: Duration = Duration::from_secs(3);

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The account as of the last commit.
    pub counts: Counts,
    /// Why it ended.
    pub ended: Ended,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Everything was published, and each message has its final outcome (or waits for a person).
    Done,
    /// It was asked to.
    Stopped,
    /// The campaign is paused in the journal with this reason: the sender is refused, or too many mails fail.
    Paused(String),
    /// No backend could be used for as long as the campaign tries; what was not sent is still pending or deferred.
    NoBackend(String),
}

/// Sends what is in the journal until it is stopped; with [`Until::Done`] also until the journal is exhausted, the sender turns out to be blocked, or no
/// backend can be used. Publishing may go on at the same time. Progress is sent at most ten times a second, and once at the end.
///
/// # Errors
/// The journal failed. Mails that were on their way are unknown to it if it could not be written any more.
pub async fn run<W: journal::Worker>(
    worker: W,
    letters: Arc<Letters>,
    backends: Backends,
    options: Options,
    stop: Stop,
    progress: watch::Sender<Progress>,
) -> Result<Finished, Error> {
    let floor = Floor::new(letters, backends, &options, stop, worker.share());
    let mut run = Run::new(worker, floor, options, progress);
    loop {
        run.heed();
        run.fill_batch().await?;
        let claimed = run.commit().await?;
        run.floor.accept(claimed);
        run.report();
        if let Some(finished) = run.finished()? {
            run.say_goodbye().await;
            return Ok(finished);
        }
        run.wait().await;
    }
}

struct Run<W> {
    worker: W,
    floor: Floor,
    guard: Guard,
    /// The campaign's own, if it has any.
    limits: Option<Limits>,
    options: Options,
    meter: Meter,
    /// Settlements that are not in the journal yet.
    unsettled: Vec<Settlement>,
    batch: Batch,
    /// Why the run is about to end; nothing is claimed any more.
    ending: Option<Ending>,
    /// The campaign is paused, or is about to be.
    paused: bool,
    /// The campaign is suspended.
    suspended: bool,
    /// That no backend can be used was said.
    said_no_backend: bool,
    lookout: Lookout,
    poll: Poll,
    last_tick: Moment,
    last_commit: Moment,
}

/// What the next tick writes besides what was finished. Kept when the journal could not be reached.
#[derive(Default)]
struct Batch {
    sorted: Sorted,
    pause: Option<String>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.sorted.claims.is_empty() && self.sorted.paced.is_empty() && self.pause.is_none()
    }
}

impl<W: journal::Worker> Run<W> {
    fn new(worker: W, floor: Floor, options: Options, progress: watch::Sender<Progress>) -> Self {
        Self {
            worker,
            floor,
            guard: Guard::default(),
            limits: options.guard.map(Limits::new),
            poll: Poll::new(options.until),
            lookout: Lookout::new(options.obstacle_after),
            options,
            meter: Meter::new(progress),
            unsettled: Vec::new(),
            batch: Batch::default(),
            ending: None,
            paused: false,
            suspended: false,
            said_no_backend: false,
            last_tick: Moment(0),
            last_commit: Moment(0),
        }
    }

    fn now(&self) -> Moment {
        self.floor.now()
    }

    /// Whether it is one of several workers, and ends when it is told to.
    fn stays(&self) -> bool {
        self.options.until == Until::Stopped
    }

    /// Follows what others decide: a stop, a pause, this worker's share.
    fn heed(&mut self) {
        if self.floor.heed() {
            let now = self.now();
            self.floor.link.hurry(now);
            self.options.health.ready().wait_for("stopping");
            self.end(Ending::As(Ended::Stopped));
        }
        self.heed_pause();
        let now = self.now();
        self.floor.intake.change_share(self.worker.share(), now);
    }

    /// From now on nothing is begun; the first reason stays, but for a journal that fails.
    fn end(&mut self, ending: Ending) {
        self.floor.desk.gate.close_begin();
        if self.ending.is_none() || matches!(ending, Ending::Failed { .. }) {
            self.ending = Some(ending);
        }
    }

    /// Gathers what was finished, and takes from the journal what may be claimed.
    async fn fill_batch(&mut self) -> Result<(), Error> {
        self.gather_finished();
        let wanted = self.wanted();
        if self.ending.is_some() {
            self.batch.sorted = Sorted::default();
            return Ok(());
        }
        let now = self.now();
        if self.floor.link.rests(now) || self.floor.link.needs(Call::Commit) {
            return Ok(());
        }
        let wanted = if self.poll.is_due(self.next_due(), now) { wanted } else { 0 };
        // A journal with several workers hands its rows around while it is asked.
        if wanted == 0 && !self.floor.link.needs(Call::Take) && !self.poll.is_asked_too_long_ago(now) {
            return Ok(());
        }
        match self.take(wanted).await {
            Ok(()) => {
                self.floor.link.answered(Call::Take);
                self.heed_pause();
                Ok(())
            }
            Err(Error::Journal(error)) => self.journal_failed(Call::Take, error),
            Err(silent) => Err(silent),
        }
    }

    /// Notes what was finished, and what may not be begun any more.
    fn gather_finished(&mut self) {
        let mut pause = None;
        for Delivered { settlement, sender_refused } in self.floor.lanes.take_finished() {
            pause = pause.or_else(|| self.guard.observe(&settlement));
            if let (true, Some(reply)) = (sender_refused, settlement.outcome.reply()) {
                pause = pause.or_else(|| Some(format!("the sender is refused: {} {}", reply.code, reply.text)));
            }
            self.meter.count(&settlement.outcome);
            self.floor.tallies.finished(&settlement);
            self.unsettled.push(settlement);
        }
        if let Some(reason) = pause {
            self.pause(reason);
        }
        let back = if self.ending.is_some() || self.floor.desk.gate.is_held() {
            self.floor.take_back()
        } else {
            self.floor.take_lapsed()
        };
        self.hand_back(&back);
    }

    /// Releases what was claimed and not begun.
    fn hand_back(&mut self, back: &[Claimed]) {
        let at = self.floor.desk.clock.time();
        for mail in back {
            let (row, attempt) = (mail.message().row, mail.attempt());
            let settlement = Settlement { row, attempt, at, backend: None, outcome: Outcome::Released };
            self.floor.tallies.finished(&settlement);
            self.unsettled.push(settlement);
        }
    }

    /// How many mails to claim now.
    fn wanted(&mut self) -> usize {
        let closed = self.floor.hours.waiting().is_some();
        if closed || self.ending.is_some() || self.floor.link.is_down() || !self.batch.is_empty() {
            return 0;
        }
        let now = self.now();
        let pool = &self.floor.desk.pool;
        let availability = pool.availability(now);
        if availability == Availability::Open {
            self.said_no_backend = false;
            return self.floor.room();
        }
        if let Some(reason) = pool.given_up(now) {
            if !self.stays() {
                self.end(Ending::As(Ended::NoBackend(reason)));
            } else if !std::mem::replace(&mut self.said_no_backend, true) {
                tracing::error!(reason, "no backend can be used; they are tried again and again");
            }
        }
        if availability == Availability::Probe && self.ending.is_none() {
            return self.floor.room().min(1).saturating_sub(self.floor.under_way());
        }
        let back = self.floor.take_back();
        self.hand_back(&back);
        0
    }

    /// Takes rows from the journal until enough may go, passing over those whose domain is spent.
    async fn take(&mut self, wanted: usize) -> Result<(), Error> {
        let now = self.now();
        self.poll.asked(now);
        let mut looked_at = 0;
        loop {
            let ask = wanted.saturating_sub(self.batch.sorted.claims.len());
            let take = self.worker.take(ask, self.floor.desk.clock.time());
            let queued = self.floor.meanwhile(take).await.ok_or(Error::JournalSilent)??;
            let got = queued.len();
            looked_at += got;
            self.floor.intake.sort(queued, now, &mut self.batch.sorted);
            if got < ask {
                self.poll.found_less(looked_at > 0, now);
                return Ok(());
            }
            if self.batch.sorted.claims.len() >= wanted || looked_at >= MOST_LOOKED_AT {
                break;
            }
        }
        if wanted > 0 {
            self.poll.found_all(now);
        }
        Ok(())
    }

    /// One transaction; the claims in it may be sent.
    async fn commit(&mut self) -> Result<Vec<Claimed>, Error> {
        let now = self.now();
        self.last_tick = now;
        let renews = self.floor.under_way() > 0 && now.since(self.last_commit) >= RENEW;
        let writes = !self.unsettled.is_empty() || !self.batch.is_empty() || self.floor.link.needs(Call::Commit);
        let obstacle = self.sighting(now);
        if self.floor.link.rests(now) || !(writes || renews || obstacle.is_some()) {
            return Ok(Vec::new());
        }
        let finished = std::mem::take(&mut self.unsettled);
        let Batch { sorted: Sorted { claims, paced }, pause } = std::mem::take(&mut self.batch);
        // Alone, a run whose journal fails ends, and these are the next one's.
        let kept = if self.stays() { claims.clone() } else { Vec::new() };
        let clock = &self.floor.desk.clock;
        let due = |(mail, due): &(journal::Queued, Moment)| (mail.clone(), clock.timestamp(*due));
        let tick = Tick {
            finished: finished.clone(),
            claims,
            paced: paced.iter().map(due).collect(),
            at: clock.time(),
            pause: pause.clone(),
            obstacle: obstacle.clone(),
        };
        if let Some(limits) = self.limits.as_mut().filter(|_| !finished.is_empty()) {
            limits.before(&self.worker.counts(), self.worker.share(), now);
        }
        let commit = self.worker.commit(tick);
        match self.floor.meanwhile(commit).await.ok_or(Error::JournalSilent)? {
            Ok(claimed) => {
                self.lookout.told(obstacle.as_ref(), now);
                self.committed(&finished, &claimed, now);
                Ok(claimed)
            }
            Err(error) => {
                self.unsettled = finished;
                self.batch = Batch { sorted: Sorted { claims: kept, paced }, pause };
                self.journal_failed(Call::Commit, error)?;
                Ok(Vec::new())
            }
        }
    }

    fn committed(&mut self, finished: &[Settlement], claimed: &[Claimed], began: Moment) {
        self.last_commit = began;
        self.floor.link.answered(Call::Commit);
        let again = claimed.iter().filter(|mail| mail.attempt() > 1).count();
        self.floor.tallies.claimed(claimed.len(), again);
        self.floor.tallies.ticked(self.now().since(began));
        if finished.iter().any(|settlement| settlement.outcome == Outcome::Released) {
            self.poll.found_all(self.now());
        }
        if !finished.is_empty() {
            self.heed_limits();
        }
        self.heed_pause();
    }

    /// What follows from a call that failed: try again later, or come to an end.
    fn journal_failed(&mut self, call: Call, error: journal::Error) -> Result<(), Error> {
        if matches!(error, journal::Error::Fenced | journal::Error::OutOfTurn(_)) {
            self.floor.desk.gate.close_reply();
            return Err(error.into());
        }
        let now = self.now();
        if self.stays() && error.is_transient() {
            self.floor.link.failed(call, error, self.floor.stopping.is_asked_for(), now);
            return Ok(());
        }
        tracing::warn!(%error, "the journal can't be used; nothing more is sent");
        self.floor.tallies.journal_is_reachable(false);
        self.batch.sorted = Sorted::default();
        let tries = match self.ending {
            Some(Ending::Failed { tries, .. }) => tries + u32::from(self.floor.lanes.sending() == 0),
            _ => 0,
        };
        self.end(Ending::Failed { error, tries });
        Ok(())
    }
}
