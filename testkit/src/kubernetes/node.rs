//! The node: containerd, the kubelet and the proxy, in a mount namespace of their own.
//!
//! Where these programs have fixed folders (`/run`, `/var/log`, `/var/lib/kubelet`, `/var/lib/cni`), folders of the cluster lie over them there; and over the
//! settings of the kernel that the kubelet insists on, files that say that all is set. So the machine stays as it is.

use super::control_plane::set;
use super::credentials::{NODE, User};
use super::daemons::Daemons;
use super::layout::{Layout, State};
use super::network::{BRIDGE, FIRST_POD, NODE_ADDRESS, PODS};
use super::{Error, control_plane, files, images, run};
use rustix::process::Pid;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_mins(1);

/// Settings of the kernel as the kubelet wants them. They can't be set for a namespace.
const KERNEL: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Covers what is covered, then becomes the program. Mounts don't leave the namespace, and within it pods may ask for those that come later. Folders that
/// are missing in `/var/lib` are made in a layer above it; the cluster's own folder stays what it is, should it lie below that.
const COVER: &str = r#"set -e
folder=$1
shift
mount --make-rshared /
mount -t tmpfs -o mode=755 rig /run
mount -t tmpfs -o mode=755 rig /var/log
mkdir -p /run/rig/folder /run/rig/upper /run/rig/work
mount --bind "$folder" /run/rig/folder
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/rig/upper,workdir=/run/rig/work rig /var/lib
mount --bind /run/rig/folder "$folder"
for name in kubelet cni; do
    mkdir -p "/var/lib/$name"
    mount --bind "$folder/node/$name" "/var/lib/$name"
