//! A journal that can't be written for a while.

use crate::support::{Campaign, Scripted, counts, options, people};
use campaign::Counts;
use jiff::Timestamp;
use journal::{Claimed, Error, Queued, Tick, Worker, WorkerOptions};
use std::collections::BTreeSet;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio::sync::watch;
use worker::{Backends, Finished, Progress, Stop};

/// A worker whose disk is full for some commits: those from the second on.
struct FullDisk<W> {
    inner: W,
    commits: u32,
    failures: u32,
    failed: Arc<AtomicU32>,
}

impl<W: Worker> Worker for FullDisk<W> {
    async fn take(&mut self, max: usize, now: Timestamp) -> Result<Vec<Queued>, Error> {
        self.inner.take(max, now).await
    }

    async fn commit(&mut self, tick: Tick) -> Result<Vec<Claimed>, Error> {
        self.commits += 1;
        if self.commits >= 2 && self.failed.load(Ordering::SeqCst) < self.failures {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(Error::DiskFull { path: "journal.db".into() });
        }
        self.inner.commit(tick).await
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
}

/// How many recipients were sent to; nobody may have been twice.
fn recipients_of(backend: &Scripted) -> u64 {
    let calls = backend.calls();
    let different: BTreeSet<&String> = calls.iter().map(|(to, _)| to).collect();
    assert_eq!(different.len(), calls.len(), "under Hold nobody gets it twice");
    different.len() as u64
}

/// A run of 50 mails, 10 at a time, whose disk is full for so many commits; how often it was, and how it ended.
async fn run_with_full_disk(
    campaign: &Campaign,
    backend: &Scripted,
    failures: u32,
) -> (u32, Result<Finished, worker::Error>) {
    let mut options = options();
    options.max_in_flight = 10;
    let failed = Arc::new(AtomicU32::new(0));
    let taken = WorkerOptions { on_unknown: options.on_unknown, now: Timestamp::now() };
    let inner = journal::Journal::worker(&campaign.journal, taken).await.expect("a worker");
    let worker = FullDisk { inner, commits: 0, failures, failed: Arc::clone(&failed) };
    let (progress, _) = watch::channel(Progress::default());
    let backends = Backends::new("relay", "here", 4, backend.clone());
    let ended = worker::run(worker, campaign.letters(), backends, options, Stop::new(), progress).await;
    (failed.load(Ordering::SeqCst), ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_for_a_moment_stops_the_run_and_what_was_sent_is_settled() {
    let campaign = Campaign::to(people(50, "example.com")).await;
    let backend = Scripted::that_takes_everything();
    let (failed, ended) = run_with_full_disk(&campaign, &backend, 2).await;
    assert!(matches!(ended, Err(worker::Error::Journal(Error::DiskFull { .. }))), "{ended:?}");
    assert_eq!(failed, 2);
    // Of the claimed ones, those that were not begun when the disk was full are handed back.
    let sent = recipients_of(&backend);
    assert!(sent <= 10, "nothing is claimed any more, and {sent} were sent");
    let expected = counts(50, |counts| (counts.delivered, counts.pending) = (sent, 50 - sent));
    assert_eq!(journal::Journal::counts(&campaign.journal).await.expect("counts"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stays_full_ends_the_run_with_what_to_do_and_the_next_run_goes_on() {
    let campaign = Campaign::to(people(50, "example.com")).await;
    let backend = Scripted::that_takes_everything();
    let (failed, ended) = run_with_full_disk(&campaign, &backend, u32::MAX).await;
    let error = ended.expect_err("full");
    assert!(error.to_string().contains("free some space"), "{error}");
    assert!(failed > 5, "tried {failed} times");
    let finished = campaign.run(Backends::new("relay", "here", 4, backend.clone()), options()).await;
    assert_eq!(finished.counts, counts(50, |counts| (counts.delivered, counts.unknown) = (40, 10)));
    // The ten claimed ones: some were sent before the disk was full, none after.
    assert!((40..=50).contains(&recipients_of(&backend)));
}
