//! An API server alone, for tests that need no node: what is applied is validated and stored, and nothing happens to it.

use super::control_plane::{self, Addresses};
use super::credentials::{Credentials, User};
use super::kubectl::Kubectl;
use super::{Error, go, helm};
use crate::kafka::ports::{Block, Ports};
use crate::process::{self, Attached};
use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// It is up within 3 s; on a busy machine it may take long.
const PATIENCE: Duration = Duration::from_mins(2);
const HERE: &str = "127.0.0.1";

/// etcd and the API server of a test's own, on free ports of 127.0.0.1. They end, and their data goes, when this is dropped or the process ends, however
/// it ends.
///
/// There are roles (RBAC) and aggregation, but no controllers: no Job gets pods, no namespace gets a service account, nothing is garbage-collected.
#[derive(Debug)]
pub struct ApiServer {
    credentials: Credentials,
    kubectl: PathBuf,
    /// The API server before its store.
    programs: Vec<Option<(PathBuf, Attached)>>,
    url: String,
    _ports: Block,
    /// Dropped after the programs have ended.
    _folder: TempDir,
}

impl ApiServer {
    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// Where [`ApiServer::try_start`] fails.
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|error| panic!("API server: {error}"))
    }

    /// Starts it and waits until it serves. Programs that are missing are built: minutes, once.
    ///
    /// # Errors
    /// If the programs can't be built, or don't start; the end of their log is part of the message.
    pub fn try_start() -> Result<Self, Error> {
        let [etcd, api_server, kubectl] = go::ensure(["etcd", "kube-apiserver", "kubectl"])?;
        let ports = Block::choose(1)?;
        let Ports { client: port, inside: etcd_port, controller: etcd_peer_port } = ports.ports[0];
        let temporary = std::env::temp_dir();
        let folder = tempfile::Builder::new().prefix("api-server-").tempdir().map_err(Error::file(&temporary))?;
        let data = folder.path().join("server");
        let url = format!("https://{HERE}:{port}");
        let credentials = Credentials::in_folder(&data.join("credentials"));
        credentials.make(&url, &[HERE, "localhost"], HERE)?;
        let addresses = Addresses { bind: HERE, advertise: HERE, port, etcd_port, etcd_peer_port };
        let etcd = control_plane::etcd(&etcd, &data.join("etcd"), addresses);
        let mut api_server = control_plane::api_server(&api_server, &credentials, addresses);
        // Nobody makes the service accounts that pods would be asked for.
        control_plane::set(&mut api_server, "disable-admission-plugins", "ServiceAccount");
        let mut programs = Vec::new();
        for (name, command) in [("kube-apiserver", api_server), ("etcd", etcd)] {
            programs.push(Some(started(&command, &data, name)?));
        }
        let mut server = Self { credentials, kubectl, programs, url, _ports: ports, _folder: folder };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Applies a CustomResourceDefinition and waits until what it defines is served. It is given as YAML or JSON, a `serde_json::Value` for instance.
    ///
    /// # Panics
    /// If the server refuses it, or doesn't come to serve it.
    pub fn define(&self, definition: impl Display) {
        let defined = Kubectl::new(&self.kubectl, &self.kubeconfig()).define(&definition.to_string(), PATIENCE);
        defined.unwrap_or_else(|error| panic!("API server: {error}"));
    }

    /// The file with which the administrator's clients find it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.credentials.kubeconfig(User::Admin)
    }

    /// Where it listens, as `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// kubectl, as its administrator.
    pub fn kubectl(&self) -> Command {
        self.of_administrator(Command::new(&self.kubectl))
    }

    /// Helm, as its administrator.
    ///
    /// # Errors
    /// If it can't be built.
    pub fn helm(&self) -> Result<Command, Error> {
        Ok(self.of_administrator(helm()?))
    }

    fn of_administrator(&self, mut command: Command) -> Command {
        let kubeconfig = self.kubeconfig();
        // Where it keeps what it learned of this API: another server may have the same port later.
        command.env("KUBECACHEDIR", kubeconfig.with_file_name("cache")).env("KUBECONFIG", kubeconfig);
        command
    }

    fn wait_until_ready(&mut self) -> Result<(), Error> {
        let kubectl = Kubectl::new(&self.kubectl, &self.kubeconfig());
        let programs = &mut self.programs;
        kubectl.wait_until_ready(PATIENCE, || {
            for (log, program) in programs.iter_mut().flatten() {
                if program.try_wait().map_err(Error::file(log))?.is_some() {
                    let program = log.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                    return Err(Error::Ended { program, log: process::end_of(log) });
                }
            }
            Ok(())
        })
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        for (_, program) in self.programs.iter_mut().filter_map(Option::take) {
            program.kill();
        }
    }
}

fn started(command: &Command, folder: &Path, name: &str) -> Result<(PathBuf, Attached), Error> {
    let log = folder.join(format!("{name}.log"));
    let file = File::create(&log).map_err(Error::file(&log))?;
    let program = Attached::start(command, &file, Some(folder)).map_err(Error::file(&log))?;
    Ok((log, program))
}
