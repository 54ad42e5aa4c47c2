//! The lanes on which mails are delivered: as many as the backends can take, each with one mail at a time.
//!
//! Lanes, not a task a mail: so that a thousand claimed mails are not a thousand rendered letters in memory, and what waits can be handed back.

use crate::deliver::{Delivered, Desk};
use async_channel::{Receiver, Sender};
use futures::FutureExt;
use journal::Claimed;
use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{sync::Notify, task::JoinSet};

/// Lanes for each mail that the backends can take at the same time: one is being sent while the next is being rendered.
const PER_CONNECTION: usize = 2;

/// The lanes of a run.
pub(crate) struct Lanes {
    give: Sender<Claimed>,
    take: Receiver<Claimed>,
    finished: Arc<Finished>,
    /// Given and not yet taken back as finished.
    sending: usize,
    /// Ends the lanes with the run.
    _tasks: JoinSet<()>,
}

/// What the lanes have finished.
#[derive(Default)]
struct Finished {
    list: Mutex<Vec<Delivered>>,
    /// The length at which whoever waits is woken.
    enough: AtomicUsize,
    woken: Notify,
}

impl Lanes {
    /// Opens the lanes, at most `most` of them.
    pub(crate) fn open(desk: &Arc<Desk>, most: usize) -> Self {
        let (give, take) = async_channel::unbounded();
        let finished = Arc::new(Finished::default());
        finished.enough.store(usize::MAX, Ordering::Relaxed);
        let mut tasks = JoinSet::new();
        for _ in 0..(desk.pool.connections() * PER_CONNECTION).clamp(1, most.max(1)) {
            tasks.spawn(lane(Arc::clone(desk), take.clone(), Arc::clone(&finished)));
        }
        Self { give, take, finished, sending: 0, _tasks: tasks }
    }

    /// Sends these.
    pub(crate) fn give(&mut self, mails: Vec<Claimed>) {
        self.sending += mails.len();
        for mail in mails {
            // Open as long as `self` is, and without a bound.
            let _ = self.give.try_send(mail);
        }
    }

    /// What was finished since the last call.
    pub(crate) fn take_finished(&mut self) -> Vec<Delivered> {
        self.finished.enough.store(usize::MAX, Ordering::Relaxed);
        let finished = std::mem::take(&mut *self.finished.lock());
        self.sending -= finished.len();
        finished
    }

    /// Takes back those that no lane has begun.
    pub(crate) fn take_back(&mut self) -> Vec<Claimed> {
        let back: Vec<_> = std::iter::from_fn(|| self.take.try_recv().ok()).collect();
        self.sending -= back.len();
        back
    }

    /// Takes back those that no lane has begun and that may not be begun any more: their lease is over.
    pub(crate) fn take_lapsed(&mut self) -> Vec<Claimed> {
        let (still, lapsed): (Vec<_>, Vec<_>) = self.take_back().into_iter().partition(|mail| mail.lease().may_begin());
        self.give(still);
        lapsed
    }

    /// Mails on their way: given, and not yet taken as finished.
    pub(crate) fn sending(&self) -> usize {
        self.sending
    }

    /// Resolves when that many are finished.
    pub(crate) async fn finished(&self, enough: usize) {
        self.finished.enough.store(enough, Ordering::SeqCst);
        while self.finished.lock().len() < enough {
            self.finished.woken.notified().await;
        }
    }
}

impl Finished {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Delivered>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, delivered: Delivered) {
        let length = {
            let mut list = self.lock();
            list.push(delivered);
            list.len()
        };
        if length == self.enough.load(Ordering::SeqCst) {
            self.woken.notify_one();
        }
    }
}

async fn lane(desk: Arc<Desk>, mails: Receiver<Claimed>, finished: Arc<Finished>) {
    while let Ok(mail) = mails.recv().await {
        // A mail must not get lost in a panic, or the run would wait for it forever.
        let delivered = AssertUnwindSafe(desk.deliver(&mail)).catch_unwind().await;
        finished.add(delivered.unwrap_or_else(|_| desk.lost(&mail)));
    }
}
