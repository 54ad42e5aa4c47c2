//! `cargo xtask fuzz`: libFuzzer on the stable compiler, with the coverage instrumentation that LLVM brings.

use crate::args::Fuzz as Options;
use crate::command::{cargo, root, run as run_command, target_folder};
use anyhow::{Context, Result, bail};
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// What cargo-fuzz gives the compiler, but the sanitizers, which need a nightly one.
const INSTRUMENTATION: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Nothing that a list, a template or a server sends may cost more.
const LIMITS: &[&str] = &["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"];

/// Lines of libFuzzer's log that are shown when an input fails.
const SHOWN_LINES: usize = 80;

/// Runs the chosen target, or all. True if no input failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    match &options.target {
        None => run_each(options.seconds)?,
        Some(target) => {
            if !targets()?.contains(target) {
                bail!("no fuzz target \"{target}\"; there are: {}", targets()?.join(", "));
            }
            run_one(&build()?, target, options.seconds)?;
        }
    }
    Ok(true)
}

/// Runs every target for `seconds`, as many at once as there are processors, all of them even if one fails.
pub(crate) fn run_each(seconds: u32) -> Result<()> {
    let (program, waiting) = (build()?, Mutex::new(targets()?));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let run_some = || {
        let mut failed = Vec::new();
        while let Some(target) = next() {
            if let Err(error) = run_one(&program, &target, seconds) {
                println!("{target}: {error:#}");
                failed.push(target);
            }
        }
        failed
    };
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..at_once).map(|_| scope.spawn(run_some)).collect();
        runs.into_iter().flat_map(|run| run.join().unwrap_or_else(|_| vec!["a run itself".to_owned()])).collect()
    });
    if failed.is_empty() { Ok(()) } else { bail!("inputs that fail were found for: {}", failed.join(", ")) }
}

/// The targets are those that have seeds; a test of the fuzz crate holds both together.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/seeds"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Builds the program that holds all targets. Only the workspace's own crates are instrumented. Of their dependencies most are built once more than for the
/// tests: libfuzzer-sys asks the crate `cc` for another feature, and C libraries are built with that.
fn build() -> Result<PathBuf> {
    let compiler = instrumenting_compiler()?;
    let mut command = cargo(["build", "--quiet", "--workspace", "--bin", "fuzz", "--features", "fuzz/libfuzzer"]);
    run_command(command.env("RUSTC_WORKSPACE_WRAPPER", compiler))?;
    // The next ordinary build replaces the program, so it is moved to where that can't reach it.
    let (built, kept) = (target_folder().join("debug/fuzz"), folder()?.join("fuzz"));
    std::fs::copy(&built, &kept).with_context(|| format!("{}: can't be copied", built.display()))?;
    Ok(kept)
}

/// Where the program and what it finds are kept.
fn folder() -> Result<PathBuf> {
    let folder = target_folder().join("fuzz");
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: can't be made", folder.display()))?;
    Ok(folder)
}

/// A program that cargo calls in place of the compiler for the workspace's own crates: the same, and the instrumentation.
fn instrumenting_compiler() -> Result<PathBuf> {
    let file = folder()?.join("rustc-with-coverage");
    let script = format!("#!/bin/sh\nexec \"$@\" {}\n", INSTRUMENTATION.join(" "));
    // Cargo looks at its time: it is written only when it is another.
    if std::fs::read_to_string(&file).is_ok_and(|there| there == script) {
        return Ok(file);
    }
    std::fs::write(&file, script).with_context(|| format!("{}: can't be written", file.display()))?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    Ok(file)
}

/// What is found stays between runs beside the build; only seeds and failures are in the source folder.
fn run_one(program: &Path, target: &str, seconds: u32) -> Result<()> {
    let fuzz = root().join("fuzz");
    let (seeds, failures) = (fuzz.join("seeds").join(target), fuzz.join("failures").join(target));
    let corpus = folder()?.join("corpus").join(target);
    for folder in [&failures, &corpus] {
        std::fs::create_dir_all(folder).with_context(|| format!("{}: can't be made", folder.display()))?;
    }
    println!("fuzzing {target} for {seconds} s");
    let log = tempfile::tempfile()?;
    let status = Command::new(program)
        .env("FUZZ_TARGET", target)
        .args([&corpus, &seeds])
        .args(LIMITS)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", failures.display()))
        .stderr(log.try_clone()?)
        .status()?;
    let log = read_from_start(log)?;
    if !status.success() {
        let lines: Vec<&str> = log.lines().collect();
        println!("{}", lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"));
        bail!("an input that fails is in {}", failures.display());
    }
    println!(
        "{target}: {}",
        log.lines().rev().find(|line| line.starts_with("Done ")).unwrap_or("ended without a count")
    );
    Ok(())
}

fn read_from_start(mut file: std::fs::File) -> Result<String> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
