//! The Deployment that sends. How many pods it has is never said here: that is written through its `/scale` alone.

use super::pods::{self, Own, PORT};
use super::{CREDENTIALS, Component, FILE, Input, campaign_file, digest, metadata};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;
use std::collections::BTreeMap;

/// From the signal to the end of a worker's process at most, and a little for the pod, in seconds.
const GRACE: (u32, i64) = (20, 30);

/// The Deployment.
pub fn workers(input: &Input<'_>) -> Deployment {
    let workers = &input.valid.spec.workers;
    let credentials: BTreeMap<&String, &String> =
        input.versions.iter().filter(|(named, _)| named.starts_with("Secret/")).collect();
    let annotation = |name: &str, value| (name.to_owned(), digest(value));
    let mut template = pods::template(
        input,
        Own {
            component: Component::Worker,
            template: workers.pod_template.as_ref(),
            resources: &workers.resources,
            container: Container {
                name: Component::Worker.name().to_owned(),
                command: Some(vec!["mailcampaign-worker".to_owned()]),
                readiness_probe: Some(probe("/readyz", 2, 3)),
                liveness_probe: Some(probe("/healthz", 10, 6)),
                ..Container::default()
            },
            env: vec![pods::variable("MAILCAMPAIGN_GRACE", format!("{}s", GRACE.0))],
            annotations: BTreeMap::from([
                annotation(FILE, campaign_file(input.campaign)),
                annotation(CREDENTIALS, json!(credentials)),
            ]),
        },
    );
    if let Some(spec) = &mut template.spec {
        spec.termination_grace_period_seconds = Some(GRACE.1);
    }
    Deployment {
        metadata: metadata(input.campaign, Component::Worker),
        spec: DeploymentSpec {
            selector: pods::selector(input.campaign.name(), Component::Worker),
            // New pods must have shown that they can work before old ones go.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            revision_history_limit: Some(2),
            template,
            ..DeploymentSpec::default()
        },
        status: None,
    }
}

fn probe(path: &str, every: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(PORT),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(every),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}
