//! What producer and worker pods have in common: image, what is mounted, and how little they may do.

use super::{COMPONENT, Component, INSTANCE, Input, file, labels};
use crate::resource::Kind;
use campaign::spec::{PodSecurityContext as Declared, PodSpec as DeclaredPod, PodTemplate, Resources};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, KeyToPath,
    LocalObjectReference, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Toleration, TopologySpreadConstraint,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Where pods have the campaign.
const CAMPAIGN: &str = "/campaign";
/// Where pods have the Secret of the Kafka.
const KAFKA: &str = "/kafka";
/// The user of the image; no root.
const USER: i64 = 65_532;
/// The port of health and metrics.
pub(super) const PORT: i32 = 8080;
/// Where Kubernetes looks for what a container that ended has said last.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// How this installation makes pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodSettings {
    /// The image with the programs.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`; none: as Kubernetes does by the image's tag.
    pub image_pull_policy: Option<String>,
    /// Secrets to pull it with, in the campaign's namespace.
    pub image_pull_secrets: Vec<String>,
    /// `text` or `json`.
    pub log_format: String,
}

/// How the pods of a campaign reach Kafka.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaForPods {
    /// Brokers, unless the Secret names them.
    pub bootstrap: Option<String>,
    /// A Secret in the campaign's namespace with `client.properties` and what it names.
    pub secret: Option<String>,
}

/// What differs between the two kinds of pods.
pub(super) struct Own<'a> {
    pub(super) component: Component,
    pub(super) template: Option<&'a PodTemplate>,
    pub(super) resources: &'a Resources,
    /// Completed with what all have.
    pub(super) container: Container,
    pub(super) env: Vec<EnvVar>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// A pod of a campaign.
pub(super) fn template(input: &Input<'_>, own: Own<'_>) -> PodTemplateSpec {
    let declared = own.template.and_then(|template| template.metadata.as_ref());
    let with = |declared: Option<&BTreeMap<String, String>>, ours: BTreeMap<String, String>| {
        let mut all = declared.cloned().unwrap_or_default();
        all.extend(ours);
        (!all.is_empty()).then_some(all)
    };
    let ours = labels(input.campaign.name(), own.component);
    let nothing = DeclaredPod::default();
    let pod = own.template.and_then(|template| template.spec.as_ref()).unwrap_or(&nothing);
    let (volumes, mounts) = mounted(input).into_iter().map(|Mounted { volume, mount }| (volume, mount)).unzip();
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: with(declared.map(|metadata| &metadata.labels), ours),
            annotations: with(declared.map(|metadata| &metadata.annotations), own.annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            containers: vec![container(input, own.container, own.env, own.resources, mounts)],
            volumes: Some(volumes),
            security_context: Some(security(pod.security_context.as_ref())),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: pull_secrets(input, pod),
            node_selector: filled(pod.node_selector.clone()),
            tolerations: as_is(&pod.tolerations).filter(|all: &Vec<Toleration>| !all.is_empty()),
            affinity: filled(pod.affinity.clone()).and_then(|affinity| as_is::<_, Affinity>(&affinity)),
            topology_spread_constraints: as_is(&pod.topology_spread_constraints)
                .filter(|all: &Vec<TopologySpreadConstraint>| !all.is_empty()),
            priority_class_name: pod.priority_class_name.clone(),
            runtime_class_name: pod.runtime_class_name.clone(),
            scheduler_name: pod.scheduler_name.clone(),
            ..PodSpec::default()
        }),
    }
}

/// Declared as the Kubernetes API has it, so it goes over as it stands; what the API doesn't know, the rules have refused or it is left out.
fn as_is<T: serde::Serialize, U: DeserializeOwned>(declared: &T) -> Option<U> {
    serde_json::to_value(declared).and_then(serde_json::from_value).ok()
}

fn filled<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

fn pull_secrets(input: &Input<'_>, pod: &DeclaredPod) -> Option<Vec<LocalObjectReference>> {
    let declared = pod.image_pull_secrets.iter().map(|secret| secret.name.clone());
    let mut names: Vec<String> = input.pods.image_pull_secrets.iter().cloned().chain(declared).collect();
    names.sort();
    names.dedup();
    filled(names.into_iter().map(|name| LocalObjectReference { name }).collect())
}

