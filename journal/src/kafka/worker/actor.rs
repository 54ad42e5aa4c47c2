//! The worker's thread: what it holds, and the order in which it does things.

use super::aside::{Answer, Aside, Marks};
use super::fetch::{Fetcher, Follower};
use super::form::Hand;
use super::leaving::Leaving;
use super::member::Member;
use super::owned::{self, Owned};
use super::{Request, Snapshot};
use crate::kafka::Shared;
use crate::kafka::transactor::Transactor;
use crate::{Error, Obstacle, WorkerOptions};
use campaign::{Counts, Settlement};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the thread sleeps when nobody asks: while mails are under way or partitions change hands, and at rest.
const BUSY: Duration = Duration::from_millis(50);
const REST: Duration = Duration::from_millis(500);
/// How often a worker that doesn't own everything looks at the others.
const LOOK: Duration = Duration::from_secs(1);
/// And one that does, to see whether there are more partitions by now.
const LOOK_ALONE: Duration = Duration::from_secs(5);

/// One life as a member of the group: ends when another has taken its place.
pub(super) struct Life {
    pub(super) member: Member,
    pub(super) transactor: Transactor,
}

/// A claim that this worker made and has not settled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mine {
    pub(super) partition: i32,
    pub(super) attempt: u32,
    pub(super) outbox: i64,
    /// Where the claim is, in `outcomes`.
    pub(super) event: i64,
}

/// A message that can't be read.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) partition: i32,
    pub(super) row: u64,
    pub(super) outbox: i64,
    pub(super) why: String,
}

/// The thread.
pub(super) struct Actor {
    pub(super) shared: Arc<Shared>,
    pub(super) options: WorkerOptions,
    started: Instant,
    snapshot: Arc<Mutex<Snapshot>>,
    pub(super) follower: Follower,
    pub(super) fetcher: Fetcher,
    pub(super) aside: Aside,
    pub(super) life: Option<Life>,
    pub(super) owned: BTreeMap<i32, Owned>,
    /// Partitions that are ours, and being looked into: their tenure.
    pub(super) expected: BTreeMap<i32, u64>,
    pub(super) tenures: u64,
    pub(super) leaving: Vec<Leaving>,
    /// Rows that were handed out.
    pub(super) hand: HashMap<u64, Hand>,
    /// Of those, the ones that have no event yet.
    pub(super) new_in_hand: BTreeMap<(i32, i64), u64>,
    pub(super) mine: HashMap<u64, Mine>,
    pub(super) broken: Vec<Broken>,
    /// Results of rows whose partition is being looked into.
    pub(super) postponed: Vec<Settlement>,
    /// Claims of transactions of which it is not known whether they were committed, by partition and offset in `outcomes`: they were never sent. Not
    /// by row and attempt: after a transaction that was aborted another worker makes a claim of the same row and attempt.
    pub(super) never_sent: HashSet<(i32, i64)>,
    /// The obstacle that this worker has told last, until it has taken it back.
    pub(super) told: Option<Obstacle>,
    /// How far the partitions were when last looked at, and how many there are.
    pub(super) marks: Marks,
    pub(super) partitions: i32,
    /// So many are known to those who read and write.
    known: i32,
    looked: Instant,
    /// What makes this worker of no use: the topic is gone.
    pub(super) doomed: Option<String>,
}

impl Actor {
    /// Joins, and waits for the first share.
    pub(super) fn start(
        shared: Arc<Shared>,
        options: WorkerOptions,
        snapshot: Arc<Mutex<Snapshot>>,
    ) -> Result<Self, Error> {
        let aside = Aside::start(shared.clone())?;
        // Each connects by itself, and that is what takes time.
        let (transactor, fetcher, follower) = std::thread::scope(|scope| {
            let transactor = scope.spawn(|| transactor(&shared));
            let fetcher = scope.spawn(|| Fetcher::new(shared.clone()));
            let follower = Follower::new(shared.clone()).and_then(|mut follower| {
                follower.catch_up(shared.timing.transaction + Duration::from_secs(5))?;
                Ok(follower)
            });
            (joined(transactor), joined(fetcher), follower)
        });
        let follower = follower?;
        if follower.control.pin.is_none() {
            return Err(Error::NotPinned);
        }
        let life = Life { transactor: transactor?, member: Member::join(&shared)? };
        let mut actor = Self {
            follower,
            fetcher: fetcher?,
            aside,
            options,
            started: Instant::now(),
            snapshot,
            life: Some(life),
            owned: BTreeMap::new(),
            expected: BTreeMap::new(),
            tenures: 0,
            leaving: Vec::new(),
            hand: HashMap::new(),
            new_in_hand: BTreeMap::new(),
            mine: HashMap::new(),
            broken: Vec::new(),
            postponed: Vec::new(),
            never_sent: HashSet::new(),
            told: None,
            marks: BTreeMap::new(),
            partitions: 0,
            known: 0,
            looked: Instant::now(),
            doomed: None,
            shared,
        };
        actor.aside.ask_all();
        let begun = Instant::now();
        while actor.owned.is_empty() || !actor.expected.is_empty() || actor.partitions == 0 {
            actor.turn(Duration::from_millis(5))?;
            if begun.elapsed() > actor.shared.timing.first_share && actor.expected.is_empty() || actor.is_to_crash() {
                break;
            }
        }
        actor.housekeep();
        actor.publish();
        Ok(actor)
    }

