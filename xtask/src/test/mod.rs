//! `cargo xtask test`: every check of the project, in the order in which a mistake costs least.

mod suites;
mod summary;

use crate::args::Test as Options;
use crate::command::{self, cargo, find_program};
use crate::{fuzz, kafka, needs};
use anyhow::{Result, anyhow};
use clap::ValueEnum;
use std::ffi::OsStr;
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
            Step::Tests => self.tests(),
            Step::Doc => {
                let mut command = cargo(["test", "--workspace", "--doc", "--no-fail-fast"]);
                self.prepare(&mut command);
                suites::count(&mut command, &mut self.tests, |line| println!("{line}"))
            }
            Step::Fuzz => fuzz::run_each(FUZZ_SECONDS),
        }
    }

    /// All test programs. Those with a cluster wait for it most of the time, so they run beside the others; what they print comes at the end.
    fn tests(&mut self) -> Result<()> {
        command::run(&mut cargo(["test", "--quiet", "--workspace", "--all-targets", "--no-run"]))?;
        let (mut here, mut there, mut after) = (suites::others()?, suites::on_cluster(), suites::afterwards());
        // It ends with this step.
        let kafka = kafka::for_tests()?;
        if let Some(kafka) = &kafka {
            for command in [&mut here, &mut after] {
                command.env(BOOTSTRAP_VARIABLE, kafka.bootstrap());
            }
        }
        for command in [&mut here, &mut there, &mut after] {
            command.env(chaos::BUILT, "yes");
            // Many wait for brokers and leases rather than for the processor.
            command.env("RUST_TEST_THREADS", "4");
            self.prepare(command);
        }
        let cluster = suites::ClusterOfTests::new()?;
        std::thread::scope(|scope| {
            let beside = scope.spawn(move || {
                let (mut tests, mut printed) = (Tests::default(), Vec::new());
                // Which of them runs is of no use between the lines of the others.
                let mut count = |command: &mut Command| {
                    suites::count(command.stderr(Stdio::null()), &mut tests, |line| printed.push(line.to_owned()))
                };
                let ended = count(&mut there);
                let cluster_ended = cluster.end();
                let ended = ended.and(cluster_ended).and(count(&mut after));
                (tests, printed, ended)
            });
            let ended = suites::count(&mut here, &mut self.tests, |line| println!("{line}"));
            let (tests, printed, ended_there) =
                beside.join().map_err(|_| anyhow!("the cluster's tests were not run"))?;
            println!("\n== on a cluster, and afterwards");
            for line in printed {
                println!("{line}");
            }
            self.tests += tests;
            ended.and(ended_there)
        })
    }

    /// What all tests are told.
    fn prepare(&mut self, command: &mut Command) {
        if self.python.is_none() && find_program("python3").is_some() {
            self.python = needs::python::ensure().ok();
        }
        if let Some(python) = &self.python {
            command.env("MAILCAMPAIGN_PYTHON", python);
        }
        command.args(self.name.iter().map(OsStr::new));
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
