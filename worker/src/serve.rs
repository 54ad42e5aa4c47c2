//! The whole of `mailcampaign-worker`: agree on the content with who published it, join, and send until told to stop.

use crate::{Backends, Ended, Error, Opened, Options, Progress, Stop, run};
use journal::{Journal, WorkerOptions};
use program::Failure;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Time between two looks whether the content is pinned, and between two tries to join.
const AGAIN: Duration = Duration::from_secs(1);
/// A call of the journal may take this long while nothing is sent yet.
const BOUND: Duration = Duration::from_mins(2);

/// Sends a campaign's mails as one of its workers.
///
/// # Errors
/// The content is not what was published, the journal failed for good, or, where the run was to be done, something else has to be done first.
pub async fn serve<J: Journal>(
    journal: &J,
    opened: &Opened,
    backends: Backends,
    options: Options,
    stop: Stop,
) -> Result<(), Failure> {
    let taken = WorkerOptions { on_unknown: options.on_unknown, now: options.clock.now() };
    let joining = async {
        agree(journal, opened, &options).await?;
        Ok::<_, Failure>(patiently(&options, || journal.worker(taken)).await?)
    };
    let worker = tokio::select! {
        biased;
        () = stop.asked_for() => return Ok(()),
        joined = joining => joined?,
    };
    tracing::info!(campaign = %opened.bundle.campaign.namespaced_name(), uid = %opened.uid, "sending");
    let (progress, _) = watch::channel(Progress::default());
    let finished = run(worker, Arc::clone(&opened.letters), backends, options, stop, progress).await?;
    tracing::info!(ended = ?finished.ended, counts = ?finished.counts, "ended");
    match finished.ended {
        Ended::Done | Ended::Stopped => Ok(()),
        Ended::Paused(reason) | Ended::NoBackend(reason) => Err(Failure::try_again(reason)),
    }
}

/// Waits until the content is pinned, and refuses another than ours.
async fn agree<J: Journal>(journal: &J, opened: &Opened, options: &Options) -> Result<(), Failure> {
    let mut said = false;
    loop {
        if let Some(pinned) = patiently(options, || journal.pinned()).await? {
            return pinned.must_be(&opened.pin(pinned.shards)).map_err(|error| {
                Failure::bad_input(format!("{error}. Give this worker the files and the run label that were published"))
            });
        }
        if !std::mem::replace(&mut said, true) {
            tracing::info!("waiting for the producer");
        }
        options.health.ready().wait_for("waiting for the producer");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Calls the journal until it answers, or fails for good.
async fn patiently<T, F: Future<Output = Result<T, journal::Error>>>(
    options: &Options,
    mut call: impl FnMut() -> F,
) -> Result<T, journal::Error> {
    let heart = options.health.heartbeat("joining", BOUND);
    let mut said = false;
    loop {
        match call().await {
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut said, true) {
                    tracing::error!(%error, "the journal can't be reached; trying again");
                }
                options.metrics.journal_is_reachable(false);
                options.health.ready().wait_for("the journal can't be reached");
            }
            answer => return answer,
        }
        heart.beat();
        tokio::time::sleep(AGAIN).await;
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Journal(error) => error.into(),
            Error::JournalSilent => Self::try_again(error.to_string()),
        }
    }
}
