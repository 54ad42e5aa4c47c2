//! The cluster's programs, which stay when this one ends.

use super::layout::Layout;
use super::network::Network;
use super::{Error, files, run};
use crate::process;
use rustix::process::Pid;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts and finds the programs of one cluster. There are no files with process ids that could be wrong: a program of a cluster is one that lives in its network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Daemons<'a> {
    pub(super) layout: &'a Layout,
    pub(super) network: &'a Network,
}

impl Daemons<'_> {
    /// Starts a program in the cluster's network, in a session of its own. Its output goes to its log.
    pub(super) fn start(&self, name: &str, command: &Command) -> Result<Pid, Error> {
        let mut session = self.session(name, command)?;
        let child = self.network.inside(|| session.spawn())?;
        self.wait_until_it_is_itself(name, child)
    }

    /// The same in the network of the machine.
    pub(super) fn start_outside(&self, name: &str, command: &Command) -> Result<Pid, Error> {
        let child = self.session(name, command)?.spawn();
        self.wait_until_it_is_itself(name, child)
    }

    fn session(&self, name: &str, command: &Command) -> Result<Command, Error> {
        let log = self.layout.log(name);
        files::make_folder(log.parent().unwrap_or(Path::new(".")))?;
        let file = OpenOptions::new().create(true).append(true).open(&log).map_err(Error::file(&log))?;
        let mut session = Command::new("setsid");
        session.arg(command.get_program()).args(command.get_args());
        session.current_dir(self.layout.folder()).stdin(Stdio::null());
        session.stdout(file.try_clone().map_err(Error::file(&log))?).stderr(file);
        Ok(session)
    }

    /// A process is one program after the other (setsid, nsenter, …) before it is the one that was meant; all have the same id.
    fn wait_until_it_is_itself(&self, name: &str, child: std::io::Result<Child>) -> Result<Pid, Error> {
        let program = || "setsid".to_owned();
        let child = child.map_err(|source| Error::Program { program: program(), remedy: run::FROM_DEBIAN, source })?;
        let pid = Pid::from_child(&child);
        run::until(&format!("{name} was not started"), PATIENCE, || {
            if process::is_gone(pid) {
                return Err(self.ended(name));
            }
            let current = program_of(pid).unwrap_or_default();
            if current == name { Ok(pid) } else { Err(Error::Failed { command: current, output: String::new() }) }
        })
    }

    fn ended(&self, name: &str) -> Error {
        Error::Ended { program: name.to_owned(), log: process::end_of(&self.layout.log(name)) }
    }

    /// The file names of the programs that run.
    pub(super) fn running(&self) -> BTreeSet<String> {
        self.network.processes().into_iter().filter_map(program_of).collect()
    }

    /// An error if one of them does not run.
    pub(super) fn all_run(&self, names: &[&str]) -> Result<(), Error> {
        let running = self.running();
        match names.iter().find(|name| !running.contains(**name)) {
            None => Ok(()),
            Some(name) => Err(self.ended(name)),
        }
    }
}

/// The name of the file of the program that a process runs.
fn program_of(pid: Pid) -> Option<String> {
    let program = std::fs::read_link(process::folder_of(pid).join("exe")).ok()?;
    let name = program.file_name()?.to_string_lossy().into_owned();
    // A program that was built again meanwhile goes on as it was.
    Some(name.trim_end_matches(" (deleted)").to_owned())
}
