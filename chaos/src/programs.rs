//! Where the programs are that a round runs.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set by who has built the whole workspace already (`cargo xtask test`): nothing is built then.
pub const BUILT: &str = "MAILCAMPAIGN_PROGRAMS_ARE_BUILT";
/// The packages that the programs are of.
const PACKAGES: [&str; 3] = ["cli", "producer", "worker"];

/// The folder with `mailcampaign`, `mailcampaign-producer` and `mailcampaign-worker`.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Those beside the running test or tool, built first unless somebody has said that they are.
    ///
    /// # Errors
    /// They don't compile, or are not where cargo puts them.
    pub fn built() -> Result<Self> {
        let here = std::env::current_exe().context("where this program is")?;
        let folder = here.parent().context("the program's folder")?;
        // Tests are in `deps`.
        let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
        if std::env::var_os(BUILT).is_none() {
            build(folder)?;
        }
        let programs = Self { folder: folder.to_path_buf() };
        for name in ["mailcampaign", "mailcampaign-producer", "mailcampaign-worker"] {
            let path = programs.path(name);
            ensure!(path.is_file(), "{} is not there: build the workspace", path.display());
        }
        Ok(programs)
    }

    /// A program's file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn build(folder: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--bins"]).args(PACKAGES.iter().flat_map(|name| ["-p", name]));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    // The folder of a target is in the folder of all targets.
    command.env("CARGO_TARGET_DIR", folder.parent().unwrap_or(folder));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    // What cargo told this program about itself would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|part| text.starts_with(part)) {
            command.env_remove(&name);
        }
    }
    let status = command.status().context("starting cargo")?;
    ensure!(status.success(), "the programs don't compile");
    Ok(())
}
