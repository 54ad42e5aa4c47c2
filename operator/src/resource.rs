//! A `MailCampaign` as it is kept in the cache: what it declares stays text until somebody needs it, so that a thousand of them at rest are small.

use campaign::references;
use campaign::spec::KafkaSpec;
use campaign::status::ConditionType;
use campaign::{MailCampaign, MailCampaignStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a campaign may refer to in its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
    /// A PersistentVolumeClaim.
    Claim,
}

impl Kind {
    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Claim => "PersistentVolumeClaim",
        }
    }
}

/// An object in the campaign's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Named {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// A campaign as the API server has it.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// As it stands, without `managedFields`.
    pub metadata: ObjectMeta,
    /// `spec`, as JSON text.
    spec: Box<str>,
    /// The same as a document, while somebody works on it.
    document: Option<Arc<Value>>,
    /// `spec.kafka`; what is the default if it can't be read.
    pub kafka: KafkaSpec,
    /// What was said about it last; none too if it can't be read.
    pub status: Option<Box<MailCampaignStatus>>,
    /// What it refers to.
    pub refers_to: Box<[Named]>,
}

impl Campaign {
    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its uid, which tells it from an earlier one of its name.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether it has the finalizer.
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.metadata.finalizers.iter().flatten().any(|found| found == finalizer)
    }

    /// Whether an object was made for this campaign, and not for another one of its name.
    pub fn owns(&self, object: &impl Resource) -> bool {
        object.meta().owner_references.iter().flatten().any(|owner| owner.uid == self.uid())
    }

    /// Whether its status says that every mail has its end, and nothing was declared anew since.
    pub fn is_said_to_have_ended(&self) -> bool {
        self.status.as_ref().is_some_and(|status| {
            status.is_true(ConditionType::Complete) && status.observed_generation == self.metadata.generation
        })
    }

    /// The resource as far as the rules look at it.
    pub fn document(&self) -> Arc<Value> {
        self.document.clone().unwrap_or_else(|| Arc::new(self.read()))
    }

    /// The same to work on: its document is read once for all who ask for it. Not for keeping, for it is many times as large.
    #[must_use]
    pub fn opened(&self) -> Self {
        Self { document: Some(self.document()), ..self.clone() }
    }

    fn read(&self) -> Value {
        let spec: Value = serde_json::from_str(&self.spec).unwrap_or_default();
        json!({
            "apiVersion": MailCampaign::api_version(&()),
            "kind": MailCampaign::kind(&()),
            "metadata": {"name": self.name(), "namespace": self.namespace(), "uid": self.uid()},
            "spec": spec,
        })
    }
}

/// Every object that a campaign names.
fn refers_to(document: &Value) -> Box<[Named]> {
    let mut found: BTreeSet<Named> = BTreeSet::new();
    for reference in references::of(document) {
        let kind = match &reference.content {
            campaign::ContentKey::ConfigMap(_) => Kind::ConfigMap,
            campaign::ContentKey::Secret(_) => Kind::Secret,
        };
        found.insert(Named { kind, name: reference.key().name.clone() });
    }
    for (_, claim) in references::volumes(document) {
        found.insert(Named { kind: Kind::Claim, name: claim.claim_name });
    }
    if let Some(secret) = document.pointer("/spec/kafka/connection/secret/name").and_then(Value::as_str) {
        found.insert(Named { kind: Kind::Secret, name: secret.to_owned() });
    }
    found.into_iter().collect()
}

impl<'de> Deserialize<'de> for Campaign {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            #[serde(default)]
            metadata: ObjectMeta,
            #[serde(default)]
            spec: Value,
            #[serde(default)]
            status: Value,
        }
        let Written { metadata, spec, status } = Written::deserialize(deserializer)?;
        let kafka = serde_json::from_value(spec["kafka"].clone()).unwrap_or_default();
        let (text, document) = (spec.to_string().into(), json!({"spec": spec}));
        let status = serde_json::from_value::<Option<MailCampaignStatus>>(status).ok().flatten().map(Box::new);
        let refers_to = refers_to(&document);
        Ok(Self { metadata, spec: text, document: None, kafka, status, refers_to })
    }
}

impl Resource for Campaign {
    type DynamicType = ();
    type Scope = k8s_openapi::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        MailCampaign::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        MailCampaign::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        MailCampaign::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        MailCampaign::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[test]
    fn a_campaign_is_read_with_what_it_refers_to_and_its_status() {
        let read: Campaign = serde_json::from_value(json!({
            "apiVersion": "mailcampaign.io/v1alpha1", "kind": "MailCampaign",
            "metadata": {"name": "offers", "namespace": "hr", "uid": "u"},
            "spec": {
                "recipients": {"source": {"configMap": {"name": "list", "key": "a.csv"}}},
                "message": {
                    "text": {"secret": {"name": "texts", "key": "a.txt"}},
                    "attachments": [{"each": {"persistentVolumeClaim": {"claimName": "letters", "path": "2027"}}}],
                },
                "delivery": {"backends": [{"smtp": {"auth": {"secret": {"name": "relay"}}}}]},
                "kafka": {"connection": {"secret": {"name": "kafka"}}},
            },
            "status": {"phase": "Sending"},
        }))
        .expect("a campaign");
        let named = |kind, name: &str| Named { kind, name: name.to_owned() };
        let wanted = [
            named(Kind::ConfigMap, "list"),
            named(Kind::Secret, "kafka"),
            named(Kind::Secret, "relay"),
            named(Kind::Secret, "texts"),
            named(Kind::Claim, "letters"),
        ];
        assert_eq!(*read.refers_to, wanted);
        assert_eq!(read.status.as_ref().and_then(|status| status.phase), Some(campaign::status::Phase::Sending));
        assert_eq!(read.document()["spec"]["kafka"]["connection"]["secret"]["name"], "kafka");
        assert_eq!(read.key(), "hr/offers");
    }

    #[test]
    fn a_campaign_that_is_worked_on_is_read_once_and_says_the_same() {
        let spec = json!({"message": {"subject": "Hello"}, "kafka": {"topicPrefix": "hr"}});
        let resting: Campaign =
            serde_json::from_value(json!({"metadata": {"name": "offers"}, "spec": spec})).expect("a campaign");
        let opened = resting.opened();
        assert_eq!(resting.document(), opened.document());
        assert!(Arc::ptr_eq(&opened.document(), &opened.document()));
        assert!(resting.document.is_none(), "what rests stays small");
        assert_eq!(opened.kafka.topic_prefix, "hr");
    }

    #[test]
    fn only_what_was_made_for_this_campaign_is_its_own() {
        let campaign: Campaign = serde_json::from_value(json!({"metadata": {"uid": "u"}})).expect("a campaign");
        let made_for = |uids: &[&str]| -> ConfigMap {
            let owners: Vec<_> =
                uids.iter().map(|uid| json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid})).collect();
            serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).expect("an object")
        };
        assert_eq!([&[][..], &["w"], &["w", "u"]].map(|uids| campaign.owns(&made_for(uids))), [false, false, true]);
    }

    #[test]
    fn a_status_that_cannot_be_read_is_none() {
        let read: Campaign =
            serde_json::from_value(json!({"metadata": {}, "spec": {}, "status": {"phase": 7}})).expect("a campaign");
        assert!(read.status.is_none());
    }
}
