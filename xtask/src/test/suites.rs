//! The test programs of the workspace: those that need a whole cluster, and all others.

use super::summary::Tests;
use crate::cluster;
use crate::command::{cargo, output_of, shown};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use testkit::kubernetes::STAYS;

/// What the suites are called that need a whole cluster.
const ON_CLUSTER: &str = "cluster";

/// What runs when those have ended: the suite that compares the machine before and after a cluster of its own, for which no other may come or go meanwhile;
/// and some of the long ones, so that both rows end at about the same time.
const AFTERWARDS: [&str; 4] = ["machine", "chart", "e2e_chaos", "e2e_company"];

/// The command that runs all others.
///
/// # Errors
/// If cargo doesn't know the workspace.
pub(super) fn others() -> Result<Command> {
    let known = output_of(&mut cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
    let mut command = cargo(["test", "--workspace", "--lib", "--bins", "--examples", "--no-fail-fast"]);
    let names = names(&serde_json::from_str(&known)?);
    for name in names.iter().filter(|name| *name != ON_CLUSTER && !AFTERWARDS.contains(&name.as_str())) {
        command.args(["--test", name]);
    }
    Ok(command)
}

/// Names of the test programs in the folders `tests`.
fn names(metadata: &Value) -> BTreeSet<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let tests = targets.filter(|target| target["kind"][0] == "test");
    tests.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect()
}

/// The command that runs those on a cluster.
pub(super) fn on_cluster() -> Command {
    let mut command = cargo(["test", "--workspace", "--no-fail-fast", "--test", ON_CLUSTER]);
    // One after the other they use the same cluster.
    command.env(STAYS, "yes");
    command
}

/// The command that runs those that come after them.
pub(super) fn afterwards() -> Command {
    let mut command = cargo(["test", "--workspace", "--no-fail-fast"]);
    command.args(AFTERWARDS.iter().flat_map(|name| ["--test", name]));
    command
}

/// Ends the cluster that those suites have started, unless one ran before or whoever runs this wants to keep it.
pub(super) struct ClusterOfTests {
    stays: bool,
}

impl ClusterOfTests {
    pub(super) fn new() -> Result<Self> {
        let stays = std::env::var_os(STAYS).is_some() || cluster::of_this_machine()?.variables_if_up().is_some();
        Ok(Self { stays })
    }

    pub(super) fn end(self) -> Result<()> {
        if !self.stays {
            cluster::of_this_machine()?.down()?;
        }
        Ok(())
    }
}

/// Runs cargo's tests and counts them; shows each line that they print.
///
/// # Errors
/// If a test fails, or cargo doesn't start.
pub(super) fn count(command: &mut Command, tests: &mut Tests, mut show: impl FnMut(&str)) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("could not start cargo")?;
    let mut counted = Tests::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            counted.read(&line);
            show(&line);
        }
    }
    let status = child.wait()?;
    // A program that doesn't compile, or dies, prints no result.
    if !status.success() && counted.failed == 0 {
        counted.failed = 1;
    }
    *tests += counted;
    anyhow::ensure!(status.success(), "{} ended with {status}", shown(command));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn test_programs_are_found_by_their_kind_whichever_package_has_them() {
        let target = |kind: &str, name: &str| json!({"kind": [kind], "name": name});
        let metadata = json!({"packages": [
            {"targets": [target("lib", "journal"), target("test", "crash"), target("test", "cluster")]},
            {"targets": [target("bin", "tool"), target("test", "cluster")]},
        ]});
        assert_eq!(names(&metadata).into_iter().collect::<Vec<_>>(), ["cluster", "crash"]);
    }

    #[test]
    fn a_program_that_dies_without_a_result_counts_as_a_test_that_failed() {
        let mut tests = Tests::default();
        let mut shown = Vec::new();
        let script = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; exit 3";
        let ended = count(Command::new("sh").args(["-c", script]), &mut tests, |line| shown.push(line.to_owned()));
        assert!(ended.is_err() && shown.len() == 1);
        assert_eq!(tests, Tests { passed: 2, failed: 1 });
    }
}
