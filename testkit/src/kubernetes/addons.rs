//! What a cluster has besides Kubernetes: names, a mail server and Kafka, as programs on the node behind services without pods.

use super::credentials::User;
use super::daemons::Daemons;
use super::layout::{Layout, State};
use super::network::{NODE_ADDRESS, Network};
use super::{Error, files};
use crate::kafka;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

/// The service that pods ask for names.
pub(super) const DNS: &str = "10.96.0.10";
/// How pods reach Kafka.
pub const KAFKA_FOR_PODS: &str = "kafka.kafka.svc.cluster.local:9092";
/// Where Kafka listens for them: on another port than for everybody else, because it must.
const KAFKA_PORT_FOR_PODS: u16 = 9192;

/// Starts the server for names.
pub(super) fn start_dns(program: &Path, layout: &Layout, daemons: Daemons<'_>) -> Result<(), Error> {
    let settings = layout.node("Corefile");
    let kubeconfig = layout.credentials().kubeconfig(User::Dns);
    // Other names than the cluster's don't exist here: nothing is asked elsewhere.
    let text = format!(
        ".:53 {{
    bind {NODE_ADDRESS}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig \"{}\"
    }}
    cache 5
}}
",
        kubeconfig.display()
    );
    files::write(&settings, &text)?;
    let mut command = Command::new(program);
    command.arg("-conf").arg(settings);
    daemons.start("coredns", &command).map(drop)
}

/// Starts the mail server that records.
pub(super) fn start_mail(program: &Path, layout: &Layout, state: &State, daemons: Daemons<'_>) -> Result<(), Error> {
    let mut command = Command::new(program);
    command.arg(format!("0.0.0.0:{}", state.smtp_port));
    command.arg("--maildir").arg(layout.maildir()).arg("--log").arg(layout.mail_log());
    daemons.start("smtp-sink-recording", &command).map(drop)
}

/// The broker, which is started in the network.
pub(super) fn kafka(layout: &Layout) -> kafka::Standing {
    let address = IpAddr::V4(NODE_ADDRESS.parse().unwrap_or(Ipv4Addr::UNSPECIFIED));
    let listen = SocketAddr::new(address, KAFKA_PORT_FOR_PODS);
    kafka::Standing::in_folder(layout.kafka()).second_address(listen, KAFKA_FOR_PODS)
}

/// Starts Kafka and waits until it serves.
pub(super) fn start_kafka(layout: &Layout, state: &State, network: &Network) -> Result<(), Error> {
    network.inside(|| kafka(layout).up(1, Some(state.kafka_port)))??;
    Ok(())
}

/// Opens the way from 127.0.0.1 of the machine to 127.0.0.1 of the cluster. It is started in the machine's network, and goes into the cluster's by itself.
pub(super) fn doors(program: &Path, layout: &Layout, state: &State) -> Command {
    let mut command = Command::new(program);
    command.arg(layout.network());
    command.args([state.api_port, state.kafka_port, state.smtp_port].map(|port| port.to_string()));
    command
}

/// The objects that make these programs known to pods.
pub(super) fn objects(state: &State) -> String {
    let services = [
        service("kube-system", "kube-dns", Some(DNS), &[port("dns", "UDP", 53, 53), port("dns-tcp", "TCP", 53, 53)]),
        service("mail", "smtp-relay", None, &[port("smtp", "TCP", 2525, state.smtp_port)]),
        service("kafka", "kafka", None, &[port("kafka", "TCP", 9092, KAFKA_PORT_FOR_PODS)]),
    ];
    format!("{NAMESPACES}{DNS_ROLE}{}", services.concat())
}

const NAMESPACES: &str = "apiVersion: v1
kind: Namespace
metadata: {name: mail}
---
apiVersion: v1
kind: Namespace
metadata: {name: kafka}
---
";

const DNS_ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: system:coredns}
rules:
- {apiGroups: [\"\"], resources: [services, pods, namespaces, endpoints], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: system:coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:coredns}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: system:coredns}
---
";

/// A port of a service, and where it leads on the node.
struct Port {
    name: &'static str,
    protocol: &'static str,
    number: u16,
    target: u16,
}

fn port(name: &'static str, protocol: &'static str, number: u16, target: u16) -> Port {
    Port { name, protocol, number, target }
}

/// A service without pods: it leads to the node.
fn service(namespace: &str, name: &str, address: Option<&str>, ports: &[Port]) -> String {
    let (mut outer, mut inner) = (String::new(), String::new());
    for Port { name, protocol, number, target } in ports {
        let _ = writeln!(outer, "  - {{name: {name}, protocol: {protocol}, port: {number}, targetPort: {target}}}");
        let _ = writeln!(inner, "- {{name: {name}, protocol: {protocol}, port: {target}}}");
    }
    let address = address.map(|address| format!("  clusterIP: {address}\n")).unwrap_or_default();
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
{address}  ports:
{outer}---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports:
{inner}endpoints:
- {{addresses: [{NODE_ADDRESS}], conditions: {{ready: true}}}}
---
"
    )
}
