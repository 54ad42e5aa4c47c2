//! The tick loop: settle what was finished, claim what may go, send only what is claimed.

mod waiting;

use crate::{
    Backends, Error, Gate, Options, Progress, Stop, StopLevel,
    backend::choose::{Availability, Pool},
    clock::Clock,
    deliver::{Delivered, Desk},
    ending::{Ending, StopRequest},
    guard::Guard,
    intake::{Intake, Sorted},
    lanes::Lanes,
    outcome::Policy,
    pacing::Moment,
    progress::{Meter, Trouble},
};
use campaign::{Counts, Outcome, Settlement};
use jiff::Timestamp;
use journal::{Claimed, Tick};
use letter::Letters;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Longest time between two looks at what was finished.
const TICK: Duration = Duration::from_millis(100);
/// Shortest time between two ticks that only settle a few.
const SHORT_TICK: Duration = Duration::from_millis(20);
/// Rows looked at in one tick, at most, in search of some that may go.
const MOST_LOOKED_AT: usize = 10_000;
/// How often the journal is asked for new rows when it had none: soon at first, less and less often.
const POLL: std::ops::Range<Duration> = Duration::from_millis(5)..Duration::from_millis(200);
/// When the journal can't be written: time between two tries to settle, and how many there are once nothing is on its way.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);
const SETTLE_TRIES: u32 = 10;

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
    /// The sender is refused; the journal is paused with this reason.
    Paused(String),
    /// No backend could be used for as long as the campaign tries; what was not sent is still pending or deferred.
    NoBackend(String),
}

/// Sends what is in the journal until it is exhausted, the run is stopped, the sender turns out to be blocked, or no backend can be used.
/// Publishing may go on at the same time. Progress is sent at most ten times a second, and once at the end.
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
    let mut run = Run::new(worker, letters, backends, options, stop, progress);
    loop {
        run.heed_stop();
        let batch = run.next_batch().await;
        let claimed = run.commit(batch).await?;
        run.send(claimed);
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
    desk: Arc<Desk>,
    lanes: Lanes,
    intake: Intake,
    guard: Guard,
    stop: Stop,
    options: Options,
    meter: Meter,
    /// Settlements that are not in the journal yet.
    unsettled: Vec<Settlement>,
    /// Why the run is about to end; nothing is claimed any more.
    ending: Option<Ending>,
    stopped: Option<StopRequest>,
    poll: Poll,
    last_tick: Moment,
}

/// When to ask the journal for rows again.
struct Poll {
    next: Moment,
    pause: Duration,
}

/// What one tick commits.
struct Batch {
    sorted: Sorted,
    pause: Option<String>,
}

impl<W: journal::Worker> Run<W> {
    fn new(
        worker: W,
        letters: Arc<Letters>,
        backends: Backends,
        options: Options,
        stop: Stop,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let clock = Clock::start();
        let desk = Arc::new(Desk {
            letters,
            pool: Pool::new(backends, &options.retry),
            policy: Policy { retry: options.retry, on_unknown: options.on_unknown },
            gate: Gate::open(),
            clock,
        });
        Self {
            lanes: Lanes::open(&desk, most_in_flight(&options)),
            intake: Intake::new(options.rate.as_ref(), clock.now()),
            guard: Guard::default(),
            meter: Meter::new(progress),
            unsettled: Vec::new(),
            ending: None,
            stopped: None,
            poll: Poll { next: Moment(0), pause: POLL.start },
            last_tick: Moment(0),
            worker,
            desk,
            stop,
            options,
        }
    }

    fn now(&self) -> Moment {
        self.desk.clock.now()
    }

    /// Closes the gate step by step once a stop is asked for.
    fn heed_stop(&mut self) {
        let (level, now) = (self.stop.level(), self.now());
        if level == StopLevel::Running {
            return;
        }
        let since = self.stopped.map_or(now, |stopped| stopped.since);
        let raised = self.stopped.filter(|stopped| stopped.level == level).map_or(now, |stopped| stopped.raised);
        self.stopped = Some(StopRequest { level, since, raised });
        self.end(Ending::As(Ended::Stopped));
        let waited = now.since(since);
        if waited >= self.options.grace.final_dot {
            self.desk.gate.close_finish();
        }
        if waited >= self.options.grace.reply || level == StopLevel::Now {
            self.desk.gate.close_reply();
        }
    }

