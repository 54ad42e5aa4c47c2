//! kubectl, as one of the users of a cluster.

use super::{Error, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Runs kubectl.
#[derive(Debug, Clone)]
pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(super) fn new(program: &Path, kubeconfig: &Path) -> Self {
        Self { program: program.to_path_buf(), kubeconfig: kubeconfig.to_path_buf() }
    }

    /// What it prints.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        run::to_end(self.command().args(arguments), run::FROM_DEBIAN)
    }

    /// Makes objects be as they are written there.
    pub(super) fn apply(&self, objects: &str) -> Result<(), Error> {
        let mut command = self.command();
        command.args(["apply", "--server-side", "--field-manager=rig", "--filename=-"]);
        run::with_input(&mut command, objects, run::FROM_DEBIAN).map(drop)
    }

    /// Makes a CustomResourceDefinition be as it is written there, and waits until what it defines is served.
    pub(super) fn define(&self, definition: &str, patience: Duration) -> Result<(), Error> {
        let mut command = self.command();
        command.args(["apply", "--server-side", "--field-manager=rig", "--filename=-"]);
        command.arg("--output=jsonpath={.metadata.name}");
        // Such a definition has the name under which its resources are asked for, as PLURAL.GROUP.
        let resources = run::with_input(&mut command, definition, run::FROM_DEBIAN)?;
        // Asking for them says more than the condition Established, which is there a little before clients find them.
        run::until(&format!("{resources} were not served"), patience, || self.run(&["get", &resources]).map(drop))
    }

    /// Waits until the API server serves. `dead` says which program has ended, if one has.
    pub(super) fn wait_until_ready(
        &self,
        patience: Duration,
        mut dead: impl FnMut() -> Result<(), Error>,
    ) -> Result<(), Error> {
        run::until("the API server did not become ready", patience, || {
            dead()?;
            self.run(&["get", "--raw=/readyz", "--request-timeout=2s"]).map(drop)
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        // Where it keeps what it learned of the API, beside the cluster that it learned it from.
        let cache = self.kubeconfig.with_file_name("kubectl-cache");
        command.arg("--cache-dir").arg(cache);
        command
    }
}
