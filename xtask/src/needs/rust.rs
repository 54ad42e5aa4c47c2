//! Rust's own tools: the formatter, the linter, and the check of dependencies.

use crate::command::{cargo, find_program, run, succeeds};
use anyhow::{Result, bail};
use std::path::PathBuf;
use testkit::cache;

/// The version of cargo-deny that is built where none is installed.
const CARGO_DENY: &str = "0.20.2";

/// Makes sure of rustfmt and clippy.
pub(crate) fn ensure() -> Result<()> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if succeeds(&mut cargo([subcommand, "--version"])) {
            continue;
        }
        if find_program("rustup").is_none() {
            bail!("`cargo {subcommand}` is missing; install {component} of the Rust toolchain in use");
        }
        println!("installing {component}");
        run(std::process::Command::new("rustup").args(["component", "add", component]))?;
    }
    Ok(())
}

/// Where cargo-deny is: the installed one, else one of our own in the cache, built once (minutes).
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    if let Some(installed) = find_program("cargo-deny") {
        return Ok(installed);
    }
    let folder = cache::folder(&format!("cargo-deny-{CARGO_DENY}"))?;
    let program = folder.join("bin/cargo-deny");
    if !program.is_file() {
        println!("building cargo-deny {CARGO_DENY} into {}; once", folder.display());
        let version = format!("cargo-deny@{CARGO_DENY}");
        run(cargo(["install", "--locked", "--quiet", &version, "--root"]).arg(&folder))?;
    }
    Ok(program)
}
