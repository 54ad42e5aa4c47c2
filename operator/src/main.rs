//! `mailcampaign-operator`: runs the campaigns of a Kubernetes cluster.

mod args;

use args::{Args, Command};
use clap::Parser;
use jiff::SignedDuration;
use operator::build::{KafkaForPods, PodSettings};
use operator::metrics::Metrics;
use operator::run::{STATUS_INTERVAL, Settings, Told, check, run};
use program::{Failure, Health, LogFormat, Signals, listen, logging};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    logging::start(args.log.log_format, "info");
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::try_again(format!("no threads can be started: {error}")).report(),
    };
    let ended = runtime.block_on(start(&args));
    runtime.shutdown_background();
    ended.map_or_else(|failure| failure.report(), |()| ExitCode::from(program::exit::DONE))
}

async fn start(args: &Args) -> Result<(), Failure> {
    let settings = settings(args)?;
    if matches!(args.command, Some(Command::Check)) {
        return check(&settings).await;
    }
    if args.image.is_empty() {
        return Err(Failure::bad_input("no image for the campaigns' pods is named: give --image"));
    }
    let mut signals = Signals::listen().map_err(|error| Failure::try_again(error.to_string()))?;
    let (health, registry) = (Health::new(), prometheus::Registry::new());
    let metrics = Metrics::register(&registry).map_err(|error| Failure::try_again(error.to_string()))?;
    let _server = match &args.listen.listen {
        Some(address) => Some(listen::serve(address, registry, health.clone()).await?),
        None => None,
    };
    run(settings, Told { health, metrics }, async move {
        signals.next().await;
    })
    .await
}

fn settings(args: &Args) -> Result<Settings, Failure> {
    let log_format = match args.log.log_format {
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    };
    Ok(Settings {
        scopes: args.scopes(),
        kafka: args.kafka.settings()?,
        kafka_for_pods: KafkaForPods { bootstrap: args.kafka.bootstrap.clone(), secret: args.kafka_secret.clone() },
        pods: PodSettings {
            image: args.image.clone(),
            image_pull_policy: args.image_pull_policy.clone(),
            image_pull_secrets: args.image_pull_secrets.iter().filter(|name| !name.is_empty()).cloned().collect(),
            log_format: log_format.to_owned(),
        },
        lease: args.lease.clone(),
        namespace: args.pod_namespace.clone(),
        pod: args.pod_name.clone(),
        deletion_deadline: SignedDuration::try_from(args.deletion_deadline.0).unwrap_or(SignedDuration::MAX),
        status_interval: STATUS_INTERVAL,
    })
}
