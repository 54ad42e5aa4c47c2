//! `mailcampaign-worker`: sends the mails of a campaign from Kafka, as one of any number of workers.

mod args;

use args::Args;
use clap::Parser;
use journal::kafka::Kafka;
use program::{Failure, Health, Signals, exit, listen, logging};
use std::{process::ExitCode, time::Duration};
use worker::{Grace, Metrics, Opened, Options, Stop, Until};

/// How long a second signal leaves to write down what is known.
const LAST_WORDS: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let args = Args::parse();
    logging::start(args.log.log_format, "info");
    let termination = args.termination.clone();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            return termination.report(&Failure::try_again(format!("no threads can be started: {error}")));
        }
    };
    let ended = runtime.block_on(work(args));
    // What still blocks has nothing to say any more.
    runtime.shutdown_background();
    ended.map_or_else(|failure| termination.report(&failure), |()| ExitCode::from(exit::DONE))
}

async fn work(args: Args) -> Result<(), Failure> {
    let (stop, health, registry) = (Stop::new(), Health::new(), prometheus::Registry::new());
    let signals = Signals::listen().map_err(|error| Failure::try_again(error.to_string()))?;
    tokio::spawn(obey(signals, stop.clone(), args.grace));
    let metrics = Metrics::new(&registry).map_err(|error| Failure::bad_input(error.to_string()))?;
    let _server = match &args.listen.listen {
        Some(address) => Some(listen::serve(address, registry, health.clone()).await?),
        None => None,
    };
    let opened = Opened::open(&args.campaign, args.label.as_deref()).await;
    let (opened, backends) = opened.map_err(|mistakes| Failure::mistakes(&mistakes))?;
    let campaign = &opened.bundle.campaign;
    let kafka = args.kafka.required(&campaign.namespace, &campaign.name, opened.uid)?;
    let until = if args.exit_when_done { Until::Done } else { Until::Stopped };
    let grace = Grace::within(args.grace);
    let options = Options { grace, until, metrics, health, ..Options::from(campaign) };
    let journal = tokio::select! {
        journal = Kafka::open(kafka) => journal?,
        () = stop.asked_for() => return Ok(()),
    };
    worker::serve(&journal, &opened, backends, options, stop).await
}

/// The first signal asks for an orderly end, the second for one at once. What isn't over in time is left behind.
async fn obey(mut signals: Signals, stop: Stop, grace: Duration) {
    signals.next().await;
    tracing::info!("stopping: what is under way is finished, nothing new is begun");
    stop.gracefully();
    if tokio::time::timeout(grace, signals.next()).await.is_ok() {
        stop.now();
        tokio::time::sleep(LAST_WORDS).await;
    }
    tracing::error!("not ended in time; what was not settled is unknown");
    std::process::exit(i32::from(exit::TRY_AGAIN));
}
