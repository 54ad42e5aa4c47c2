//! The journal's thread: all work on the file happens here, in the order it was asked for.
//!
//! A publisher's chunk and a worker's tick that wait at the same time share one commit, and so one sync of the disk.

use super::store::{Shared, Snapshot, Store};
use super::{publish, tick};
use crate::Error;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

type Reply = oneshot::Sender<Result<(), Error>>;

/// A write that may share a commit.
pub(super) enum Write {
    /// A publisher's.
    Chunk(publish::Chunk),
    /// A worker's.
    Tick(tick::Written),
}

enum Job {
    Write(Write, Reply),
    Call(Box<dyn FnOnce(&mut Store) + Send>),
}

/// The handle of the thread. When the last one is dropped the thread ends, the file is closed and the lock given back.
pub(super) struct Engine {
    /// None only while being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    shared: Shared,
    path: PathBuf,
}

impl Engine {
    /// Gives the store a thread.
    pub(super) fn start(store: Store) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel();
        let (shared, path) = (store.shared.clone(), store.path.clone());
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || serve(store, &queue))
            .map_err(|source| Error::Storage { path: path.clone(), source: source.into() })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), shared, path })
    }

    /// As of the last commit.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.shared.get()
    }

    /// The journal's file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs something on the thread.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Call(Box::new(move |store| {
            let result = work(store);
            // Nobody waits any more: the caller was dropped.
            let _ = reply.send(result);
        })))?;
        answer.await.map_err(|_| self.ended())?
    }

    /// Runs something on the thread that nobody waits for.
    pub(super) fn tell(&self, work: impl FnOnce(&mut Store) + Send + 'static) {
        // A thread that has ended owns nothing.
        let _ = self.send(Job::Call(Box::new(work)));
    }

    /// Commits a write.
    pub(super) async fn write(&self, write: Write) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Write(write, reply))?;
        answer.await.map_err(|_| self.ended())?
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(|| self.ended())
    }

    fn ended(&self) -> Error {
        Error::Storage { path: self.path.clone(), source: "the journal's thread has ended".into() }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread panicked");
        }
    }
}

fn serve(mut store: Store, queue: &mpsc::Receiver<Job>) {
    let mut put_back = None;
    while let Some(job) = put_back.take().or_else(|| queue.recv().ok()) {
        match job {
            Job::Call(work) => work(&mut store),
            Job::Write(write, reply) => {
                let mut group = vec![(write, reply)];
                put_back = companion(&mut group, queue);
                commit(&mut store, group);
                store.checkpoint();
            }
        }
    }
}

/// Adds a waiting write of the other sort to the group; a job that doesn't fit is returned.
fn companion(group: &mut Vec<(Write, Reply)>, queue: &mpsc::Receiver<Job>) -> Option<Job> {
    match queue.try_recv().ok()? {
        Job::Write(write, reply) if group.iter().all(|(first, _)| first.is_chunk() != write.is_chunk()) => {
            group.push((write, reply));
            None
        }
        job => Some(job),
    }
}

/// Commits the group as one; if that fails each alone, so that nobody's error is another's.
fn commit(store: &mut Store, group: Vec<(Write, Reply)>) {
    let together = store.transaction(|connection, ledger, draft| {
        group.iter().try_for_each(|(write, _)| write.apply(connection, ledger, draft))
    });
    let results: Vec<Result<(), Error>> = match together {
        Ok(()) => group.iter().map(|_| Ok(())).collect(),
        Err(error) if group.len() == 1 => vec![Err(error)],
        Err(_) => group
            .iter()
            .map(|(write, _)| store.transaction(|connection, ledger, draft| write.apply(connection, ledger, draft)))
            .collect(),
    };
    store.refresh();
    for ((_, reply), result) in group.into_iter().zip(results) {
        // Nobody waits any more: the caller was dropped. What was committed holds.
        let _ = reply.send(result);
    }
}

impl Write {
    fn is_chunk(&self) -> bool {
        matches!(self, Self::Chunk(_))
    }

    fn apply(
        &self,
        connection: &rusqlite::Connection,
        ledger: &super::ledger::Ledger,
        draft: &mut super::ledger::Draft,
    ) -> Result<(), super::fault::Fault> {
        match self {
            Self::Chunk(chunk) => chunk.write(connection, ledger, draft),
            Self::Tick(tick) => tick.write(connection, ledger, draft),
        }
    }
}
