//! The plugin `kubectl mailcampaign`: the words of the command `mailcampaign`, about a campaign on a cluster.
//!
//! What the resource tells is read from its status alone ([`status`], [`switch`]). What needs the list, the templates or Kafka is an errand: the image's
//! own `mailcampaign`, run in a pod of its own that is taken away afterwards ([`errand`]). Nothing here reads a campaign's file or talks to Kafka.

pub mod args;
pub mod cluster;
mod decide;
pub mod errand;
pub mod failure;
mod fetch;
mod output;
pub mod status;
pub mod switch;
mod tail;
pub mod words;

use args::{Args, Command};
use clap::CommandFactory;
use cluster::Cluster;
use failure::Failure;
use output::say;
use std::process::ExitCode;

/// Runs a command; the exit code is as `--help` says.
pub fn main(args: Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::try_again(format!("it can't be started: {error}")).report(),
    };
    let ended = runtime.block_on(run(args));
    // Whatever still runs must not keep the process.
    runtime.shutdown_background();
    ended.unwrap_or_else(|failure| failure.report())
}

/// Runs a command.
///
/// # Errors
/// What it can't do, with what to do about it.
pub async fn run(args: Args) -> Result<ExitCode, Failure> {
    if let Command::Completions { shell } = args.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Args::command(), "kubectl-mailcampaign", &mut script);
        say(&String::from_utf8_lossy(&script));
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = Cluster::connect(&args.place).await?;
    match args.command {
        Command::Status(status) => status::status(&cluster, &status).await,
        Command::Watch(watch) => status::status(&cluster, &watch.into()).await,
        Command::Pause(pause) => switch::pause(&cluster, &pause).await,
        Command::Resume(resume) => switch::resume(&cluster, &resume).await,
        Command::Preview(preview) => fetch::preview(&cluster, &preview).await,
        Command::Report(report) => fetch::report(&cluster, &report).await,
        Command::Resolve(resolve) => decide::resolve(&cluster, &resolve).await,
        Command::Replay(replay) => decide::replay(&cluster, &replay).await,
        Command::Tail(tail) => tail::tail(&cluster, &tail).await,
        Command::Completions { .. } => Ok(ExitCode::SUCCESS),
    }
}
