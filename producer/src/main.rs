//! `mailcampaign-producer`: turns a campaign's recipient list into messages on Kafka, alone or as one of several shards.

mod args;

use args::Args;
use clap::Parser;
use journal::kafka::Kafka;
use producer::serve::{Service, serve};
use producer::{Destination, Metrics, Opened, Shard, begin};
use program::{Failure, Health, Signals, exit, listen, logging};
use prometheus::Registry;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longer than any call of Kafka: who does not move for so long is stuck.
const STUCK: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    let args = Args::parse();
    logging::start(args.log.log_format, "info");
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            return args.termination.report(&Failure::try_again(format!("no threads to run on: {error}")));
        }
    };
    let code = runtime.block_on(run(&args)).unwrap_or_else(|failure| args.termination.report(&failure));
    runtime.shutdown_background();
    code
}

async fn run(args: &Args) -> Result<ExitCode, Failure> {
    let shard = args.shard().map_err(|error| Failure::bad_input(format!("--shard, --shards: {error}")))?;
    let (registry, health) = (Registry::new(), Health::new());
    let metrics = Metrics::register(&registry).map_err(|error| Failure::bad_input(error.to_string()))?;
    let service = Service { shard, stop: stop_at_a_signal()?, metrics, heart: health.heartbeat("publishing", STUCK) };
    let _server = match &args.listen.listen {
        Some(at) => Some(listen::serve(at, registry, health.clone()).await?),
        None => None,
    };
    let (opened, journal) = tokio::select! {
        campaign = open(args, shard) => campaign?,
        () = service.stop.cancelled() => return Err(Failure::try_again("stopped before anything was published")),
    };
    health.ready().set(true);
    match serve(&journal, &opened, &service).await? {
        last if last.done => Ok(ExitCode::from(exit::DONE)),
        last => Err(Failure::try_again(format!("stopped; started again it goes on at row {}", last.next_row))),
    }
}

async fn open(args: &Args, shard: Shard) -> Result<(Opened, Kafka), Failure> {
    let label = args.label.as_deref();
    let opened = Opened::open(&args.campaign, label).await.map_err(|mistakes| Failure::mistakes(&mistakes))?;
    let campaign = &opened.bundle.campaign;
    let options = args.kafka.required(&campaign.namespace, &campaign.name, opened.uid)?;
    let pin = opened.pin(Destination::Backends, shard.of());
    let journal = begin(options, &pin, label).await?;
    Ok((opened, journal))
}

/// Cancelled at the first signal; the second ends the process at once, and what is being written is written wholly or not at all.
fn stop_at_a_signal() -> Result<CancellationToken, Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::try_again(error.to_string()))?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        asked.cancel();
        signals.next().await;
        std::process::exit(i32::from(exit::TRY_AGAIN));
    });
    Ok(stop)
}