    /// From now on nothing is begun; the first reason stays, but for a journal that fails.
    fn end(&mut self, ending: Ending) {
        self.desk.gate.close_begin();
        if self.ending.is_none() || matches!(ending, Ending::Failed { .. }) {
            self.ending = Some(ending);
        }
    }

    /// Gathers what was finished, and takes from the journal what may be claimed.
    async fn next_batch(&mut self) -> Batch {
        let pause = self.gather_finished();
        let mut sorted = Sorted::default();
        let wanted = self.wanted();
        if wanted > 0
            && self.poll.next <= self.now()
            && let Err(error) = self.take(wanted, &mut sorted).await
        {
            self.end(Ending::Failed { error, tries: 0 });
            sorted = Sorted::default();
        }
        Batch { sorted, pause }
    }

    /// Notes what was finished; the reason to pause, if it gives one.
    fn gather_finished(&mut self) -> Option<String> {
        let mut pause = None;
        for Delivered { settlement, sender_refused } in self.lanes.take_finished() {
            pause = pause.or_else(|| self.guard.observe(&settlement));
            if let (true, Some(reply)) = (sender_refused, settlement.outcome.reply()) {
                pause = pause.or_else(|| Some(format!("the sender is refused: {} {}", reply.code, reply.text)));
            }
            self.meter.count(&settlement.outcome);
            self.unsettled.push(settlement);
        }
        if let Some(reason) = pause.clone() {
            self.end(Ending::As(Ended::Paused(reason)));
        }
        if self.ending.is_some() {
            self.hand_back();
        }
        pause
    }

    /// Releases what was claimed and not begun.
    fn hand_back(&mut self) {
        let mut back = self.lanes.take_back();
        back.extend(self.intake.drain());
        let at = Timestamp::now();
        self.unsettled.extend(back.iter().map(|mail| Settlement {
            row: mail.message().row,
            attempt: mail.attempt(),
            at,
            backend: None,
            outcome: Outcome::Released,
        }));
    }

    /// How many mails to claim now.
    fn wanted(&mut self) -> usize {
        if self.ending.is_some() {
            return 0;
        }
        let wanted = self.intake.wanted(self.lanes.sending(), most_in_flight(&self.options));
        match self.desk.pool.availability(self.now()) {
            Availability::Open => wanted,
            Availability::Probe => usize::from(self.lanes.sending() + self.intake.held() == 0),
            Availability::Closed(_) => {
                self.hand_back();
                0
            }
            Availability::GivenUp(reason) => {
                self.end(Ending::As(Ended::NoBackend(reason)));
                self.hand_back();
                0
            }
        }
    }

    /// Takes rows from the journal until enough may go, passing over those whose domain is spent.
    async fn take(&mut self, wanted: usize, into: &mut Sorted) -> Result<(), journal::Error> {
        let (clock, now) = (self.desk.clock, self.now());
        let mut looked_at = 0;
        while into.claims.len() < wanted && looked_at < MOST_LOOKED_AT {
            let ask = wanted - into.claims.len();
            let take = self.worker.take(ask, Timestamp::now());
            let queued = meanwhile_releasing(&mut self.intake, &mut self.lanes, clock, take).await?;
            let got = queued.len();
            looked_at += got;
            self.intake.sort(queued, now, into);
            if got < ask {
                self.poll.pause = if looked_at > 0 { POLL.start } else { (self.poll.pause * 2).min(POLL.end) };
                self.poll.next = now.plus(self.poll.pause);
                return Ok(());
            }
        }
        self.poll = Poll { next: now, pause: POLL.start };
        Ok(())
    }

