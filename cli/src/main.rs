//! `mailcampaign`: runs a campaign on one machine, and answers questions about it.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(cli::args::Args::parse())
}