done
cd "$folder/node/kernel"
for setting in */* */*/*; do
    [ ! -f "$setting" ] || mount --bind "$setting" "/proc/sys/$setting"
done
cd /
exec "$@""#;

/// The namespace of the node's mounts, by a process that lives in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mounts(Pid);

impl Mounts {
    /// A program that will live there.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.0.as_raw_nonzero())).arg("--").arg(program);
        command
    }

    /// Those of a cluster that runs: `containerd` is in them.
    pub(super) fn of(containerd: Pid) -> Self {
        Self(containerd)
    }
}

/// Makes the node's folders and settings.
pub(super) fn prepare(layout: &Layout, state: &State) -> Result<(), Error> {
    for name in ["containerd", "kubelet", "cni", "cni-settings", "cni-addresses"] {
        files::make_folder(&layout.node(name))?;
    }
    for (setting, value) in KERNEL {
        let file = layout.node("kernel").join(setting);
        files::make_folder(file.parent().unwrap_or(Path::new(".")))?;
        files::write(&file, &format!("{value}\n"))?;
    }
    files::write(&layout.node("resolv.conf"), "")?;
    files::write(&layout.node("containerd.toml"), &containerd_settings(layout))?;
    files::write(&layout.node("cni-settings/rig.conflist"), &cni_settings(layout))?;
    files::write(&layout.node("kubelet.yaml"), &kubelet_settings(layout, state))?;
    files::write(&layout.node("proxy.yaml"), &proxy_settings(layout))
}

/// Starts containerd and waits until it serves.
pub(super) fn start_containerd(layout: &Layout, daemons: Daemons<'_>) -> Result<Mounts, Error> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", "sh", "-c", COVER, "containerd"]);
    command.arg(layout.folder()).arg("containerd").arg("--config").arg(layout.node("containerd.toml"));
    let mounts = Mounts(daemons.start("containerd", &command)?);
    run::until("containerd did not answer", PATIENCE, || {
        run::to_end(mounts.command(Path::new("ctr")).arg("version"), run::FROM_DEBIAN)
    })?;
    Ok(mounts)
}

/// Gives containerd an image.
pub(super) fn load(mounts: Mounts, archive: &Path) -> Result<(), Error> {
    let mut command = mounts.command(Path::new("ctr"));
    command.args(["--namespace", "k8s.io", "images", "import"]).arg(archive);
    run::to_end(&mut command, run::FROM_DEBIAN).map(drop)
}

/// Starts what asks the API server what to do.
pub(super) fn start_agents(
    layout: &Layout,
    daemons: Daemons<'_>,
    mounts: Mounts,
    kubelet: &Path,
    proxy: &Path,
) -> Result<(), Error> {
    let mut kubelet = mounts.command(kubelet);
    set(&mut kubelet, "config", layout.node("kubelet.yaml").display());
    set(&mut kubelet, "kubeconfig", layout.credentials().kubeconfig(User::Kubelet).display());
    set(&mut kubelet, "hostname-override", NODE);
    set(&mut kubelet, "node-ip", NODE_ADDRESS);
    daemons.start("kubelet", &kubelet)?;
    let mut proxy = mounts.command(proxy);
    set(&mut proxy, "config", layout.node("proxy.yaml").display());
    daemons.start("kube-proxy", &proxy).map(drop)
}

fn containerd_settings(layout: &Layout) -> String {
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing"
]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # A pod's first process can't be given a better score than ours without a right that containers of ours lack.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
"#,
        root = layout.node("containerd").display(),
        pause = images::PAUSE,
        cni = layout.node("cni-settings").display(),
    )
}

fn cni_settings(layout: &Layout) -> String {
    format!(
        r#"{{"cniVersion": "1.0.0", "name": "rig", "plugins": [{{
  "type": "bridge", "bridge": "{BRIDGE}", "isGateway": true, "ipMasq": false, "hairpinMode": true,
  "ipam": {{"type": "host-local", "dataDir": "{addresses}",
    "ranges": [[{{"subnet": "{PODS}", "rangeStart": "{FIRST_POD}", "gateway": "{NODE_ADDRESS}"}}]],
    "routes": [{{"dst": "{services}", "gw": "{NODE_ADDRESS}"}}]}}
}}]}}
"#,
        addresses = layout.node("cni-addresses").display(),
        services = control_plane::SERVICES,
    )
}

fn kubelet_settings(layout: &Layout, state: &State) -> String {
    let credentials = layout.credentials();
    format!(
        r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {NODE_ADDRESS}
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: "{authority}"}}
authorization: {{mode: Webhook}}
tlsCertFile: "{server}"
tlsPrivateKeyFile: "{server}"
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: "/{group}"
failCgroupV1: false
failSwapOn: false
protectKernelDefaults: true
makeIPTablesUtilChains: true
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
# A full disk of the machine is not the cluster's business.
evictionHard: {{memory.available: "50Mi", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
clusterDomain: cluster.local
clusterDNS: ["{dns}"]
resolvConf: "{resolv}"
syncFrequency: 5s
nodeStatusUpdateFrequency: 5s
registerNode: true
serializeImagePulls: false
podLogsDir: "{logs}"
volumePluginDir: "{plugins}"
"#,
        authority = credentials.authority().display(),
        server = credentials.kubelet_server().display(),
        group = state.control_group,
        dns = super::addons::DNS,
        resolv = layout.node("resolv.conf").display(),
        logs = layout.node("pod-logs").display(),
        plugins = layout.node("volume-plugins").display(),
    )
}

fn proxy_settings(layout: &Layout) -> String {
    format!(
        r#"apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
hostnameOverride: {NODE}
bindAddress: {NODE_ADDRESS}
clientConnection: {{kubeconfig: "{kubeconfig}"}}
detectLocalMode: BridgeInterface
detectLocal: {{bridgeInterface: {BRIDGE}}}
iptables: {{minSyncPeriod: 100ms}}
# Limits of the whole machine.
conntrack: {{maxPerCore: 0, min: 0}}
"#,
        kubeconfig = layout.credentials().kubeconfig(User::Proxy).display(),
    )
}
