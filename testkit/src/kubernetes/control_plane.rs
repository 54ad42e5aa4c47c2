//! What the programs of the control plane are told: etcd, the API server, the controller manager and the scheduler.

use super::credentials::{Credentials, User};
use std::fmt::Display;
use std::path::Path;
use std::process::Command;

/// Addresses of services. No machine has them: they exist only in the rules that the proxy makes.
pub(super) const SERVICES: &str = "10.96.0.0/16";
/// The first of them, which is the API server's.
pub(super) const FIRST_SERVICE: &str = "10.96.0.1";
/// Who signs tokens of service accounts.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Where the API server and its store are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses<'a> {
    /// Where the API server listens.
    pub(super) bind: &'a str,
    /// Under which address pods find it.
    pub(super) advertise: &'a str,
    pub(super) port: u16,
    pub(super) etcd_port: u16,
    pub(super) etcd_peer_port: u16,
}

/// etcd, with its data in `folder`.
pub(super) fn etcd(program: &Path, folder: &Path, addresses: Addresses<'_>) -> Command {
    let clients = format!("http://127.0.0.1:{}", addresses.etcd_port);
    let peers = format!("http://127.0.0.1:{}", addresses.etcd_peer_port);
    let mut command = Command::new(program);
    set(&mut command, "name", "rig");
    set(&mut command, "data-dir", folder.display());
    set(&mut command, "listen-client-urls", &clients);
    set(&mut command, "advertise-client-urls", &clients);
    set(&mut command, "listen-peer-urls", &peers);
    set(&mut command, "initial-advertise-peer-urls", &peers);
    set(&mut command, "initial-cluster", format!("rig={peers}"));
    set(&mut command, "log-level", "warn");
    // What it keeps is gone with the rig: nothing need survive a power failure.
    set(&mut command, "unsafe-no-fsync", true);
    command
}

/// The API server: with roles and aggregation, as a real one.
pub(super) fn api_server(program: &Path, credentials: &Credentials, addresses: Addresses<'_>) -> Command {
    let mut command = Command::new(program);
    set(&mut command, "etcd-servers", format!("http://127.0.0.1:{}", addresses.etcd_port));
    set(&mut command, "bind-address", addresses.bind);
    set(&mut command, "advertise-address", addresses.advertise);
    set(&mut command, "secure-port", addresses.port);
    set(&mut command, "service-cluster-ip-range", SERVICES);
    set(&mut command, "allow-privileged", true);
    set(&mut command, "authorization-mode", "Node,RBAC");
    set(&mut command, "token-auth-file", credentials.tokens().display());
    set(&mut command, "client-ca-file", credentials.authority().display());
    for name in ["tls-cert-file", "tls-private-key-file"] {
        set(&mut command, name, credentials.api_server().display());
    }
    set(&mut command, "service-account-issuer", ISSUER);
    set(&mut command, "service-account-key-file", credentials.service_account_public_key().display());
    set(&mut command, "service-account-signing-key-file", credentials.service_account_key().display());
    set(&mut command, "kubelet-preferred-address-types", "InternalIP");
    set(&mut command, "kubelet-certificate-authority", credentials.authority().display());
    for name in ["kubelet-client-certificate", "kubelet-client-key"] {
        set(&mut command, name, credentials.kubelet_client().display());
    }
    set(&mut command, "requestheader-client-ca-file", credentials.front_proxy_authority().display());
    set(&mut command, "requestheader-allowed-names", "front-proxy-client");
    set(&mut command, "requestheader-extra-headers-prefix", "X-Remote-Extra-");
    set(&mut command, "requestheader-group-headers", "X-Remote-Group");
    set(&mut command, "requestheader-username-headers", "X-Remote-User");
    for name in ["proxy-client-cert-file", "proxy-client-key-file"] {
        set(&mut command, name, credentials.front_proxy_client().display());
    }
    command
}

/// The controller manager. Autoscalers look every 2 s, so that tests needn't wait for what takes a quarter of a minute elsewhere.
pub(super) fn controller_manager(program: &Path, credentials: &Credentials) -> Command {
    let mut command = Command::new(program);
    let kubeconfig = credentials.kubeconfig(User::ControllerManager);
    for name in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        set(&mut command, name, kubeconfig.display());
    }
    set(&mut command, "bind-address", "127.0.0.1");
    set(&mut command, "leader-elect", false);
    // Without it pods get no certificate of the API server.
    set(&mut command, "root-ca-file", credentials.authority().display());
    set(&mut command, "service-account-private-key-file", credentials.service_account_key().display());
    set(&mut command, "use-service-account-credentials", true);
    set(&mut command, "service-cluster-ip-range", SERVICES);
    set(&mut command, "horizontal-pod-autoscaler-sync-period", "2s");
    set(&mut command, "horizontal-pod-autoscaler-downscale-stabilization", "5s");
    set(&mut command, "pvclaimbinder-sync-period", "1s");
    command
}

/// The scheduler.
pub(super) fn scheduler(program: &Path, credentials: &Credentials) -> Command {
    let mut command = Command::new(program);
    let kubeconfig = credentials.kubeconfig(User::Scheduler);
    for name in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        set(&mut command, name, kubeconfig.display());
    }
    set(&mut command, "bind-address", "127.0.0.1");
    set(&mut command, "leader-elect", false);
    command
}

/// One flag.
pub(super) fn set(command: &mut Command, name: &str, value: impl Display) {
    command.arg(format!("--{name}={value}"));
}
