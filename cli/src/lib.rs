//! The command `mailcampaign`: wires the crates together for one machine. Each command is a room; none of them decides what sending means.

pub mod args;
mod failure;
mod list;
mod opened;
mod preview;
mod progress;
mod report;
mod resolve;
mod run;
mod state;
mod stop;
mod summary;
mod validate;

use args::{Args, Command, LogFormat};
use clap::CommandFactory;
use failure::Failure;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Runs a command; the exit code is as `--help` says.
pub fn main(args: Args) -> ExitCode {
    start_logging(args.log_format);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::bad_input(format!("no threads to run on: {error}")).report(),
    };
    let result = runtime.block_on(async {
        match args.command {
            Command::Run(run) => run::run(run).await,
            Command::Validate(validate) => validate::validate(&validate).await,
            Command::Preview(preview) => preview::preview(&preview).await,
            Command::Report(report) => report::report(&report).await,
            Command::Resolve(resolve) => resolve::resolve(&resolve).await,
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

fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Writes a result to stdout. A reader that went away (`| head`) is no failure.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Writes a line for people to stderr.
fn tell(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}
