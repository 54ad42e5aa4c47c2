//! A whole cluster, which stays until it is told to end.

use super::addons;
use super::control_plane::{self, Addresses, FIRST_SERVICE, SERVICES};
use super::credentials::User;
use super::daemons::Daemons;
use super::kubectl::Kubectl;
use super::layout::{Layout, State};
use super::network::{NODE_ADDRESS, Network};
use super::node::{self, Mounts};
use super::{Error, control_groups, files, go, images, run};
use crate::kafka::BOOTSTRAP_VARIABLE;
use crate::{cache, process};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// All is up within 15 s; on a busy machine it may take long.
const PATIENCE: Duration = Duration::from_mins(3);

/// What runs in a cluster, by the names of the programs' files.
const PROGRAMS: [&str; 11] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "coredns",
    "java",
    "smtp-sink-recording",
    "namespace-doors",
];

/// Kubernetes and what belongs to it, built.
struct Programs {
    etcd: PathBuf,
    api_server: PathBuf,
    manager: PathBuf,
    scheduler: PathBuf,
    kubelet: PathBuf,
    proxy: PathBuf,
    coredns: PathBuf,
    kubectl: PathBuf,
    helm: PathBuf,
}

impl Programs {
    fn ensure() -> Result<Self, Error> {
        let [etcd, api_server, manager, scheduler] =
            go::ensure(["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"])?;
        let [kubelet, proxy, coredns, kubectl, helm] =
            go::ensure(["kubelet", "kube-proxy", "coredns", "kubectl", "helm"])?;
        Ok(Self { etcd, api_server, manager, scheduler, kubelet, proxy, coredns, kubectl, helm })
    }
}

/// The cluster whose settings, data and logs are in one folder.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    network: Network,
    /// Where this crate's own programs are.
    programs: PathBuf,
}

