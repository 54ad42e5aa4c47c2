//! The command `mailcampaign`: wires the crates together. Each command is a room; none of them decides what sending means.

pub mod args;
mod in_pod;
mod list;
mod members;
mod output;
mod preview;
mod progress;
mod replay;
mod report;
mod resolve;
mod run;
mod state;
mod status;
mod summary;
mod tail;
mod validate;

use args::{Args, Command};
use clap::CommandFactory;
use output::{say, tell};
use program::{Failure, logging};
use std::process::ExitCode;

/// Exit code: not everything was delivered.
pub(crate) const NOT_ALL_DELIVERED: u8 = 1;

/// Runs a command; the exit code is as `--help` says.
pub fn main(args: Args) -> ExitCode {
    logging::start(args.log.log_format, "warn");
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::bad_input(format!("no threads to run on: {error}")).report(),
    };
    let result = runtime.block_on(async {
        match args.command {
            Command::Run(run) => run::run(run).await,
            Command::Validate(validate) => validate::validate(&validate).await,
            Command::Preview(preview) => preview::preview(&preview).await,
            Command::Status(status) => status::status(&status).await,
            Command::Tail(tail) => tail::tail(&tail).await,
            Command::Report(report) => report::report(&report).await,
            Command::Resolve(resolve) => resolve::resolve(&resolve).await,
            Command::Replay(replay) => replay::replay(&replay).await,
            Command::Hold => in_pod::hold().await,
            Command::Pour(pour) => in_pod::pour(&pour),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Args::command(), "mailcampaign", &mut script);
                say(&String::from_utf8_lossy(&script));
                Ok(ExitCode::SUCCESS)
            }
        }
    });
    // Whatever still runs (a stalled connection, say) must not keep the process.
    runtime.shutdown_background();
    result.unwrap_or_else(|failure| failure.report())
}
