//! The project's own tool: `cargo xtask test | fuzz | bench | kafka | cluster | chaos | crds | deploy`.
//!
//! It installs or builds what the tests need, and runs what a developer and continuous integration run. No test lives here.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool that reports on the terminal")]

mod args;
mod bench;
mod chaos;
mod cluster;
mod command;
mod crds;
mod deploy;
mod fuzz;
mod kafka;
mod needs;
mod test;

use args::{Args, Task};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Test(options) => Ok(test::run(&options)),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Kafka(options) => kafka::run(&options),
        Task::Cluster(options) => cluster::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::Crds => crds::write(),
        Task::Deploy => deploy::write(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