fn container(
    input: &Input<'_>,
    own: Container,
    env: Vec<EnvVar>,
    resources: &Resources,
    mounts: Vec<VolumeMount>,
) -> Container {
    let mut all = common_env(input);
    all.extend(env);
    Container {
        image: Some(input.pods.image.clone()),
        image_pull_policy: input.pods.image_pull_policy.clone(),
        env: Some(all),
        ports: Some(vec![ContainerPort {
            name: Some("metrics".to_owned()),
            container_port: PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        resources: Some(ResourceRequirements {
            limits: filled(resources.limits.clone()),
            requests: filled(resources.requests.clone()),
            ..ResourceRequirements::default()
        }),
        volume_mounts: Some(mounts),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        termination_message_path: Some(TERMINATION_LOG.to_owned()),
        ..own
    }
}

/// A variable and its value.
pub(super) fn variable(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.into()), value_from: None }
}

fn common_env(input: &Input<'_>) -> Vec<EnvVar> {
    let kafka = &input.valid.spec.kafka;
    let mut env = vec![
        variable("MAILCAMPAIGN_CAMPAIGN", format!("{CAMPAIGN}/{}", file::KEY)),
        variable("MAILCAMPAIGN_LISTEN", format!(":{PORT}")),
        variable("MAILCAMPAIGN_LOG_FORMAT", input.pods.log_format.clone()),
        variable("MAILCAMPAIGN_TERMINATION_LOG", TERMINATION_LOG),
        variable("KAFKA_TOPIC_PREFIX", kafka.topic_prefix.clone()),
        variable("KAFKA_PARTITIONS", kafka.partitions.to_string()),
        // glibc keeps what it has freed in as many arenas as there are threads.
        variable("MALLOC_ARENA_MAX", "2"),
    ];
    env.extend(kafka.replication_factor.map(|copies| variable("KAFKA_REPLICATION", copies.to_string())));
    env.extend(input.kafka.bootstrap.as_ref().map(|brokers| variable("KAFKA_BOOTSTRAP_SERVERS", brokers)));
    env.extend(input.kafka.secret.as_ref().map(|_| variable("KAFKA_CONFIG", format!("{KAFKA}/client.properties"))));
    env
}

struct Mounted {
    volume: Volume,
    mount: VolumeMount,
}

/// What the pods read, in an order that doesn't depend on the order in the campaign.
fn mounted(input: &Input<'_>) -> Vec<Mounted> {
    let mut all = vec![campaign(input), scratch()];
    let kafka = input.kafka.secret.as_deref();
    let declared_kafka = input.valid.spec.kafka.connection.as_ref().map(|connection| connection.secret.name.as_str());
    let is_kafkas_alone = |name: &str| {
        Some(name) == declared_kafka
            && !campaign::references::of(&input.campaign.document())
                .iter()
                .any(|reference| matches!(&reference.content, campaign::ContentKey::Secret(key) if key.name == name))
    };
    for (number, named) in input.campaign.refers_to.iter().enumerate() {
        let name = named.name.as_str();
        let volume = match named.kind {
            Kind::ConfigMap => config_map(name),
            Kind::Secret if is_kafkas_alone(name) => continue,
            Kind::Secret => secret(name),
            Kind::Claim => claim(name),
        };
        let path = match named.kind {
            Kind::ConfigMap => format!("{CAMPAIGN}/configMaps/{name}"),
            Kind::Secret => format!("{CAMPAIGN}/secrets/{name}"),
            Kind::Claim => format!("{CAMPAIGN}/{name}"),
        };
        all.push(read_only(Volume { name: format!("content-{number}"), ..volume }, path));
    }
    all.extend(kafka.map(|name| read_only(Volume { name: "kafka".to_owned(), ..secret(name) }, KAFKA.to_owned())));
    all
}

fn read_only(volume: Volume, path: String) -> Mounted {
    let mount =
        VolumeMount { name: volume.name.clone(), mount_path: path, read_only: Some(true), ..VolumeMount::default() };
    Mounted { volume, mount }
}

/// The campaign's file.
fn campaign(input: &Input<'_>) -> Mounted {
    let source = ConfigMapVolumeSource {
        name: Component::Campaign.of(input.campaign.name()),
        items: Some(vec![KeyToPath { key: file::KEY.to_owned(), path: file::KEY.to_owned(), ..KeyToPath::default() }]),
        ..ConfigMapVolumeSource::default()
    };
    let volume = Volume { name: "campaign".to_owned(), config_map: Some(source), ..Volume::default() };
    let mut mounted = read_only(volume, format!("{CAMPAIGN}/{}", file::KEY));
    // A file of its own, so that other volumes fit beside it.
    mounted.mount.sub_path = Some(file::KEY.to_owned());
    mounted
}

/// A list from the web, and other files that live as long as the pod.
fn scratch() -> Mounted {
    let limit =
        EmptyDirVolumeSource { size_limit: Some(Quantity("1Gi".to_owned())), ..EmptyDirVolumeSource::default() };
    let volume = Volume { name: "tmp".to_owned(), empty_dir: Some(limit), ..Volume::default() };
    let mount = VolumeMount { name: "tmp".to_owned(), mount_path: "/tmp".to_owned(), ..VolumeMount::default() };
    Mounted { volume, mount }
}

fn config_map(name: &str) -> Volume {
    let source = ConfigMapVolumeSource { name: name.to_owned(), ..ConfigMapVolumeSource::default() };
    Volume { config_map: Some(source), ..Volume::default() }
}

fn secret(name: &str) -> Volume {
    let source = SecretVolumeSource { secret_name: Some(name.to_owned()), ..SecretVolumeSource::default() };
    Volume { secret: Some(source), ..Volume::default() }
}

fn claim(name: &str) -> Volume {
    let source = PersistentVolumeClaimVolumeSource { claim_name: name.to_owned(), read_only: Some(true) };
    Volume { persistent_volume_claim: Some(source), ..Volume::default() }
}

fn security(declared: Option<&Declared>) -> PodSecurityContext {
    let nobody = Declared::default();
    let declared = declared.unwrap_or(&nobody);
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(declared.run_as_user.map_or(USER, i64::from)),
        run_as_group: Some(declared.run_as_group.map_or(USER, i64::from)),
        fs_group: declared.fs_group.map(i64::from),
        supplemental_groups: filled(declared.supplemental_groups.iter().copied().map(i64::from).collect()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// What selects the pods of a part of a campaign.
pub(super) fn selector(campaign: &str, component: Component) -> LabelSelector {
    let mut labels = labels(campaign, component);
    labels.retain(|name, _| name == INSTANCE || name == COMPONENT || name == super::MANAGED_BY);
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}
