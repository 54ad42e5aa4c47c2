//! `mailcampaign run`: preflight, pin, then publish and send at the same time.

use crate::args::Run;
use crate::members::{self, Member};
use crate::state::{self, with_journal};
use crate::summary::Summary;
use crate::{NOT_ALL_DELIVERED, list, progress, say, tell};
use campaign::{Counts, Schedule};
use jiff::Timestamp;
use journal::{Command, Journal, Pin, WorkerOptions};
use producer::{Destination, Opened, Preflight};
use program::{Failure, Signals, exit};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use worker::{Backends, Ended, Options, Progress, Stop};

/// Runs the campaign to its end, or until it is stopped.
pub(crate) async fn run(args: Run) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let mut signals = Signals::listen().map_err(|error| Failure::bad_input(error.to_string()))?;
    let opened = state::campaign(&args.which).await?;
    // What is wrong with them is told before anything is done.
    let workers = args.workers.map_or(1, NonZeroU32::get);
    let backends = (0..workers).map(|_| backends(&args, &opened)).collect::<Result<Vec<_>, _>>()?;
    if args.send && opened.bundle.campaign.spec.suspend {
        tell("The campaign is suspended; nothing is sent. Set spec.suspend to false, and run again to go on.");
        return Ok(ExitCode::from(NOT_ALL_DELIVERED));
    }
    let pin = opened.pin(destination(&args), 1);
    let journal = tokio::select! {
        journal = state::open_for_run(&args, &opened, &pin) => journal?,
        () = signals.next() => return Ok(ExitCode::from(exit::INTERRUPTED)),
    };
    let campaign = Campaign { args, opened, backends, started };
    with_journal!(journal, journal => campaign.run(journal, pin, signals).await)
}

fn destination(args: &Run) -> Destination {
    if args.send { Destination::Backends } else { Destination::Outbox }
}

fn backends(args: &Run, opened: &Opened) -> Result<Backends, Failure> {
    if !args.send {
        return Ok(Backends::outbox(&args.outbox));
    }
    let campaign = &opened.bundle.campaign;
    Backends::build(&campaign.spec.delivery.backends, &opened.bundle.contents, &campaign.from.address)
        .map_err(|mistakes| Failure::mistakes(&mistakes))
}

/// What is run, and how.
struct Campaign {
    args: Run,
    opened: Opened,
    /// Each worker's.
    backends: Vec<Backends>,
    started: Instant,
}

impl Campaign {
    async fn run<J: Journal>(mut self, journal: J, mut pin: Pin, mut signals: Signals) -> Result<ExitCode, Failure> {
        let by_others = match journal.pinned().await? {
            // Producers that share the list publish it; then this process only sends.
            Some(pinned) if pinned.shards > pin.shards => {
                pin.shards = pinned.shards;
                true
            }
            _ => false,
        };
        let before = journal.counts().await?;
        if is_finished(&journal, before).await? {
            let again = if self.args.which.label.is_some() {
                "another --run LABEL"
            } else {
                "--restart, or --run LABEL with Kafka,"
            };
            tell(&format!(
                "This campaign is finished; nothing is sent. ({again} begins anew, to everybody on the list.)"
            ));
            self.conclude(before, before);
            return Ok(exit_code(before, &Ended::Done));
        }
        let preflight = if journal.published().await? {
            None
        } else if by_others {
            tell(&format!("The list is published by {} producers; this process sends.", pin.shards));
            None
        } else {
            // Nothing is under way yet: a signal ends it here.
            tokio::select! {
                preflight = list::preflight_for_run(&journal, &self.opened) => Some(preflight?),
                () = signals.next() => return Ok(ExitCode::from(exit::INTERRUPTED)),
            }
        };
        if let Some(pinned) = journal.pinned().await? {
            producer::must_be(&pinned, &pin)?;
        }
        journal.pin(pin).await?;
        resume_if_paused(&journal).await?;
        let backends = std::mem::take(&mut self.backends);
        let ended = self.send(&journal, backends, preflight, signals).await;
        let counts = journal.counts().await?;
        self.conclude(before, counts);
        let ended = ended?;
        if let Ended::Paused(reason) | Ended::NoBackend(reason) = &ended {
            // Of several workers one knows why, and the journal.
            let paused = journal.paused().await?.map(|paused| paused.reason);
            tell(&format!("Stopped: {}", paused.as_ref().unwrap_or(reason)));
            tell("What was not sent is kept; run again to go on.");
        }
        Ok(exit_code(counts, &ended))
    }

