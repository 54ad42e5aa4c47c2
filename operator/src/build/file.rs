//! The campaign's file as its pods read it, in a ConfigMap.

use super::{Component, Input, metadata};
use crate::resource::Campaign;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;
use std::collections::BTreeMap;

/// Fields of the spec that are the operator's alone. What changes in them concerns no pod that runs.
const OPERATORS: [&str; 6] = ["suspend", "kafka", "producer", "workers", "deletionPolicy", "ttlSecondsAfterFinished"];
/// The key in the ConfigMap.
pub(super) const KEY: &str = "campaign.yaml";

/// The resource as its pods read it.
pub(super) fn campaign_file(campaign: &Campaign) -> Value {
    let mut document = Value::clone(&campaign.document());
    if let Some(spec) = document["spec"].as_object_mut() {
        spec.retain(|field, _| !OPERATORS.contains(&field.as_str()));
    }
    document
}

/// The ConfigMap with the campaign's file.
pub fn file(input: &Input<'_>) -> ConfigMap {
    // JSON is YAML.
    let text = serde_json::to_string_pretty(&campaign_file(input.campaign)).unwrap_or_default() + "\n";
    ConfigMap {
        metadata: metadata(input.campaign, Component::Campaign),
        data: Some(BTreeMap::from([(KEY.to_owned(), text)])),
        ..ConfigMap::default()
    }
}
