//! The HorizontalPodAutoscaler of the workers, on the operator's own external metric.

use super::{Component, Input, metadata};
use crate::scaling::{METRIC, TARGET};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, ExternalMetricSource, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Resource;
use std::collections::BTreeMap;

/// The autoscaler.
pub fn autoscaler(input: &Input<'_>) -> HorizontalPodAutoscaler {
    let workers = &input.valid.spec.workers;
    let whole = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    HorizontalPodAutoscaler {
        metadata: metadata(input.campaign, Component::Worker),
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(Deployment::api_version(&()).into_owned()),
                kind: Deployment::kind(&()).into_owned(),
                name: Component::Worker.of(input.campaign.name()),
            },
            min_replicas: Some(whole(workers.min_replicas.max(1))),
            max_replicas: whole(workers.most(input.valid.spec.kafka.partitions).max(1)),
            metrics: Some(vec![MetricSpec {
                type_: "External".to_owned(),
                external: Some(ExternalMetricSource {
                    metric: MetricIdentifier {
                        name: METRIC.to_owned(),
                        selector: Some(LabelSelector {
                            match_labels: Some(BTreeMap::from([(
                                "campaign".to_owned(),
                                input.campaign.name().to_owned(),
                            )])),
                            match_expressions: None,
                        }),
                    },
                    target: MetricTarget {
                        type_: "AverageValue".to_owned(),
                        average_value: Some(Quantity(TARGET.to_string())),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            behavior: Some(HorizontalPodAutoscalerBehavior {
                scale_up: Some(rules(0, &[("Percent", 100, 15), ("Pods", 4, 15)])),
                scale_down: Some(rules(120, &[("Pods", 1, 60)])),
            }),
        },
        status: None,
    }
}

/// Seconds of stabilization; kind, amount and seconds of each policy, of which the one that changes most is taken.
fn rules(stabilization: i32, policies: &[(&str, i32, i32)]) -> HPAScalingRules {
    let policy = |(kind, value, period_seconds): &(&str, i32, i32)| HPAScalingPolicy {
        type_: (*kind).to_owned(),
        value: *value,
        period_seconds: *period_seconds,
    };
    HPAScalingRules {
        stabilization_window_seconds: Some(stabilization),
        select_policy: Some("Max".to_owned()),
        policies: Some(policies.iter().map(policy).collect()),
        ..HPAScalingRules::default()
    }
}
