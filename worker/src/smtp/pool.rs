//! Who sends which mail, and over how many connections.
//!
//! Mails wait in one queue; connections take from it. A connection is opened when more mails wait than connections are idle or being opened, so three
//! mails never open twenty. A server that refuses one more connection gets fewer for a while; no mail fails for it, as long as one connection works.

use super::{
    Failure, Kind, Phase, Settings,
    connection::Connection,
    job::{Job, Stage},
    pipeline,
    tls::{BadCertificates, Trust},
};
use crate::metrics::Phases;
use campaign::spec::Tls;
use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, task::AbortHandle, time::Instant};
use tokio_util::task::TaskTracker;

/// How long a connection without work is kept.
const IDLE: Duration = Duration::from_secs(30);
/// How long a server that refused one more connection is not asked again.
const RESPITE: Duration = Duration::from_secs(30);
/// How often a mail is taken back from connections that end before they have served it.
const RETURNS: u8 = 3;

pub(super) struct Pool {
    pub(super) settings: Settings,
    /// Who wants to know how long things take, if anybody does.
    phases: OnceLock<Phases>,
    trust: Option<Trust>,
    state: Mutex<State>,
    /// Wakes idle connections, one a mail.
    work: Notify,
    tasks: TaskTracker,
    aborts: Mutex<Vec<AbortHandle>>,
}

struct State {
    queue: VecDeque<Job>,
    idle: usize,
    opening: usize,
    open: usize,
    /// Connections at most, for now.
    limit: usize,
    limited_until: Option<Instant>,
    closed: bool,
}

/// What an idle connection woke up for.
pub(super) enum Woken {
    /// Look into the queue again.
    Work,
    /// It is to close.
    Enough,
    /// The server has something to say, or has gone.
    Server,
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Result<Arc<Self>, BadCertificates> {
        let trust = if settings.tls == Tls::None { None } else { Some(Trust::new(&settings)?) };
        let state = State {
            queue: VecDeque::new(),
            idle: 0,
            opening: 0,
            open: 0,
            limit: most(&settings),
            limited_until: None,
            closed: false,
        };
        Ok(Arc::new(Self {
            settings,
            phases: OnceLock::new(),
            trust,
            state: Mutex::new(state),
            work: Notify::new(),
            tasks: TaskTracker::new(),
            aborts: Mutex::default(),
        }))
    }

    pub(super) fn observe(&self, phases: Phases) {
        // The first who asks is told.
        let _ = self.phases.set(phases);
    }