    /// Joins the group with a producer of its own.
    pub(super) fn begin_life(&mut self) -> Result<(), Error> {
        let transactor = transactor(&self.shared)?;
        let member = Member::join(&self.shared)?;
        self.life = Some(Life { member, transactor });
        Ok(())
    }

    /// Serves requests until nobody can make any more.
    pub(super) fn run(&mut self, inbox: &Receiver<Request>) {
        loop {
            let is_busy =
                !self.leaving.is_empty() || !self.expected.is_empty() || self.has_claims() || self.life.is_none();
            match inbox.recv_timeout(if is_busy { BUSY } else { REST }) {
                Ok(request) => self.serve(request),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.turn(Duration::ZERO) {
                        self.note(&error);
                    }
                    self.housekeep();
                    self.publish();
                }
                Err(RecvTimeoutError::Disconnected) => return self.leave(),
            }
            if self.is_to_crash() {
                return;
            }
        }
    }

    fn serve(&mut self, request: Request) {
        // Who asked may be gone; then the answer is nobody's.
        match request {
            Request::Take { max, now, answer } => {
                let taken = self.take(max, now);
                self.publish();
                drop(answer.send(taken));
            }
            Request::Commit { tick, answer } => {
                let committed = self.commit(tick);
                self.publish();
                drop(answer.send(committed));
            }
        }
    }

    /// Lets the clients work, and takes in what has changed.
    pub(super) fn turn(&mut self, wait: Duration) -> Result<(), Error> {
        if let Some(topic) = &self.doomed {
            return Err(Error::TopicGone { topic: topic.clone() });
        }
        if self.life.is_none() {
            self.begin_life()?;
        }
        self.follower.follow()?;
        let changes = match &self.life {
            Some(life) => life.member.poll(wait, &self.shared),
            None => Ok(Vec::new()),
        };
        match changes {
            Ok(changes) => {
                for change in changes {
                    self.heed(change)?;
                }
            }
            Err(error @ Error::TopicGone { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "this worker joins the group anew");
                self.end_life();
            }
        }
        self.go_on_leaving()?;
        while let Some(answer) = self.aside.answer() {
            self.hear(answer)?;
        }
        let owns_all = i32::try_from(self.owned.len()).is_ok_and(|owned| owned >= self.partitions);
        if self.looked.elapsed() > if owns_all { LOOK_ALONE } else { LOOK } {
            self.looked = Instant::now();
            self.aside.ask_all();
        }
        self.fetcher.idle()
    }

    fn hear(&mut self, answer: Answer) -> Result<(), Error> {
        match answer {
            Answer::All(Ok((partitions, marks))) => {
                self.partitions = partitions;
                self.marks = marks;
            }
            Answer::All(Err(error @ Error::TopicGone { .. })) => return Err(error),
            Answer::All(Err(error)) => tracing::debug!(%error, "the other workers can't be looked at"),
            Answer::Partition { tenure, partition, .. } if self.expected.get(&partition) != Some(&tenure) => {}
            Answer::Partition { partition, found: Ok(owned), .. } => {
                tracing::info!(partition, claims_found = owned.found.len(), "a partition is taken over");
                self.learn_of(partition)?;
                self.fetcher.begin(partition, owned.claimed_to)?;
                self.expected.remove(&partition);
                self.owned.insert(partition, *owned);
            }
            Answer::Partition { found: Err(error @ Error::TopicGone { .. }), .. } => return Err(error),
            Answer::Partition { tenure, partition, found: Err(error) } => {
                tracing::warn!(partition, %error, "a partition can't be taken over yet; trying again");
                self.aside.ask_partition(partition, tenure);
            }
        }
        Ok(())
    }

    /// Who reads and writes learns that there are more partitions, if this is a new one.
    fn learn_of(&mut self, partition: i32) -> Result<(), Error> {
        if let Some(life) = self.life.as_ref().filter(|_| partition >= self.known) {
            if self.known > 0 {
                self.fetcher.learn()?;
            }
            self.known = life.transactor.partitions_of(&self.shared.names.outcomes)?.unwrap_or(0);
        }
        Ok(())
    }

    /// The time, as far as the run is concerned.
    pub(super) fn now(&self) -> Timestamp {
        self.options.now.checked_add(self.started.elapsed()).unwrap_or(self.options.now)
    }

    pub(super) fn has_claims(&self) -> bool {
        self.owned.values().any(|owned| owned.claims() > 0 || !owned.found.is_empty())
    }

    fn is_to_crash(&self) -> bool {
        self.shared.workers.crash.load(Ordering::Relaxed)
    }

    /// Says what went wrong, and remembers what can't be mended.
    pub(super) fn note(&mut self, error: &Error) {
        if let Error::TopicGone { topic } = error {
            if self.doomed.is_none() {
                tracing::error!(%error, "nothing more is sent");
                self.close_leases();
            }
            self.doomed = Some(topic.clone());
        } else {
            tracing::warn!(%error, "the journal");
        }
    }

    /// What was claimed may not be sent any more.
    pub(super) fn close_leases(&self) {
        for owned in self.owned.values() {
            owned.lease.close_reply();
        }
    }

    /// Lets those see who ask without waiting.
    pub(super) fn publish(&self) {
        let snapshot = Snapshot {
            counts: self.counts(),
            next_due: self.owned.values().filter_map(Owned::next_due).min(),
            exhausted: self.is_exhausted(),
            taking_over: self.owned.values().map(|owned| owned.found.len() as u64).sum(),
            owned: u32::try_from(self.owned.len()).unwrap_or(u32::MAX),
            of: u32::try_from(self.partitions.max(1)).unwrap_or(1),
            paused: self.follower.paused().is_some(),
            suspended: self.follower.control.suspended.is_some(),
        };
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    fn counts(&self) -> Counts {
        let tally = self.follower.control.tally();
        let mut counts = Counts {
            total: tally.total(),
            invalid: tally.invalid,
            duplicate: tally.duplicate,
            suppressed: tally.suppressed,
            published: tally.published,
            ..Counts::default()
        };
        for owned in self.owned.values() {
            owned.count(&mut counts);
        }
        for (partition, (_, mark)) in &self.marks {
            if !self.owned.contains_key(partition) {
                owned::add(&mark.n, &mut counts);
            }
        }
        counts.pending = counts.published.saturating_sub(counts.with_outcome());
        counts
    }

    fn is_exhausted(&self) -> bool {
        let control = &self.follower.control;
        if !control.published() || self.partitions == 0 || !self.expected.is_empty() || !self.broken.is_empty() {
            return false;
        }
        (0..self.partitions.max(control.partitions())).all(|partition| match self.owned.get(&partition) {
            Some(owned) => {
                owned.queued() == 0
                    && owned.found.is_empty()
                    && self.fetcher.is_through(partition, control)
                    && self.lowest_in_hand(partition).is_none()
                    && !control.decides(partition, owned.decided_to)
            }
            None => match self.marks.get(&partition) {
                Some((offset, mark)) => {
                    *offset >= control.end_of(partition)
                        && mark.q == 0
                        && mark.c == [0, 0]
                        && !control.decides(partition, mark.control)
                }
                None => control.end_of(partition) == 0,
            },
        })
    }
}

/// A producer under a name that nobody else has.
fn transactor(shared: &Shared) -> Result<Transactor, Error> {
    let id = shared.names.worker(&uuid::Uuid::new_v4().as_simple().to_string());
    let ears = shared.settings.ears().raising(shared.workers.held_up());
    Transactor::open_with(shared, &id, ears)
}

/// What a thread has come to.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    thread.join().unwrap_or_else(|_| Err(Error::OutOfTurn("a thread that connects to Kafka has panicked".to_owned())))
}