    /// A rehearsal need not spare anybody's servers, nor wait for a time that is good for the recipients.
    fn options(&self) -> Options {
        let options = Options::from(&self.opened.bundle.campaign);
        if self.args.send {
            return options;
        }
        Options { rate: None, schedule: Schedule::default(), ..options }
    }

    /// Publishes what is not published yet, and sends at the same time.
    async fn send<J: Journal>(
        &self,
        journal: &J,
        backends: Vec<Backends>,
        preflight: Option<Preflight>,
        signals: Signals,
    ) -> Result<Ended, Failure> {
        let (stop, options) = (Stop::new(), self.options());
        let members = members(journal, backends, &options).await?;
        let listening = tokio::spawn(obey(signals, stop.clone()));
        let publishing = preflight.map(|preflight| {
            let (journal, input, stop) = (journal.clone(), Arc::clone(&self.opened.input), stop.clone());
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
        let letters = Arc::clone(&self.opened.letters);
        let finished = members::run(members, letters, options, stop.clone(), progress_out).await;
        listening.abort();
        stop.gracefully();
        drop(shown.await);
        if let Some(publishing) = publishing {
            publishing
                .await
                .map_err(|panic| Failure::try_again(format!("publishing failed: {panic}")))?
                .map_err(|error| Failure::try_again(error.to_string()))?;
        }
        finished
    }

    /// Prints the account.
    fn conclude(&self, before: Counts, counts: Counts) {
        let settled = |counts: Counts| counts.published.saturating_sub(counts.unfinished());
        let finished = settled(counts).saturating_sub(settled(before));
        let summary = Summary::new(counts, finished, self.started.elapsed());
        say(&format!("{}\n", summary.text()));
        if !self.args.send && counts.delivered > 0 {
            say(&format!(
                "The mails are in {}; nothing has left this machine. Send them with --send.\n",
                self.args.outbox.join("new").display()
            ));
        }
        if counts.unknown > 0 {
            say("Nobody knows whether the unknown ones arrived: `mailcampaign resolve --help`.\n");
        }
        if self.args.json {
            say(&format!("{}\n", summary.json()));
        }
    }
}

/// A worker for each of the backends.
async fn members<J: Journal>(
    journal: &J,
    backends: Vec<Backends>,
    options: &Options,
) -> Result<Vec<Member<J::Worker>>, Failure> {
    let how = WorkerOptions { on_unknown: options.on_unknown, now: Timestamp::now() };
    let mut members = Vec::new();
    for backends in backends {
        members.push(Member { worker: journal.worker(how).await?, backends });
    }
    Ok(members)
}

async fn is_finished<J: Journal>(journal: &J, counts: Counts) -> Result<bool, Failure> {
    Ok(journal.published().await? && counts.unfinished() == 0 && journal.paused().await?.is_none())
}

/// The person who runs it again has mended what the pause was for.
async fn resume_if_paused<J: Journal>(journal: &J) -> Result<(), Failure> {
    if let Some(paused) = journal.paused().await? {
        tell(&format!("Going on after a pause: {}", paused.reason));
        journal.command(Command::Resume).await?;
    }
    Ok(())
}

/// The first signal asks for a clean stop, the second for one at once.
async fn obey(mut signals: Signals, stop: Stop) {
    signals.next().await;
    tell("Stopping: what is under way is finished, nothing new is begun. Again to stop at once.");
    stop.gracefully();
    signals.next().await;
    stop.now();
}

fn exit_code(counts: Counts, ended: &Ended) -> ExitCode {
    match ended {
        Ended::Stopped => ExitCode::from(exit::INTERRUPTED),
        _ if counts.delivered == counts.published => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_ALL_DELIVERED),
    }
}
