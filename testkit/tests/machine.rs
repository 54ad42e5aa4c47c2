//! A whole cluster: it works, and the machine is afterwards as it was before. `cargo xtask test` runs this while no other cluster runs.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use testkit::kubernetes::{BASE, Cluster, Up};

/// A cluster in a folder of the test's own, which ends with it.
struct Own {
    cluster: Cluster,
    folder: TempDir,
}

impl Own {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let programs = Path::new(env!("CARGO_BIN_EXE_namespace-doors")).parent().expect("a folder");
        Self { cluster: Cluster::in_folder(folder.path().join("cluster"), programs), folder }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let ended = self.cluster.down();
        assert!(ended.is_ok() || std::thread::panicking(), "{ended:?}");
    }
}

fn kubectl(up: &Up, arguments: &[&str], input: &str) -> String {
    let [(_, kubeconfig), _, _, _, (_, path)] = &up.variables;
    // By its name alone, a program is looked for where this process looks.
    let program = Path::new(path.split(':').next().expect("a folder")).join("kubectl");
    let mut command = Command::new(program);
    command.args(arguments).env("KUBECONFIG", kubeconfig).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("kubectl starts");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ended");
    assert!(output.status.success(), "kubectl {arguments:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where the cluster's broker says that it is.
fn broker_at(up: &Up) -> String {
    let mut config = ClientConfig::new();
    let consumer: BaseConsumer = config.set("bootstrap.servers", &up.variables[1].1).create().expect("a client");
    let found = consumer.fetch_metadata(None, Duration::from_secs(20)).expect("the broker answers");
    let broker = &found.brokers()[0];
    format!("{}:{}", broker.host(), broker.port())
}

/// Sends a mail, and looks whether Kafka is there, from a pod that has no right that it doesn't need.
const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: sender}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: sender
    image: IMAGE
    imagePullPolicy: Never
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    command: [bash, -euc]
    args:
    - |
      exec 3<>/dev/tcp/kafka.kafka.svc.cluster.local/9092
      exec 3<>/dev/tcp/smtp-relay.mail.svc.cluster.local/2525
      say() { printf '%s\r\n' "$1" >&3; }
      hear() { IFS= read -r -t 20 line <&3; echo "$line"; [[ $line == "$1"* ]]; }
      hear 220; say 'HELO pod.example.com'; hear 250
      say 'MAIL FROM:<pod@example.com>'; hear 250
      say 'RCPT TO:<person@example.org>'; hear 250
      say DATA; hear 354
      say 'Subject: from a pod'; say ''; say 'Hello.'; say .; hear 250
      say QUIT
"#;

/// Everything of the machine that a cluster could have changed.
fn machine() -> BTreeMap<&'static str, String> {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    };
    let listed = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        format!("{} {}", Path::new(folder).exists(), names.join(" "))
    };
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let groups = hierarchies.flat_map(|hierarchy| fs::read_dir(hierarchy.path()).into_iter().flatten().flatten());
    let groups = groups.map(|group| group.path().display().to_string()).filter(|path| path.contains("/rig-"));
    BTreeMap::from([
        ("interfaces", listed("/sys/class/net")),
        ("routes", said("ip", &["route", "show", "table", "all"])),
        ("packet filter", said("iptables-save", &[]).lines().filter(|line| !line.starts_with('#')).collect()),
        ("mounts", read("/proc/self/mountinfo")),
        ("named networks", listed("/run/netns")),
        ("kubelet", listed("/var/lib/kubelet")),
        ("networks of containers", listed("/var/lib/cni")),
        ("containerd", format!("{}{}", listed("/run/containerd"), listed("/var/lib/containerd"))),
        ("logs", format!("{}{}", listed("/var/log/containers"), listed("/var/log/pods"))),
        ("control groups", groups.collect()),
        ("memory", read("/proc/sys/vm/overcommit_memory")),
        ("panic", read("/proc/sys/kernel/panic") + &read("/proc/sys/kernel/panic_on_oops")),
        ("forwarding", read("/proc/sys/net/ipv4/ip_forward")),
    ])
}

/// The processes that have something to do with a folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let lines = processes.map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&*folder.to_string_lossy())).collect()
}

#[test]
fn a_pod_sends_a_mail_and_nothing_is_left_when_the_cluster_is_gone() {
    let before = machine();
    let own = Own::new();
    let up = own.cluster.up().expect("a cluster");
    let again = own.cluster.up().expect("the same cluster");
    assert_eq!((again.done, &again.variables), ("already running", &up.variables));
    assert!(own.cluster.status().iter().all(|(_, runs)| *runs), "{:?}", own.cluster.status());

    assert_eq!(broker_at(&up), up.variables[1].1, "the broker is where this machine found it");
    kubectl(&up, &["apply", "--filename=-"], &POD.replace("IMAGE", BASE));
    let done = "--for=jsonpath={.status.phase}=Succeeded";
    kubectl(&up, &["wait", done, "pod/sender", "--timeout=60s"], "");
    assert!(kubectl(&up, &["logs", "sender"], "").contains("354"), "the log says what the server answered");
    let [_, _, _, (_, maildir), _] = &up.variables;
    let mails: Vec<PathBuf> =
        fs::read_dir(Path::new(maildir).join("new")).expect("mails").flatten().map(|mail| mail.path()).collect();
    assert_eq!(mails.len(), 1);
    let mail = fs::read_to_string(&mails[0]).expect("the mail");
    assert!(mail.contains("Delivered-To: person@example.org") && mail.contains("Subject: from a pod"), "{mail}");

    let differs = |name: &str| machine()[name] != before[name];
    assert!(differs("mounts") && differs("control groups") && !differs("interfaces") && !differs("routes"));
    assert!(own.cluster.down().expect("it ends"));
    assert!(!own.cluster.down().expect("nothing is there"));
    assert_eq!(processes_of(own.folder.path()), Vec::<String>::new());
    assert_eq!(machine(), before);
}