/// What a call of [`Cluster::up`] did.
#[derive(Debug, Clone)]
pub struct Up {
    /// What was found or done, in a sentence.
    pub done: &'static str,
    /// How the cluster is reached: names of variables, and their values.
    pub variables: [(&'static str, String); 5],
}

impl Cluster {
    /// The machine's own, in the cache. `programs` is the folder of this crate's programs (`smtp-sink-recording`, `namespace-doors`).
    ///
    /// # Errors
    /// If there is no cache.
    pub fn of_this_machine(programs: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = cache::folder("cluster").map_err(Error::file(Path::new("the cache")))?;
        Ok(Self::in_folder(folder, programs))
    }

    /// One in a folder of one's own (an absolute path), which is removed when it ends.
    pub fn in_folder(folder: impl Into<PathBuf>, programs: impl Into<PathBuf>) -> Self {
        let layout = Layout::new(&folder.into());
        let network = Network::held_by(layout.network());
        Self { layout, network, programs: programs.into() }
    }

    /// Makes sure that the cluster runs. One that runs whole stays as it is; what is left of one of which a part is gone (a reboot) is removed, and a new one begins.
    ///
    /// # Errors
    /// If this isn't root, or something can't be built or started.
    pub fn up(&self) -> Result<Up, Error> {
        must_be_root()?;
        let _alone = lock()?;
        if let Some(state) = State::read(&self.layout).filter(|_| self.is_whole()) {
            return Ok(Up { done: "already running", variables: self.variables(&state) });
        }
        let left = self.remove()?;
        let state = State::choose()?;
        if let Err(error) = self.begin(&state) {
            self.remove()?;
            return Err(error);
        }
        let done = if left { "what a cluster had left was removed; a new one runs" } else { "started" };
        Ok(Up { done, variables: self.variables(&state) })
    }

    /// Ends everything that was started, and removes the folder. False if there was nothing.
    ///
    /// # Errors
    /// If this isn't root, or something can't be ended.
    pub fn down(&self) -> Result<bool, Error> {
        must_be_root()?;
        let _alone = lock()?;
        self.remove()
    }

    /// What runs, by name, and whether it does.
    pub fn status(&self) -> Vec<(&'static str, bool)> {
        let running = self.daemons().running();
        PROGRAMS.into_iter().map(|name| (name, running.contains(name))).collect()
    }

    /// How the cluster is reached, if there is one.
    pub fn variables_if_up(&self) -> Option<[(&'static str, String); 5]> {
        State::read(&self.layout).map(|state| self.variables(&state))
    }

    /// Where its kubectl is.
    pub fn kubectl(&self) -> PathBuf {
        self.layout.bin().join("kubectl")
    }

    /// Gives the node an image, from an archive that [`images::build`] made.
    ///
    /// # Errors
    /// If no cluster runs, or the archive can't be read.
    pub fn load(&self, archive: &Path) -> Result<(), Error> {
        let containerd = self.network.processes().into_iter().find(|pid| {
            let line = std::fs::read(process::folder_of(*pid).join("cmdline")).unwrap_or_default();
            line.starts_with(b"containerd\0")
        });
        let containerd = containerd.ok_or_else(|| Error::Failed {
            command: "loading an image".to_owned(),
            output: "no cluster runs; start it: cargo xtask cluster up".to_owned(),
        })?;
        node::load(Mounts::of(containerd), archive)
    }

    fn daemons(&self) -> Daemons<'_> {
        Daemons { layout: &self.layout, network: &self.network }
    }

    fn is_whole(&self) -> bool {
        self.daemons().all_run(&PROGRAMS).is_ok()
    }

    fn variables(&self, state: &State) -> [(&'static str, String); 5] {
        let bin = self.layout.bin();
        let old = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(bin.clone()).chain(std::env::split_paths(&old).filter(|folder| *folder != bin));
        let path = std::env::join_paths(folders).unwrap_or_else(|_| bin.clone().into_os_string());
        [
            ("KUBECONFIG", self.layout.kubeconfig().display().to_string()),
            (BOOTSTRAP_VARIABLE, format!("127.0.0.1:{}", state.kafka_port)),
            ("SMTP_SINK", format!("127.0.0.1:{}", state.smtp_port)),
            ("SMTP_SINK_MAILDIR", self.layout.maildir().display().to_string()),
            ("PATH", path.to_string_lossy().into_owned()),
        ]
    }

    /// Gets or builds what is missing, then starts everything.
    fn begin(&self, state: &State) -> Result<(), Error> {
        let programs = Programs::ensure()?;
        let archives = images::ensure()?;
        let layout = &self.layout;
        files::make_folder(layout.folder())?;
        state.write(layout)?;
        self.network.make(SERVICES)?;
        let names = ["127.0.0.1", NODE_ADDRESS, FIRST_SERVICE, "localhost", "kubernetes.default.svc"];
        layout.credentials().make(&format!("https://127.0.0.1:{}", state.api_port), &names, NODE_ADDRESS)?;
        control_groups::make(&state.control_group)?;
        node::prepare(layout, state)?;
        self.link_programs(&programs)?;
        // Kafka and the node have nothing to wait for while the API server starts.
        std::thread::scope(|scope| {
            let kafka = scope.spawn(|| addons::start_kafka(layout, state, &self.network));
            let node = scope.spawn(|| {
                let mounts = node::start_containerd(layout, self.daemons())?;
                archives.iter().try_for_each(|archive| node::load(mounts, archive))?;
                Ok::<_, Error>(mounts)
            });
            let kubectl = self.start_control_plane(state, &programs)?;
            addons::start_mail(&self.programs.join("smtp-sink-recording"), layout, state, self.daemons())?;
            addons::start_dns(&programs.coredns, layout, self.daemons())?;
            kubectl.apply(&addons::objects(state))?;
            let mounts = node.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            node::start_agents(layout, self.daemons(), mounts, &programs.kubelet, &programs.proxy)?;
            kafka.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            self.wait_until_usable(&kubectl)
        })
    }

    /// Starts the control plane and waits until it serves.
    fn start_control_plane(&self, state: &State, programs: &Programs) -> Result<Kubectl, Error> {
        let (credentials, daemons) = (self.layout.credentials(), self.daemons());
        let addresses = Addresses {
            bind: "0.0.0.0",
            advertise: NODE_ADDRESS,
            port: state.api_port,
            etcd_port: 2379,
            etcd_peer_port: 2380,
        };
        daemons.start("etcd", &control_plane::etcd(&programs.etcd, &self.layout.etcd(), addresses))?;
        let api_server = control_plane::api_server(&programs.api_server, &credentials, addresses);
        daemons.start("kube-apiserver", &api_server)?;
        self.start_doors(state)?;
        let kubectl = Kubectl::new(&programs.kubectl, &credentials.kubeconfig(User::Admin));
        kubectl.wait_until_ready(PATIENCE, || daemons.all_run(&["etcd", "kube-apiserver", "namespace-doors"]))?;
        let manager = control_plane::controller_manager(&programs.manager, &credentials);
        daemons.start("kube-controller-manager", &manager)?;
        daemons.start("kube-scheduler", &control_plane::scheduler(&programs.scheduler, &credentials))?;
        Ok(kubectl)
    }

    /// Until a pod that is made now would run.
    fn wait_until_usable(&self, kubectl: &Kubectl) -> Result<(), Error> {
        let ready = r#"--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
        run::until("the node did not become ready", PATIENCE, || {
            self.daemons().all_run(&PROGRAMS)?;
            match kubectl.run(&["get", "node", super::credentials::NODE, ready])?.as_str() {
                "True" => Ok(()),
                other => Err(Error::Failed { command: "the node".to_owned(), output: format!("Ready: {other}") }),
            }
        })?;
        run::until("no service accounts were made", PATIENCE, || {
            kubectl.run(&["get", "serviceaccount", "default", "--namespace=default"])
        })?;
        Ok(())
    }

    /// They begin in the machine's network, where they listen.
    fn start_doors(&self, state: &State) -> Result<(), Error> {
        let doors = addons::doors(&self.programs.join("namespace-doors"), &self.layout, state);
        self.daemons().start_outside("namespace-doors", &doors)?;
        run::until("the ways into the cluster did not open", PATIENCE, || self.runs("namespace-doors"))
    }

    /// An error as long as a program doesn't run.
    fn runs(&self, name: &str) -> Result<(), Error> {
        if self.daemons().running().contains(name) {
            return Ok(());
        }
        let output = process::end_of(&self.layout.log(name));
        Err(Error::Failed { command: name.to_owned(), output })
    }

    /// Programs for people: kubectl, helm, and one that runs another inside.
    fn link_programs(&self, programs: &Programs) -> Result<(), Error> {
        let bin = self.layout.bin();
        files::make_folder(&bin)?;
        for (name, program) in [("kubectl", &programs.kubectl), ("helm", &programs.helm)] {
            let link = bin.join(name);
            symlink(program, &link).map_err(Error::file(&link))?;
        }
        let inside = format!("#!/bin/sh\nexec nsenter --net='{}' -- \"$@\"\n", self.layout.network().display());
        files::write_program(&bin.join("in-cluster"), &inside)
    }

    /// Kills what runs, and removes what there is. False if there was nothing.
    fn remove(&self) -> Result<bool, Error> {
        let folder = self.layout.folder();
        if !folder.exists() {
            return Ok(false);
        }
        let group = State::read(&self.layout).map(|state| state.control_group);
        let remaining = || -> Vec<Pid> {
            let pods = group.iter().flat_map(|group| control_groups::processes(group));
            let all = self.network.processes().into_iter().chain(pods);
            all.filter(|pid| !process::is_gone(*pid)).collect()
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let left = remaining();
            if left.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                let said = format!("still there: {left:?}");
                return Err(Error::Waited { what: "the cluster did not end".to_owned(), seconds: 30, said });
            }
            for pid in left {
                // What it has goes anyway: there is nothing to be closed in order.
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(group) = group {
            control_groups::remove(&group)?;
        }
        self.network.remove()?;
        std::fs::remove_dir_all(folder).map_err(Error::file(folder))?;
        Ok(true)
    }
}

/// One `up` or `down` at a time.
fn lock() -> Result<File, Error> {
    let path = cache::folder("cluster.lock").map_err(Error::file(Path::new("the cache")))?;
    cache::lock(&path).map_err(Error::file(&path))
}

fn must_be_root() -> Result<(), Error> {
    if process::is_root() { Ok(()) } else { Err(Error::NotRoot) }
}
