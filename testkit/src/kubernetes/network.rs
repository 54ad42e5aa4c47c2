//! A network namespace of the cluster's own, with the bridge to which its pods are tied.
//!
//! Nothing in it reaches the machine's network, and the machine's interfaces, routes and packet filter stay as they are. The namespace is held by a file in
//! the cluster's folder.

use super::{Error, files, run};
use crate::process;
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The node's address, on the bridge.
pub(super) const NODE_ADDRESS: &str = "10.250.0.1";
/// Addresses of the pods, and the first of them.
pub(super) const PODS: &str = "10.250.0.0/24";
pub(super) const FIRST_POD: &str = "10.250.0.10";
pub(super) const BRIDGE: &str = "rig0";

/// A network namespace.
#[derive(Debug, Clone)]
pub(super) struct Network {
    file: PathBuf,
}

impl Network {
    pub(super) fn held_by(file: PathBuf) -> Self {
        Self { file }
    }

    /// Makes it, with its bridge.
    pub(super) fn make(&self, services: &str) -> Result<(), Error> {
        files::write(&self.file, "")?;
        let mut unshare = Command::new("unshare");
        unshare.arg(format!("--net={}", self.file.display())).arg("true");
        run::to_end(&mut unshare, run::FROM_DEBIAN)?;
        self.inside(|| {
            let lines = format!(
                "link set lo up\n\
                 link add {BRIDGE} type bridge\n\
                 address add {NODE_ADDRESS}/24 dev {BRIDGE}\n\
                 link set {BRIDGE} up\n\
                 route add {services} dev {BRIDGE} src {NODE_ADDRESS}\n"
            );
            run::with_input(Command::new("ip").args(["-batch", "-"]), &lines, run::FROM_DEBIAN)?;
            // What a pod sends to a service goes through the node.
            files::write(Path::new("/proc/sys/net/ipv4/ip_forward"), "1")
        })?
    }

    /// Whether it is there. After a reboot the file is, and the namespace isn't.
    pub(super) fn exists(&self) -> bool {
        let device_of = |path: &Path| fs::metadata(path).map(|file| file.dev()).ok();
        let own = device_of(&self.file);
        own.is_some() && own != self.file.parent().and_then(device_of)
    }

    /// Does something in it: connections go to there, and processes that are started live there.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let file = File::open(&self.file).map_err(Error::file(&self.file))?;
        let enter = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(std::io::Error::from)?;
            Ok(work())
        };
        // A namespace belongs to a thread: this one ends with the work.
        let done = std::thread::scope(|scope| match scope.spawn(enter).join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.map_err(Error::file(&self.file))
    }

    /// The processes that live in it.
    pub(super) fn processes(&self) -> Vec<Pid> {
        let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        let Some(own) = identity(&self.file).filter(|_| self.exists()) else { return Vec::new() };
        let lives_here = |pid: &Pid| identity(&process::folder_of(*pid).join("ns/net")) == Some(own);
        process::all().into_iter().filter(lives_here).collect()
    }

    /// Removes it. It must be empty.
    pub(super) fn remove(&self) -> Result<(), Error> {
        if self.exists() {
            run::to_end(Command::new("umount").arg(&self.file), run::FROM_DEBIAN)?;
        }
        Ok(())
    }
}
