//! The pod that a command runs in. Pure: the template of the campaign's own pods goes in, a pod comes out.

use crate::cluster::Campaign;
use campaign::MailCampaign;
use k8s_openapi::api::core::v1::{Affinity, Container, EnvVar, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;
use std::collections::BTreeMap;
use std::time::Duration;

/// The container.
pub const CONTAINER: &str = "command";
/// Where the campaign's file is, where the template doesn't say.
const FILE: &str = "/campaign/campaign.yaml";
/// The variable of the template that says it.
const FILE_VARIABLE: &str = "MAILCAMPAIGN_CAMPAIGN";
/// What is logged on stderr is for the person who asked, not for the cluster's collector.
const LOG_FORMAT: &str = "MAILCAMPAIGN_LOG_FORMAT";
/// From its deletion to its end at most, in seconds: what waits there ends at once.
const GRACE: i64 = 2;

/// Labels that say whose pods the template's are; this one must not be counted among them, nor be selected as one of them.
const OF_CONTROLLERS: [&str; 7] = [
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app.kubernetes.io/name",
    "pod-template-hash",
    "controller-uid",
    "job-name",
];
/// The same, by what they begin with.
const OF_CONTROLLERS_ALL: [&str; 2] = ["batch.kubernetes.io/", "mailcampaign.io/"];

/// A pod for a campaign's command, which waits until it is deleted, or until its time is over: as the campaign's own pods are made (image, what is
/// mounted, environment, how little it may do, where it may run, and the labels and annotations that the campaign declares), and not one of them.
/// None if the template has no container.
pub fn pod(campaign: &Campaign, template: &PodTemplateSpec, image: Option<&str>, lifetime: Duration) -> Option<Pod> {
    let spec = template.spec.clone()?;
    let name = campaign.metadata.name.clone().unwrap_or_default();
    // Sidecars that somebody added are not needed; what is to be in every pod is put there again when it is made.
    let ours = spec.containers.iter().find(|container| ["worker", "producer"].contains(&container.name.as_str()));
    let container = container(ours.or(spec.containers.first())?, image);
    let declared = template.metadata.as_ref();
    let mut labels = kept(declared.and_then(|metadata| metadata.labels.as_ref()));
    labels.insert("app.kubernetes.io/component".to_owned(), "command".to_owned());
    let mut annotations = kept(declared.and_then(|metadata| metadata.annotations.as_ref()));
    annotations.insert("kubectl.kubernetes.io/default-container".to_owned(), CONTAINER.to_owned());
    Some(Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-command-")),
            namespace: campaign.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![owner(campaign)]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: vec![container],
            init_containers: None,
            restart_policy: Some("Never".to_owned()),
            active_deadline_seconds: Some(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX)),
            termination_grace_period_seconds: Some(GRACE),
            // One pod has nothing to be spread over, nor anybody to keep away from.
            topology_spread_constraints: None,
            affinity: spec.affinity.clone().and_then(to_nodes),
            ..spec
        }),
        status: None,
    })
}

/// Where the campaign's file is in the pod.
pub fn file(pod: &Pod) -> String {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let env = containers.iter().filter_map(|container| container.env.as_ref()).flatten();
    let named = env.filter(|variable| variable.name == FILE_VARIABLE).find_map(|variable| variable.value.clone());
    named.unwrap_or_else(|| FILE.to_owned())
}

fn container(template: &Container, image: Option<&str>) -> Container {
    let mut env: Vec<EnvVar> = template.env.clone().unwrap_or_default();
    env.retain(|variable| variable.name != LOG_FORMAT);
    env.push(EnvVar { name: LOG_FORMAT.to_owned(), value: Some("text".to_owned()), value_from: None });
    Container {
        name: CONTAINER.to_owned(),
        image: image.map(str::to_owned).or_else(|| template.image.clone()),
        image_pull_policy: if image.is_some() { None } else { template.image_pull_policy.clone() },
        command: Some(vec!["mailcampaign".to_owned(), "hold".to_owned()]),
        env: Some(env),
        env_from: template.env_from.clone(),
        resources: template.resources.clone(),
        security_context: template.security_context.clone(),
        volume_mounts: template.volume_mounts.clone(),
        volume_devices: template.volume_devices.clone(),
        working_dir: template.working_dir.clone(),
        ..Container::default()
    }
}

fn kept(declared: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut kept = declared.cloned().unwrap_or_default();
    kept.retain(|name, _| {
        let name = name.as_str();
        !OF_CONTROLLERS.contains(&name) && !OF_CONTROLLERS_ALL.iter().any(|prefix| name.starts_with(prefix))
    });
    kept
}

fn to_nodes(affinity: Affinity) -> Option<Affinity> {
    let node_affinity = Some(affinity.node_affinity?);
    Some(Affinity { node_affinity, ..Affinity::default() })
}

/// The campaign takes it along when it goes. It doesn't control it: that is for what the operator makes.
fn owner(campaign: &Campaign) -> OwnerReference {
    OwnerReference {
        api_version: MailCampaign::api_version(&()).into_owned(),
        kind: MailCampaign::kind(&()).into_owned(),
        name: campaign.metadata.name.clone().unwrap_or_default(),
        uid: campaign.metadata.uid.clone().unwrap_or_default(),
        controller: None,
        block_owner_deletion: None,
    }
}

#[cfg(test)]
mod tests;
