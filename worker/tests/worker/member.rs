//! A journal that is shared with other workers, as far as one of them notices: leases that are closed, shares that change, brokers that are away.

use crate::support::Campaign;
use campaign::{Counts, Outcome};
use jiff::Timestamp;
use journal::{Claimed, Error, Journal, Lease, Queued, Share, Tick, Worker, WorkerOptions};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle};
use worker::{Backends, Finished, Options, Progress, Stop};

/// What others do, and what the worker asks.
pub(crate) struct Group {
    /// The worker's share.
    pub(crate) share: Mutex<Share>,
    /// No call succeeds.
    pub(crate) down: AtomicBool,
    /// No call returns.
    pub(crate) hangs: AtomicBool,
    /// Others have paused the campaign.
    pub(crate) paused: AtomicBool,
    /// No transaction ends.
    pub(crate) mute: AtomicBool,
    /// Somebody else has taken over.
    pub(crate) fenced: AtomicBool,
    /// Calls that failed.
    pub(crate) failed: AtomicUsize,
    /// When rows were asked for, and how many.
    pub(crate) takes: Mutex<Vec<(Instant, usize)>>,
    /// When transactions were committed.
    pub(crate) commits: Mutex<Vec<Instant>>,
    /// Rows that were handed back.
    pub(crate) released: Mutex<BTreeSet<u64>>,
    leases: Mutex<HashMap<u64, Lease>>,
}

impl Group {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            share: Mutex::new(Share::WHOLE),
            down: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            failed: AtomicUsize::new(0),
            takes: Mutex::default(),
            commits: Mutex::default(),
            released: Mutex::default(),
            leases: Mutex::default(),
        })
    }

    /// The leases of what was claimed so far, which become nobody's.
    pub(crate) fn take_leases(&self) -> HashMap<u64, Lease> {
        std::mem::take(&mut *self.leases.lock().expect("a lock"))
    }

    /// Starts a run of the campaign as a member.
    pub(crate) async fn start(
        self: &Arc<Self>,
        campaign: &Campaign,
        backends: Backends,
        options: Options,
        stop: &Stop,
    ) -> JoinHandle<Result<Finished, worker::Error>> {
        let taken = WorkerOptions { on_unknown: options.on_unknown, now: Timestamp::now() };
        let inner = campaign.journal.worker(taken).await.expect("a worker");
        let (progress, _) = watch::channel(Progress::default());
        let member = Member { inner, group: Arc::clone(self) };
        tokio::spawn(worker::run(member, campaign.letters(), backends, options, stop.clone(), progress))
    }

    async fn answer(&self) -> Result<(), Error> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.fenced.load(Ordering::SeqCst) {
            return Err(Error::Fenced);
        }
        if self.down.load(Ordering::SeqCst) {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(Error::Unreachable { brokers: "broker:9092".to_owned(), why: "refused".to_owned() });
        }
        Ok(())
    }
}

struct Member<W> {
    inner: W,
    group: Arc<Group>,
}

impl<W: Worker> Worker for Member<W> {
    async fn take(&mut self, max: usize, now: Timestamp) -> Result<Vec<Queued>, Error> {
        lock(&self.group.takes).push((Instant::now(), max));
        self.group.answer().await?;
        self.inner.take(max, now).await
    }

    async fn commit(&mut self, tick: Tick) -> Result<Vec<Claimed>, Error> {
        self.group.answer().await?;
        if self.group.mute.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        lock(&self.group.commits).push(Instant::now());
        let released = tick.finished.iter().filter(|settlement| settlement.outcome == Outcome::Released);
        lock(&self.group.released).extend(released.map(|settlement| settlement.row));
        let claimed = self.inner.commit(tick).await?;
        let leases = claimed.iter().map(|mail| (mail.message().row, mail.lease().clone()));
        lock(&self.group.leases).extend(leases);
        Ok(claimed)
    }

    fn counts(&self) -> Counts {
        self.inner.counts()
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.inner.next_due()
    }

    fn exhausted(&self) -> bool {
        self.inner.exhausted()
    }

    fn paused(&self) -> bool {
        self.group.paused.load(Ordering::SeqCst) || self.inner.paused()
    }

    fn share(&self) -> Share {
        *lock(&self.group.share)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a lock")
}

/// Waits until something holds, half a minute at most.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within half a minute");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until the account is as wanted, half a minute at most.
pub(crate) async fn until_counts(campaign: &Campaign, holds: impl Fn(Counts) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let counts = campaign.journal.counts().await.expect("counts");
        if holds(counts) {
            return;
        }
        assert!(Instant::now() < deadline, "not within half a minute: {counts:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
