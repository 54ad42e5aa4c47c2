//! `cargo xtask test`: every check of the project, in the order in which a mistake costs least.

mod summary;

use crate::args::Test as Options;
use crate::command::{self, cargo, find_program, shown};
use crate::{fuzz, kafka, needs};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use summary::Tests;
use testkit::kafka::BOOTSTRAP_VARIABLE;

/// A step of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Everything the tests need is here, or is installed.
    Needs,
    /// The code is formatted.
    Fmt,
    /// Clippy finds nothing.
    Clippy,
    /// Licences and sources of the dependencies.
    Deny,
    /// Unit, property and end-to-end tests.
    Tests,
    /// Examples in the documentation.
    Doc,
    /// The fuzz targets, briefly.
    Fuzz,
}

/// How long each fuzz target runs here.
const FUZZ_SECONDS: u32 = 10;

/// Runs the steps, all of them even if one fails, and prints what came of it; the last line counts the tests. True if everything is well.
pub(crate) fn run(options: &Options) -> bool {
    let chosen = |step: &Step| match options.only.as_slice() {
        [] => !options.skip.contains(step),
        only => only.contains(step),
    };
    let mut checks = Checks { python: None, name: options.name.clone(), tests: Tests::default() };
    let mut report = Vec::new();
    for step in Step::value_variants().iter().filter(|step| chosen(step)) {
        println!("\n== {}", name_of(*step));
        let begun = Instant::now();
        let done = checks.step(*step);
        if let Err(error) = &done {
            println!("error: {error:#}");
        }
        let without_needs = *step == Step::Needs && done.is_err();
        report.push((*step, done.is_ok(), begun.elapsed()));
        if without_needs {
            break;
        }
    }
    let well = report.iter().all(|(_, well, _)| *well);
    print_report(&report);
    println!("{} passed, {} failed", checks.tests.passed, checks.tests.failed);
    well && checks.tests.failed == 0
}

fn name_of(step: Step) -> String {
    step.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn print_report(report: &[(Step, bool, Duration)]) {
    println!("\n== result");
    for (step, well, took) in report {
        let verdict = if *well { "ok" } else { "FAILED" };
        println!("{:<8} {verdict:<7} {:>7.1} s", name_of(*step), took.as_secs_f64());
    }
}

/// What the steps share.
struct Checks {
    /// The Python with the document libraries.
    python: Option<PathBuf>,
    /// Only tests whose name holds this.
    name: Option<String>,
    tests: Tests,
}

impl Checks {
    fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Needs => {
                self.python = Some(needs::ensure()?);
                Ok(())
            }
            Step::Fmt => command::run(&mut cargo(["fmt", "--all", "--check"])),
            Step::Clippy => command::run(&mut cargo([
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "--deny",
                "warnings",
            ])),
            Step::Deny => deny(),
            Step::Tests => {
                let mut command = cargo(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
                command.env(chaos::BUILT, "yes");
                // Many wait for brokers and leases rather than for the processor.
                command.env("RUST_TEST_THREADS", "4");
                // It ends with this step.
                let kafka = kafka::for_tests()?;
                if let Some(kafka) = &kafka {
                    command.env(BOOTSTRAP_VARIABLE, kafka.bootstrap());
                }
                self.tests_of(command)
            }
            Step::Doc => self.tests_of(cargo(["test", "--workspace", "--doc", "--no-fail-fast"])),
            Step::Fuzz => fuzz::run_each(FUZZ_SECONDS),
        }
    }

    /// Runs cargo's tests, shows what they print, and counts them.
    fn tests_of(&mut self, mut command: Command) -> Result<()> {
        if self.python.is_none() && find_program("python3").is_some() {
            self.python = needs::python::ensure().ok();
        }
        if let Some(python) = &self.python {
            command.env("MAILCAMPAIGN_PYTHON", python);
        }
        command.args(self.name.iter().map(OsStr::new));
        let mut child = command.stdout(Stdio::piped()).spawn().context("could not start cargo")?;
        let mut tests = Tests::default();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                let line = line?;
                tests.read(&line);
                println!("{line}");
            }
        }
        let status = child.wait()?;
        // A program that doesn't compile, or dies, prints no result.
        if !status.success() && tests.failed == 0 {
            tests.failed = 1;
        }
        self.tests += tests;
        anyhow::ensure!(status.success(), "{} ended with {status}", shown(&command));
        Ok(())
    }
}

/// Advisories need a database that may be out of reach: they are checked only where a copy of it is.
fn deny() -> Result<()> {
    let program = needs::rust::cargo_deny()?;
    command::run(&mut cargo(["fetch", "--quiet"]))?;
    let mut command = Command::new(program);
    command.current_dir(crate::command::root()).args(["--offline", "check", "--hide-inclusion-graph"]);
    command.args(["bans", "licenses", "sources"]);
    let database = std::env::home_dir().map(|home| home.join(".cargo/advisory-dbs"));
    if database.is_some_and(|folder| folder.is_dir()) {
        command.arg("advisories");
    }
    command::run(&mut command)
}
