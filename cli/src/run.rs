//! `mailcampaign run`: preflight, pin, then publish and send at the same time.

use crate::args::Run;
use crate::failure::{Failure, INTERRUPTED, NOT_ALL_DELIVERED};
use crate::opened::Opened;
use crate::state::{self, Destination};
use crate::stop::Signals;
use crate::summary::Summary;
use crate::{list, progress};
use campaign::Counts;
use jiff::Timestamp;
use journal::embedded::Embedded;
use journal::{Command, Journal, Pin, WorkerOptions};
use producer::Preflight;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use worker::{Backends, Ended, Options, Progress, Stop};

/// Runs the campaign to its end, or until it is stopped.
pub(crate) async fn run(args: Run) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let mut signals = Signals::listen().map_err(|error| Failure::bad_input(error.to_string()))?;
    let opened = Opened::open(&args.which.file, args.label.as_deref()).await?;
    let backends = backends(&args, &opened)?;
    let pin = pin(&args, &opened);
    let journal = state::open_for_run(&state::folder(&args.which, &opened), &pin, args.restart).await?;
    let before = journal.counts().await?;
    if is_finished(&journal, before).await? {
        crate::tell("This campaign is finished; nothing is sent. (--restart begins anew, to everybody on the list.)");
        conclude(&args, before, before, started);
        return Ok(exit_code(before, &Ended::Done));
    }
    let preflight = if journal.published().await? {
        None
    } else {
        // Nothing is under way yet: a signal ends it here.
        tokio::select! {
            preflight = list::preflight_for_run(&opened, &backends) => Some(preflight?),
            () = signals.next() => return Ok(ExitCode::from(INTERRUPTED)),
        }
    };
    journal.pin(pin).await?;
    resume_if_paused(&journal).await?;
    let campaign = Arc::new(opened);
    let ended = send(&campaign, &journal, preflight, backends, options(&args, &campaign), signals).await;
    let counts = journal.counts().await?;
    conclude(&args, before, counts, started);
    let ended = ended?;
    if let Ended::Paused(reason) | Ended::NoBackend(reason) = &ended {
        crate::tell(&format!("Stopped: {reason}"));
        crate::tell("What was not sent is kept; run again to go on.");
    }
    Ok(exit_code(counts, &ended))
}

fn backends(args: &Run, opened: &Opened) -> Result<Backends, Failure> {
    if !args.send {
        return Ok(Backends::outbox(&args.outbox));
    }
    let campaign = &opened.bundle.campaign;
    Backends::build(&campaign.spec.delivery.backends, &opened.bundle.contents, &campaign.from.address)
        .map_err(|mistakes| Failure::mistakes(&mistakes))
}

/// A rehearsal need not spare anybody's servers.
fn options(args: &Run, opened: &Opened) -> Options {
    let options = Options::from(&opened.bundle.campaign.spec.delivery);
    Options { rate: options.rate.clone().filter(|_| args.send), ..options }
}

fn pin(args: &Run, opened: &Opened) -> Pin {
    Pin {
        uid: opened.uid,
        contents: opened.bundle.hashes.contents.clone(),
        destination: Destination::of(args).name().to_owned(),
        shards: 1,
    }
}

async fn is_finished(journal: &Embedded, counts: Counts) -> Result<bool, Failure> {
    Ok(journal.published().await? && counts.unfinished() == 0 && journal.paused().await?.is_none())
}

/// The person who runs it again has mended what the pause was for.
async fn resume_if_paused(journal: &Embedded) -> Result<(), Failure> {
    if let Some(paused) = journal.paused().await? {
        crate::tell(&format!("Going on after a pause: {}", paused.reason));
        journal.command(Command::Resume).await?;
    }
    Ok(())
}

/// Publishes what is not published yet, and sends at the same time.
async fn send(
    opened: &Arc<Opened>,
    journal: &Embedded,
    preflight: Option<Preflight>,
    backends: Backends,
    options: Options,
    signals: Signals,
) -> Result<Ended, Failure> {
    let stop = Stop::new();
    let worker = journal.worker(WorkerOptions { on_unknown: options.on_unknown, now: Timestamp::now() }).await?;
    let listening = tokio::spawn(obey(signals, stop.clone()));
    let publishing = preflight.map(|preflight| {
        let (journal, input, stop) = (journal.clone(), Arc::clone(&opened.input), stop.clone());
        tokio::spawn(async move {
            let published = list::publish(journal, input, Arc::new(preflight), stop.clone()).await;
            // Without the rest of the list the sending would wait for ever.
            if published.is_err() {
                stop.gracefully();
            }
            published
        })
    });
    let (progress_out, progress_in) = watch::channel(Progress::default());
    let shown = tokio::spawn(progress::show(progress_in));
    let letters = Arc::clone(&opened.letters);
    let finished = worker::run(worker, letters, backends, options, stop.clone(), progress_out).await;
    listening.abort();
    stop.gracefully();
    drop(shown.await);
    if let Some(publishing) = publishing {
        publishing
            .await
            .map_err(|panic| Failure::halfway(format!("publishing failed: {panic}")))?
            .map_err(|error| Failure::halfway(error.to_string()))?;
    }
    Ok(finished.map_err(|error| Failure::halfway(error.to_string()))?.ended)
}

/// The first signal asks for a clean stop, the second for one at once.
async fn obey(mut signals: Signals, stop: Stop) {
    signals.next().await;
    crate::tell("Stopping: what is under way is finished, nothing new is begun. Again to stop at once.");
    stop.gracefully();
    signals.next().await;
    stop.now();
}

/// Prints the account.
fn conclude(args: &Run, before: Counts, counts: Counts, started: Instant) {
    let settled = |counts: Counts| counts.published.saturating_sub(counts.unfinished());
    let summary = Summary::new(counts, settled(counts).saturating_sub(settled(before)), started.elapsed());
    crate::say(&format!("{}\n", summary.text()));
    if !args.send && counts.delivered > 0 {
        crate::say(&format!(
            "The mails are in {}; nothing has left this machine. Send them with --send.\n",
            args.outbox.join("new").display()
        ));
    }
    if counts.unknown > 0 {
        crate::say("Nobody knows whether the unknown ones arrived: `mailcampaign resolve --help`.\n");
    }
    if args.json {
        crate::say(&format!("{}\n", summary.json()));
    }
}

fn exit_code(counts: Counts, ended: &Ended) -> ExitCode {
    match ended {
        Ended::Stopped => ExitCode::from(INTERRUPTED),
        _ if counts.delivered == counts.published => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_ALL_DELIVERED),
    }
}
