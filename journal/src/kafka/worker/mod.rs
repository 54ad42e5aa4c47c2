//! The worker of the Kafka journal: a member of the campaign's group that claims and settles the rows of its partitions.
//!
//! The rules, each because the other way lost or doubled mails (`docs/protocol.md`):
//! - One transaction a tick: what was finished, what is claimed, and the offsets. Only after it has committed is a claim sent.
//! - Who this worker is for the group is captured together with what it owns when a tick is formed, never later.
//! - A claim is good as long as the lease, which each committed tick renews. A partition that is wanted back is given away when its mails are settled.
//! - Claims that are found in a partition are unknown only when their owner's lease has certainly run out.
//!
//! Everything blocks, on a thread of its own ([`actor`]); this file is the way in and out of it.

mod actor;
mod aside;
mod fetch;
mod form;
mod internal;
mod leaving;
mod member;
mod owned;
mod taking;
mod writing;

use super::Shared;
use crate::{Claimed, Error, Queued, Share, Tick, Worker, WorkerOptions};
use campaign::Counts;
use jiff::Timestamp;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a worker that is dropped may take to leave the group.
const LEAVE: Duration = Duration::from_secs(5);

/// What the workers of one journal handle share.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// Set while Kafka can't be reached: nothing is begun.
    held_up: Arc<AtomicBool>,
    /// Set when all of them are to die at once, as by SIGKILL. For tests.
    crash: AtomicBool,
    /// How many there are.
    alive: AtomicUsize,
    /// The broker has no `group.protocol=consumer` (KIP-848, Kafka 4.0): the classic protocol it is.
    classic: AtomicBool,
    /// What a test does between the offsets of a tick and its commit.
    #[cfg(feature = "conformance")]
    pub(super) before_commit: super::failpoint::Failpoint,
}

impl Workers {
    /// See [`Workers::held_up`].
    pub(super) fn held_up(&self) -> Arc<AtomicBool> {
        self.held_up.clone()
    }

    /// Ends all workers as by SIGKILL: nothing is settled or said any more. Returns when they are gone.
    #[cfg(feature = "conformance")]
    pub(super) fn crash(&self) {
        self.crash.store(true, Ordering::SeqCst);
        while self.alive.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.crash.store(false, Ordering::SeqCst);
    }
}

/// What a worker knows, for those who ask without waiting.
#[derive(Debug, Clone, Default)]
struct Snapshot {
    counts: Counts,
    next_due: Option<Timestamp>,
    exhausted: bool,
    taking_over: u64,
    owned: u32,
    of: u32,
    paused: bool,
    suspended: bool,
}

/// What is asked of the thread.
enum Request {
    Take { max: usize, now: Timestamp, answer: oneshot::Sender<Result<Vec<Queued>, Error>> },
    Commit { tick: Tick, answer: oneshot::Sender<Result<Vec<Claimed>, Error>> },
}

/// A member of the group of workers. When it is dropped it leaves; what it has claimed and not settled is unknown from then on.
pub struct KafkaWorker {
    requests: Option<Sender<Request>>,
    snapshot: Arc<Mutex<Snapshot>>,
    gone: Receiver<()>,
}

impl KafkaWorker {
    /// Joins the group, and returns when it has got its share, or after a few seconds without one.
    pub(super) async fn begin(shared: Arc<Shared>, options: WorkerOptions) -> Result<Self, Error> {
        let (requests, inbox) = channel();
        let (leave, gone) = channel();
        let (ready, began) = oneshot::channel();
        let snapshot = Arc::new(Mutex::new(Snapshot::default()));
        let seen = snapshot.clone();
        let work = move || {
            shared.workers.alive.fetch_add(1, Ordering::SeqCst);
            match actor::Actor::start(shared.clone(), options, seen) {
                Ok(mut actor) => {
                    // Nobody waits any more only if the caller was dropped; then the inbox is closed as well.
                    let _ = ready.send(Ok(()));
                    actor.run(&inbox);
                }
                Err(error) => drop(ready.send(Err(error))),
            }
            shared.workers.alive.fetch_sub(1, Ordering::SeqCst);
            drop(leave);
        };
        let thread = std::thread::Builder::new().name("kafka-worker".to_owned()).spawn(work);
        thread.map_err(|error| Error::Unsuitable { why: format!("no thread can be started: {error}") })?;
        began.await.map_err(|_| thread_ended())??;
        Ok(Self { requests: Some(requests), snapshot, gone })
    }

    fn ask(&self, request: Request) -> Result<(), Error> {
        let requests = self.requests.as_ref().ok_or_else(thread_ended)?;
        requests.send(request).map_err(|_| thread_ended())
    }

    fn look<T>(&self, at: impl FnOnce(&Snapshot) -> T) -> T {
        at(&self.snapshot.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn thread_ended() -> Error {
    Error::OutOfTurn("the worker's thread has ended".to_owned())
}

impl Worker for KafkaWorker {
    async fn take(&mut self, max: usize, now: Timestamp) -> Result<Vec<Queued>, Error> {
        let (answer, taken) = oneshot::channel();
        self.ask(Request::Take { max, now, answer })?;
        taken.await.map_err(|_| thread_ended())?
    }

    async fn commit(&mut self, tick: Tick) -> Result<Vec<Claimed>, Error> {
        let (answer, committed) = oneshot::channel();
        self.ask(Request::Commit { tick, answer })?;
        committed.await.map_err(|_| thread_ended())?
    }

    fn counts(&self) -> Counts {
        self.look(|snapshot| snapshot.counts)
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.look(|snapshot| snapshot.next_due)
    }

    fn exhausted(&self) -> bool {
        self.look(|snapshot| snapshot.exhausted)
    }

    fn taking_over(&self) -> u64 {
        self.look(|snapshot| snapshot.taking_over)
    }

    fn paused(&self) -> bool {
        self.look(|snapshot| snapshot.paused)
    }

    fn suspended(&self) -> bool {
        self.look(|snapshot| snapshot.suspended)
    }

    fn share(&self) -> Share {
        self.look(|snapshot| Share { owned: snapshot.owned, of: snapshot.of.max(1) })
    }
}

impl Drop for KafkaWorker {
    /// Closes the leases, says that nothing more comes, and leaves the group.
    fn drop(&mut self) {
        self.requests = None;
        // Ends when the thread drops its side.
        let _ = self.gone.recv_timeout(LEAVE);
    }
}