    pub(super) fn phases(&self) -> Option<&Phases> {
        self.phases.get()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn connections(&self) -> usize {
        let state = self.state();
        state.open + state.opening
    }

    pub(super) fn submit(self: &Arc<Self>, job: Job) {
        self.enqueue(job, VecDeque::push_back);
    }

    fn enqueue(self: &Arc<Self>, job: Job, push: fn(&mut VecDeque<Job>, Job)) {
        {
            let mut state = self.state();
            if state.closed {
                drop(state); // Before the job, which says that it was not begun.
                return;
            }
            push(&mut state.queue, job);
        }
        self.serve_queue();
    }

    /// Wakes a connection, or opens as many as are needed.
    fn serve_queue(self: &Arc<Self>) {
        let places = {
            let mut state = self.state();
            if state.idle > 0 {
                self.work.notify_one();
            }
            if state.limited_until.is_some_and(|until| Instant::now() >= until) {
                (state.limit, state.limited_until) = (most(&self.settings), None);
            }
            let needed = state.queue.len().saturating_sub(state.idle + state.opening);
            let free = state.limit.saturating_sub(state.open + state.opening);
            let places = if state.closed { 0 } else { needed.min(free) };
            state.opening += places;
            places
        };
        for _ in 0..places {
            let task = self.tasks.spawn(live(Place { pool: Arc::clone(self), life: Life::Opening }));
            let mut aborts = lock(&self.aborts);
            aborts.retain(|task| !task.is_finished());
            aborts.push(task.abort_handle());
        }
    }

    /// The next mail that may be begun.
    pub(super) fn take(&self) -> Option<Job> {
        loop {
            // Those that may not be begun are dropped, and say so.
            let job = self.state().queue.pop_front()?;
            if job.may_begin() {
                return Some(job);
            }
        }
    }

    /// The next mail for a connection that is still busy with another: only if nobody is free to serve it now.
    pub(super) fn take_ahead(&self) -> Option<Job> {
        loop {
            let mut state = self.state();
            let job = if state.idle == 0 { state.queue.pop_front()? } else { return None };
            drop(state);
            if job.may_begin() {
                return Some(job);
            }
        }
    }

    /// Takes back a mail of which no content was written.
    pub(super) fn give_back(self: &Arc<Self>, mut job: Job) {
        if job.returned >= RETURNS {
            let text = format!("{RETURNS} connections ended before they had served it");
            return job.fail(Failure::new(Phase::Mail, Kind::Lost, text));
        }
        job.returned += 1;
        job.progress.set(Stage::Queued);
        self.enqueue(job, VecDeque::push_front);
    }

    /// Waits until there is something to do for a connection that has nothing to do.
    pub(super) async fn rest(&self, connection: &mut Connection) -> Woken {
        let mut notified = pin!(self.work.notified());
        // Before looking, so that a mail that comes after the look wakes this one.
        notified.as_mut().enable();
        {
            let mut state = self.state();
            if !state.queue.is_empty() {
                return Woken::Work;
            }
            if state.closed {
                return Woken::Enough;
            }
            state.idle += 1;
        }
        let resting = Resting(self);
        let woken = tokio::select! {
            biased;
            () = notified => Woken::Work,
            () = connection.speaks() => Woken::Server,
            () = tokio::time::sleep(IDLE) => Woken::Enough,
        };
        drop(resting);
        woken
    }

    pub(super) fn retire(&self) {
        let unbegun = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.queue)
        };
        drop(unbegun);
        self.work.notify_waiters();
    }

    pub(super) async fn close(&self, patience: Duration) {
        self.retire();
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            lock(&self.aborts).iter().for_each(AbortHandle::abort);
            self.tasks.wait().await;
        }
    }
}

/// Nothing that holds a lock here can panic half-way, so that a poisoned one is as good as new.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn most(settings: &Settings) -> usize {
    usize::try_from(settings.connections).unwrap_or(usize::MAX).max(1)
}

/// Counts an idle connection, however its rest ends.
struct Resting<'a>(&'a Pool);

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.state().idle -= 1;
    }
}

/// A connection's place in the pool: given up however its life ends.
struct Place {
    pool: Arc<Pool>,
    life: Life,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Opening,
    Open,
    Failed,
}

/// One connection from its opening to its end.
async fn live(mut place: Place) {
    let started = Instant::now();
    match Connection::open(&place.pool.settings, place.pool.trust.as_ref()).await {
        Ok(connection) => {
            if let Some(phases) = place.pool.phases() {
                phases.connect.observe(started.elapsed().as_secs_f64());
            }
            place.opened();
            pipeline::serve(connection, &place.pool).await;
        }
        Err(failure) => place.failed(&failure),
    }
}

impl Place {
    fn opened(&mut self) {
        let mut state = self.pool.state();
        state.opening -= 1;
        state.open += 1;
        self.life = Life::Open;
    }

    /// While another connection works or may come to work, the server is asked for fewer; else nothing works, and every mail must know.
    fn failed(&mut self, failure: &Failure) {
        let failed = {
            let mut state = self.pool.state();
            state.opening -= 1;
            self.life = Life::Failed;
            let others = state.open + state.opening;
            if others > 0 {
                tracing::debug!(phase = failure.phase().name(), others, "the server takes no further connection");
                state.limit = others;
                state.limited_until = Some(Instant::now() + RESPITE);
                VecDeque::new()
            } else {
                std::mem::take(&mut state.queue)
            }
        };
        for job in failed {
            job.fail(failure.clone());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.life {
            Life::Open => self.pool.state().open -= 1,
            Life::Failed => {}
            Life::Opening => {
                self.pool.state().opening -= 1;
                // It was aborted: nothing here will run any more.
                self.pool.retire();
            }
        }
        self.pool.serve_queue();
    }
}
