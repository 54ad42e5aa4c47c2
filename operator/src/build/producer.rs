//! The Job that publishes: one pod a shard of the list.

use super::pods::{self, Own, variable};
use super::{Component, INPUTS, Input, MADE_OF, campaign_file, digest, metadata};
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How often a shard's pod may fail before the Job gives up.
const FAILURES: i32 = 30;

/// The Job. Until the content is pinned only the first shard runs, and looks at the whole list; then all of them.
pub fn producer(input: &Input<'_>) -> Job {
    let producer = &input.valid.spec.producer;
    let shards = i32::try_from(producer.shards).unwrap_or(i32::MAX);
    let mut template = pods::template(
        input,
        Own {
            component: Component::Producer,
            template: producer.pod_template.as_ref(),
            resources: &producer.resources,
            container: Container {
                name: Component::Producer.name().to_owned(),
                command: Some(vec!["mailcampaign-producer".to_owned()]),
                ..Container::default()
            },
            env: vec![variable("MAILCAMPAIGN_SHARDS", shards.to_string())],
            annotations: BTreeMap::new(),
        },
    );
    if let Some(spec) = &mut template.spec {
        spec.restart_policy = Some("Never".to_owned());
    }
    let mut metadata = metadata(input.campaign, Component::Producer);
    let document = campaign_file(input.campaign);
    let content = json!([document["spec"]["recipients"], document["spec"]["message"]]);
    let pod = serde_json::to_value(&template).unwrap_or_default();
    let annotation = |name: &str, value: Value| (name.to_owned(), digest(value));
    metadata.annotations = Some(BTreeMap::from([
        annotation(MADE_OF, json!([pod, content])),
        annotation(INPUTS, json!([document, input.versions, pod])),
    ]));
    Job {
        metadata,
        spec: Some(JobSpec {
            completion_mode: Some("Indexed".to_owned()),
            completions: Some(shards),
            parallelism: Some(if input.pinned { shards } else { 1 }),
            backoff_limit_per_index: Some(FAILURES),
            pod_failure_policy: Some(when_pods_fail()),
            pod_replacement_policy: Some("Failed".to_owned()),
            template,
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// Bad input ends the Job at once; a pod that was evicted has not failed.
fn when_pods_fail() -> PodFailurePolicy {
    let on_exit_code = PodFailurePolicyRule {
        action: "FailJob".to_owned(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(Component::Producer.name().to_owned()),
            operator: "In".to_owned(),
            values: vec![i32::from(program::exit::BAD_INPUT)],
        }),
        on_pod_conditions: None,
    };
    let on_disruption = PodFailurePolicyRule {
        action: "Ignore".to_owned(),
        on_exit_codes: None,
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".to_owned(),
            status: Some("True".to_owned()),
        }]),
    };
    PodFailurePolicy { rules: vec![on_exit_code, on_disruption] }
}
