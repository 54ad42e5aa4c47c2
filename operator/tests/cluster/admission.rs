//! A cluster that takes no pods: the status says who refuses them and why, and when they are let in the campaign goes on by itself.

use crate::cluster::Use;
use crate::world::World;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

#[tokio::test]
async fn e2e_a_quota_that_refuses_pods_is_named_and_when_it_is_raised_the_campaign_goes_on() {
    let _installed = Use::shared().await;
    let world = World::new("quota").await;
    world.put_list(200).await;
    world.put::<ResourceQuota>("few", json!({"spec": {"hard": {"pods": "0"}}})).await;
    let campaign = world.campaign("notices", json!({})).await;
    campaign.says("Degraded", "True", "PodsRefused", &["exceeded quota: few", "spec.producer"]).await;
    // Room for the producer, none for a worker beside what it leaves behind.
    world.put::<ResourceQuota>("few", json!({"spec": {"hard": {"count/pods": "1"}}})).await;
    campaign.says("WorkersAvailable", "False", "PodsRefused", &["exceeded quota: few", "spec.workers"]).await;
    world.put::<ResourceQuota>("few", json!({"spec": {"hard": {"count/pods": "10"}}})).await;
    campaign.delivers_all(200).await;
    campaign.says("Degraded", "False", "AsExpected", &[]).await;
    world.leave().await;
}

#[tokio::test]
async fn e2e_a_policy_that_refuses_pods_is_named_and_when_it_is_gone_the_campaign_goes_on() {
    let _installed = Use::shared().await;
    let world = World::new("policy").await;
    world.put_list(20).await;
    let refusal = Refusal::of(&world).await;
    let campaign = world.campaign("notices", json!({})).await;
    campaign.says("Degraded", "True", "PodsRefused", &["no pods on Sundays"]).await;
    refusal.lift().await;
    campaign.delivers_all(20).await;
    world.leave().await;
}

/// A rule of the cluster that refuses every pod of one namespace.
struct Refusal {
    client: Client,
    name: String,
}

impl Refusal {
    async fn of(world: &World) -> Self {
        let (client, name) = (world.client.clone(), world.namespace.clone());
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
                "validations": [{"expression": "false", "message": "no pods on Sundays"}],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
            },
        });
        let put = |object: Value| (PatchParams::apply("e2e").force(), Patch::Apply(object));
        let (applying, policy) = put(policy);
        let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
        policies.patch(&name, &applying, &policy).await.expect("a policy");
        let (applying, binding) = put(binding);
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
        bindings.patch(&name, &applying, &binding).await.expect("a binding");
        Self { client, name }
    }

    async fn lift(self) {
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(self.client.clone());
        bindings.delete(&self.name, &DeleteParams::default()).await.expect("the binding is deleted");
        let policies = Api::<ValidatingAdmissionPolicy>::all(self.client.clone());
        policies.delete(&self.name, &DeleteParams::default()).await.expect("the policy is deleted");
    }
}
