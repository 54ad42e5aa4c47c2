//! Who is who in a cluster: certificates of the servers, tokens of the users, and the files in which programs find them.
//!
//! All are made anew for every cluster; none is good elsewhere.

use super::{Error, files};
use crate::Authority;
use rcgen::KeyPair;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The name of the only node.
pub(super) const NODE: &str = "rig";

/// Somebody who talks to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    /// May do everything.
    Admin,
    ControllerManager,
    Scheduler,
    Kubelet,
    Proxy,
    Dns,
}

impl User {
    const ALL: [Self; 6] =
        [Self::Admin, Self::ControllerManager, Self::Scheduler, Self::Kubelet, Self::Proxy, Self::Dns];

    /// The name that the cluster's own roles are bound to, and the group.
    fn name_and_group(self) -> (String, &'static str) {
        match self {
            Self::Admin => ("admin".to_owned(), "system:masters"),
            Self::ControllerManager => ("system:kube-controller-manager".to_owned(), ""),
            Self::Scheduler => ("system:kube-scheduler".to_owned(), ""),
            Self::Kubelet => (format!("system:node:{NODE}"), "system:nodes"),
            Self::Proxy => ("system:kube-proxy".to_owned(), ""),
            Self::Dns => ("system:coredns".to_owned(), ""),
        }
    }

    /// The name of its kubeconfig.
    fn file(self) -> &'static str {
        match self {
            Self::Admin => "kubeconfig",
            Self::ControllerManager => "controller-manager.kubeconfig",
            Self::Scheduler => "scheduler.kubeconfig",
            Self::Kubelet => "kubelet.kubeconfig",
            Self::Proxy => "proxy.kubeconfig",
            Self::Dns => "coredns.kubeconfig",
        }
    }
}

/// The files of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Credentials {
    folder: PathBuf,
}

impl Credentials {
    /// Where they are, or will be.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// Makes all of them. `server` is where users find the API server, `names` what its certificate is for, `node` the address of the node.
    pub(super) fn make(&self, server: &str, names: &[&str], node: &str) -> Result<(), Error> {
        files::make_folder(&self.folder)?;
        let (authority, front_proxy) = (Authority::new(), Authority::new());
        files::write(&self.authority(), authority.pem())?;
        files::write_secret(&self.api_server(), &authority.server_pem(names))?;
        files::write_secret(&self.kubelet_server(), &authority.server_pem(&[node, NODE]))?;
        let (certificate, key) = authority.client_pem_in_group("kube-apiserver", "system:masters");
        files::write_secret(&self.kubelet_client(), &(certificate + &key))?;
        // Whom an aggregated API believes what it says about users.
        files::write(&self.front_proxy_authority(), front_proxy.pem())?;
        let (certificate, key) = front_proxy.client_pem("front-proxy-client");
        files::write_secret(&self.front_proxy_client(), &(certificate + &key))?;
        self.make_service_account_key()?;
        self.make_users(server, authority.pem())
    }

    /// The key with which tokens of service accounts are signed.
    fn make_service_account_key(&self) -> Result<(), Error> {
        let key = KeyPair::generate().expect("a key");
        files::write_secret(&self.service_account_key(), &key.serialize_pem())?;
        files::write(&self.service_account_public_key(), &key.public_key_pem())
    }

    fn make_users(&self, server: &str, authority: &str) -> Result<(), Error> {
        let mut tokens = String::new();
        for (number, user) in User::ALL.into_iter().enumerate() {
            let token = files::random_word()?;
            let (name, group) = user.name_and_group();
            let _ = writeln!(tokens, "{token},{name},{number},\"{group}\"");
            files::write_secret(&self.kubeconfig(user), &kubeconfig(server, authority, &token))?;
        }
        files::write_secret(&self.tokens(), &tokens)
    }

    /// How a user finds the API server, and proves who it is.
    pub(super) fn kubeconfig(&self, user: User) -> PathBuf {
        self.folder.join(user.file())
    }

    pub(super) fn tokens(&self) -> PathBuf {
        self.folder.join("tokens.csv")
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Key and certificate, as in the following ones, in one file.
    pub(super) fn api_server(&self) -> PathBuf {
        self.folder.join("api-server.pem")
    }

    pub(super) fn kubelet_server(&self) -> PathBuf {
        self.folder.join("kubelet-server.pem")
    }

    /// As whom the API server comes to the kubelet, for logs and exec.
    pub(super) fn kubelet_client(&self) -> PathBuf {
        self.folder.join("kubelet-client.pem")
    }

    pub(super) fn front_proxy_authority(&self) -> PathBuf {
        self.folder.join("front-proxy-authority.pem")
    }

    /// As whom the API server comes to an aggregated API.
    pub(super) fn front_proxy_client(&self) -> PathBuf {
        self.folder.join("front-proxy-client.pem")
    }

    pub(super) fn service_account_key(&self) -> PathBuf {
        self.folder.join("service-account.key")
    }

    pub(super) fn service_account_public_key(&self) -> PathBuf {
        self.folder.join("service-account.pub")
    }
}

fn kubeconfig(server: &str, authority: &str, token: &str) -> String {
    let authority = base64_simd::STANDARD.encode_to_string(authority);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: rig
  cluster: {{server: \"{server}\", certificate-authority-data: {authority}}}
users:
- name: rig
  user: {{token: {token}}}
contexts:
- name: rig
  context: {{cluster: rig, user: rig, namespace: default}}
current-context: rig
"
    )
}
