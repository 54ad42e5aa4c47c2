//! Where the things of a cluster are: all in one folder, which is removed with it.

use super::credentials::{Credentials, User};
use super::{Error, files};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

/// A cluster's folder.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    folder: PathBuf,
}

impl Layout {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn credentials(&self) -> Credentials {
        Credentials::in_folder(&self.folder.join("credentials"))
    }

    /// How people and tests find the API server.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.credentials().kubeconfig(User::Admin)
    }

    /// What holds the network namespace.
    pub(super) fn network(&self) -> PathBuf {
        self.folder.join("network")
    }

    /// Programs for people.
    pub(super) fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    pub(super) fn log(&self, program: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{program}.log"))
    }

    pub(super) fn maildir(&self) -> PathBuf {
        self.folder.join("mail")
    }

    /// One line a mail.
    pub(super) fn mail_log(&self) -> PathBuf {
        self.folder.join("mail.log")
    }

    pub(super) fn kafka(&self) -> PathBuf {
        self.folder.join("kafka")
    }

    pub(super) fn etcd(&self) -> PathBuf {
        self.folder.join("etcd")
    }

    /// What the node keeps, and its settings.
    pub(super) fn node(&self, name: &str) -> PathBuf {
        self.folder.join("node").join(name)
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }
}

/// What differs from cluster to cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// The ports of 127.0.0.1 at which the cluster is reached; they are the same inside.
    pub(super) api_port: u16,
    pub(super) kafka_port: u16,
    pub(super) smtp_port: u16,
    /// The control group in which its pods are.
    pub(super) control_group: String,
}

impl State {
    /// Ports that are free now, the usual ones if they are.
    pub(super) fn choose() -> Result<Self, Error> {
        let control_group = format!("rig-{}", files::random_word()?);
        let (api_port, kafka_port, smtp_port) = (free(6443)?, free(9092)?, free(2525)?);
        Ok(Self { api_port, kafka_port, smtp_port, control_group })
    }

    pub(super) fn write(&self, layout: &Layout) -> Result<(), Error> {
        let Self { api_port, kafka_port, smtp_port, control_group } = self;
        files::write(&layout.state(), &format!("{api_port} {kafka_port} {smtp_port} {control_group}\n"))
    }

    /// None where there is none, or it can't be understood.
    pub(super) fn read(layout: &Layout) -> Option<Self> {
        let text = std::fs::read_to_string(layout.state()).ok()?;
        let [api_port, kafka_port, smtp_port, control_group]: [&str; 4] =
            text.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
        Some(Self {
            api_port: api_port.parse().ok()?,
            kafka_port: kafka_port.parse().ok()?,
            smtp_port: smtp_port.parse().ok()?,
            control_group: control_group.to_owned(),
        })
    }
}

/// `wanted`, or that many thousands above it.
fn free(wanted: u16) -> Result<u16, Error> {
    let candidates = [0, 10_000, 20_000, 30_000, 40_000, 50_000].map(|above| wanted + above);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let names = || candidates.map(|port| port.to_string()).join(", ");
    candidates.into_iter().find(is_free).ok_or_else(|| Error::NoPort(names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path());
        assert_eq!(State::read(&layout), None);
        let state = State::choose().expect("ports");
        state.write(&layout).expect("written");
        assert_eq!(State::read(&layout), Some(state));
    }

    #[test]
    fn a_port_that_is_taken_is_not_chosen() {
        let first = free(12_345).expect("a port");
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).expect("it is free");
        assert_ne!(free(12_345).expect("a port"), first);
        assert!(free(9092).is_ok());
    }
}