    /// One transaction; the claims in it may be sent.
    async fn commit(&mut self, batch: Batch) -> Result<Vec<Claimed>, Error> {
        let Batch { sorted: Sorted { claims, paced }, pause } = batch;
        self.last_tick = self.now();
        if self.unsettled.is_empty() && claims.is_empty() && paced.is_empty() && pause.is_none() {
            return Ok(Vec::new());
        }
        let finished = std::mem::take(&mut self.unsettled);
        let released = finished.iter().any(|settlement| settlement.outcome == Outcome::Released);
        let clock = self.desk.clock;
        let tick = Tick {
            finished: finished.clone(),
            claims,
            paced: paced.into_iter().map(|(mail, due)| (mail, clock.timestamp(due))).collect(),
            at: Timestamp::now(),
            pause,
        };
        let commit = self.worker.commit(tick);
        match meanwhile_releasing(&mut self.intake, &mut self.lanes, clock, commit).await {
            Ok(claimed) => {
                if released {
                    self.poll = Poll { next: self.now(), pause: POLL.start };
                }
                Ok(claimed)
            }
            Err(error @ (journal::Error::Fenced | journal::Error::OutOfTurn(_))) => {
                self.desk.gate.close_reply();
                Err(error.into())
            }
            Err(error) => {
                tracing::warn!(%error, "the journal can't be written; nothing more is sent");
                self.unsettled = finished;
                let tries = match self.ending {
                    Some(Ending::Failed { tries, .. }) => tries + u32::from(self.lanes.sending() == 0),
                    _ => 0,
                };
                self.end(Ending::Failed { error, tries });
                Ok(Vec::new())
            }
        }
    }

    /// Sends what is claimed, as soon as its rate allows.
    fn send(&mut self, claimed: Vec<Claimed>) {
        let free = self.intake.accept(claimed, self.now());
        self.lanes.give(free);
    }

    /// What the run came to, once it has come to something.
    fn finished(&mut self) -> Result<Option<Finished>, Error> {
        let under_way = self.lanes.sending() + self.intake.held() > 0;
        let at_once =
            self.stopped.is_some_and(|stopped| stopped.level == StopLevel::Now && self.now() >= stopped.cut_off());
        let counts = self.worker.counts();
        let ended = match self.ending.take() {
            None if !under_way && self.worker.exhausted() => Ended::Done,
            Some(Ending::Failed { error, tries }) if !under_way || at_once => {
                if self.unsettled.is_empty() || tries >= SETTLE_TRIES || at_once {
                    return Err(error.into());
                }
                self.ending = Some(Ending::Failed { error, tries });
                return Ok(None);
            }
            Some(Ending::As(ended)) if at_once || (!under_way && self.unsettled.is_empty()) => ended,
            ending => {
                self.ending = ending;
                return Ok(None);
            }
        };
        self.meter.report(self.progress_now(), self.now());
        Ok(Some(Finished { counts, ended }))
    }

    /// Leaves the backends in an orderly way, unless there is no time for it.
    async fn say_goodbye(&self) {
        if self.stop.level() != StopLevel::Now {
            self.desk.pool.close().await;
        }
    }

    fn report(&mut self) {
        if self.meter.is_due(self.now()) {
            self.meter.report(self.progress_now(), self.now());
        }
    }

    fn progress_now(&self) -> Progress {
        let clock = self.desk.clock;
        let troubles = self.desk.pool.troubles().map(|(member, failures)| Trouble {
            backend: member.name.to_string(),
            address: member.address.clone(),
            reason: failures.reason,
            failures: failures.count,
            next_try: failures.next_try.map(|at| clock.timestamp(at)),
        });
        Progress {
            counts: self.worker.counts(),
            in_flight: u32::try_from(self.lanes.sending() + self.intake.held()).unwrap_or(u32::MAX),
            per_second: self.meter.per_second(self.now()),
            next_due: self.worker.next_due(),
            troubles: troubles.collect(),
            ending: self.ending.as_ref().map(Ending::text),
        }
    }
}

/// Waits for the journal, letting mails go meanwhile as their time comes: the rate doesn't depend on the disk.
async fn meanwhile_releasing<T>(
    intake: &mut Intake,
    lanes: &mut Lanes,
    clock: Clock,
    journal: impl Future<Output = T>,
) -> T {
    let mut journal = std::pin::pin!(journal);
    loop {
        let next = intake.next_release(clock.now()).unwrap_or(Moment(u64::MAX));
        tokio::select! {
            biased;
            result = &mut journal => return result,
            () = tokio::time::sleep_until(clock.instant(next)) => lanes.give(intake.release(clock.now())),
        }
    }
}

fn most_in_flight(options: &Options) -> usize {
    usize::try_from(options.max_in_flight).unwrap_or(usize::MAX).max(1)
}
