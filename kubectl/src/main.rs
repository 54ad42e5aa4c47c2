//! `kubectl mailcampaign`: the commands of `mailcampaign`, for a campaign on a cluster.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl::main(kubectl::args::Args::parse())
}
