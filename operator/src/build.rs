//! The objects of a campaign as they are to be. Pure: what is declared goes in, Kubernetes objects come out.

mod autoscaler;
mod file;
mod pods;
mod producer;
mod workers;

pub use autoscaler::autoscaler;
pub use file::file;
pub use pods::{KafkaForPods, PodSettings};
pub use producer::producer;
pub use workers::workers;

use crate::resource::Campaign;
use campaign::{MailCampaign, ValidCampaign};
use file::campaign_file;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;
use serde_json::Value;
use std::collections::BTreeMap;

/// Who manages what this program makes: the value of the label, and the field manager of what is applied.
pub const MANAGER: &str = "mailcampaign";
/// The label by which everything that this program makes is found.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label with the campaign's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label with the part that a pod plays.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The finalizer, while topics are to be deleted.
pub const FINALIZER: &str = "mailcampaign.io/topics";

/// Annotation of a Job: what its pods are made of; another value means that it must be replaced.
pub const MADE_OF: &str = "mailcampaign.io/made-of";
/// Annotation of a Job: everything that it reads; if it failed and this is another now, it is tried again.
pub const INPUTS: &str = "mailcampaign.io/inputs";
/// Annotation of an object: a digest of all that is declared of it. Another value also tells that something is not declared any more.
pub const DECLARED: &str = "mailcampaign.io/declared";
/// Annotation of worker pods: the campaign's file; another value rolls out.
pub const FILE: &str = "mailcampaign.io/campaign-file";
/// Annotation of worker pods: the credentials' versions; another value rolls out.
pub const CREDENTIALS: &str = "mailcampaign.io/credentials";

/// A part of a campaign, as its labels and the names of its objects tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// The campaign's file.
    Campaign,
    /// The pods that publish.
    Producer,
    /// The pods that send.
    Worker,
}

impl Component {
    /// The value of the label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Campaign => "campaign",
            Self::Producer => "producer",
            Self::Worker => "worker",
        }
    }

    /// The name of the object of a campaign.
    pub fn of(self, campaign: &str) -> String {
        format!("{campaign}-{}", self.name())
    }
}

/// What the objects are made of.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The resource.
    pub campaign: &'a Campaign,
    /// The same, obeying every rule.
    pub valid: &'a ValidCampaign,
    /// How this installation makes pods.
    pub pods: &'a PodSettings,
    /// How they reach Kafka.
    pub kafka: &'a KafkaForPods,
    /// The versions of the objects that the campaign refers to, by `Kind/name`.
    pub versions: &'a BTreeMap<String, String>,
    /// The content is pinned: all shards may publish.
    pub pinned: bool,
}

fn labels(campaign: &str, component: Component) -> BTreeMap<String, String> {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    BTreeMap::from([
        label("app.kubernetes.io/name", MANAGER),
        label(INSTANCE, campaign),
        label(COMPONENT, component.name()),
        label(MANAGED_BY, MANAGER),
    ])
}

fn metadata(campaign: &Campaign, component: Component) -> ObjectMeta {
    ObjectMeta {
        name: Some(component.of(campaign.name())),
        namespace: Some(campaign.namespace().to_owned()),
        labels: Some(labels(campaign.name(), component)),
        owner_references: Some(vec![owner(campaign)]),
        ..ObjectMeta::default()
    }
}

/// The campaign as the owner of what is made for it: gone, it takes them along.
fn owner(campaign: &Campaign) -> OwnerReference {
    OwnerReference {
        api_version: MailCampaign::api_version(&()).into_owned(),
        kind: MailCampaign::kind(&()).into_owned(),
        name: campaign.name().to_owned(),
        uid: campaign.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A short hash of JSON, its keys in order: for telling whether something is another than before.
pub(crate) fn digest(mut value: Value) -> String {
    value.sort_all_objects();
    bundle::sha256(value.to_string().as_bytes())[..16].to_owned()
}

#[cfg(test)]
mod tests;
