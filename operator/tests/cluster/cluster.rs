//! The cluster that all tests share, and who may use it at the same time.

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The namespace of the operator.
pub(crate) const SYSTEM: &str = "mailcampaign-system";
/// The release of the chart.
pub(crate) const RELEASE: &str = "mc";
/// What a cluster is named by; without all of them these tests take that of this machine.
const VARIABLES: [&str; 3] = ["KUBECONFIG", "KAFKA_BOOTSTRAP_SERVERS", "SMTP_SINK_MAILDIR"];
/// Set by who has built the whole workspace already.
const BUILT: &str = "MAILCAMPAIGN_PROGRAMS_ARE_BUILT";

/// A cluster on which the operator is installed.
pub(crate) struct Cluster {
    variables: BTreeMap<String, String>,
    /// Ends what was started for these tests, when this process is gone.
    _janitor: Option<Mutex<Child>>,
}

/// How a test uses the installation: beside others, which need it whole; or alone, because it breaks it.
pub(crate) enum Use {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

static INSTALLATION: RwLock<()> = RwLock::const_new(());

impl Use {
    pub(crate) async fn shared() -> Self {
        Self::Shared(INSTALLATION.read().await)
    }

    pub(crate) async fn alone() -> Self {
        Self::Alone(INSTALLATION.write().await)
    }
}

/// The cluster; started now if none is named.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::named().unwrap_or_else(Cluster::of_this_machine))
}

impl Cluster {
    fn named() -> Option<Self> {
        let given = VARIABLES.map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()));
        given.iter().all(Option::is_some).then(|| Self { variables: BTreeMap::new(), _janitor: None })
    }

    /// That of `cargo xtask cluster`.
    fn of_this_machine() -> Self {
        assert!(
            testkit::is_root(),
            "these tests need a cluster: set {} to one with the operator (README, \"On a cluster\"), or run them as root and they start one",
            VARIABLES.join(", ")
        );
        let ran =
            xtask(&["cluster", "status"]).stderr(Stdio::null()).output().is_ok_and(|output| output.status.success());
        let stays = std::env::var_os(testkit::kubernetes::STAYS).is_some();
        let janitor = (!ran && !stays).then(end_with_this_process);
        let up = xtask(&["cluster", "up"]).output().expect("xtask starts");
        assert!(up.status.success(), "cargo xtask cluster up: {}", String::from_utf8_lossy(&up.stderr));
        let printed = String::from_utf8_lossy(&up.stdout).into_owned();
        let lines = printed.lines().filter_map(|line| line.split_once('='));
        let variables = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let install = xtask(&["cluster", "install"]).output().expect("xtask starts");
        assert!(install.status.success(), "cargo xtask cluster install: {}", String::from_utf8_lossy(&install.stderr));
        Self { variables, _janitor: janitor.map(Mutex::new) }
    }

    fn variable(&self, name: &str) -> String {
        let own = self.variables.get(name).cloned();
        own.or_else(|| std::env::var(name).ok()).unwrap_or_else(|| panic!("{name} is not set"))
    }

    /// Where the mail server keeps mails, in Maildir format.
    pub(crate) fn maildir(&self) -> PathBuf {
        PathBuf::from(self.variable("SMTP_SINK_MAILDIR"))
    }

    /// The brokers, as this machine reaches them.
    pub(crate) fn kafka(&self) -> String {
        self.variable("KAFKA_BOOTSTRAP_SERVERS")
    }

    /// A client of one's own: each belongs to the runtime of its test.
    pub(crate) async fn client(&self) -> Client {
        let file = Kubeconfig::read_from(self.variable("KUBECONFIG")).expect("KUBECONFIG can be read");
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        Client::try_from(config.expect("KUBECONFIG leads to a cluster")).expect("a client")
    }

    /// A line as people type it, in the folder of the project.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(workspace("")).envs(&self.variables).stdin(Stdio::null());
        command
    }

    /// What such a line prints; it must succeed.
    pub(crate) fn prints(&self, line: &str) -> String {
        let output = self.shell(line).output().expect("a shell");
        let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}\n{printed}{said}");
        printed.into_owned()
    }
}

/// A file of the workspace.
pub(crate) fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The project's own tool: the program if everything is built, else through cargo.
fn xtask(arguments: &[&str]) -> Command {
    let here = std::env::current_exe().expect("this program's file");
    let built = here.parent().and_then(Path::parent).map(|folder| folder.join("xtask"));
    let program = built.filter(|program| std::env::var_os(BUILT).is_some() && program.is_file());
    let mut command = program.map_or_else(
        || {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["run", "--quiet", "--package", "xtask", "--"]);
            cargo
        },
        Command::new,
    );
    // What cargo told this program about itself would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|part| text.starts_with(part)) {
            command.env_remove(&name);
        }
    }
    command.args(arguments).current_dir(workspace("")).stdin(Stdio::null());
    command
}

/// A shell that waits for the end of this process, however it ends, and then ends the cluster.
fn end_with_this_process() -> Child {
    use std::os::unix::process::CommandExt as _;
    let down = xtask(&["cluster", "down"]);
    let mut janitor = Command::new("sh");
    janitor.args(["-c", r#"cat; exec "$@""#, "janitor"]).arg(down.get_program()).args(down.get_args());
    janitor
        .current_dir(workspace(""))
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = janitor.spawn().expect("a shell");
    if let Some(stdin) = &mut child.stdin {
        stdin.flush().expect("its input");
    }
    child
}
