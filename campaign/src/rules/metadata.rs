//! What every Kubernetes object has: apiVersion, kind and metadata.

use super::judge::unknown_field;
use crate::Mistake;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The apiVersion of a campaign.
pub(super) const API_VERSION: &str = "mailcampaign.io/v1alpha1";
/// The kind of a campaign.
pub(super) const KIND: &str = "MailCampaign";

/// Fields of `metadata` (ObjectMeta of the Kubernetes API). Those that only a server sets are accepted, so that what a cluster prints can be used.
const METADATA: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "selfLink",
];

/// Every mistake outside `spec`.
pub(super) fn check(document: &Value) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (field, wanted) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        match &document[field] {
            Value::String(found) if found == wanted => {}
            Value::String(found) => mistakes.push(Mistake::new(field, format!("is \"{found}\"; write {wanted}"))),
            _ => mistakes.push(Mistake::new(field, format!("is missing; write {field}: {wanted}"))),
        }
    }
    match &document["metadata"] {
        Value::Object(metadata) => fields(metadata, &mut mistakes),
        _ => mistakes
            .push(Mistake::new("metadata.name", "is missing; give the campaign a name: metadata: {name: offers}")),
    }
    mistakes
}

fn fields(metadata: &Map<String, Value>, mistakes: &mut Vec<Mistake>) {
    for (field, value) in metadata {
        let place = format!("metadata.{field}");
        match field.as_str() {
            "name" => mistakes.extend(name_mistake(value).map(|message| Mistake::new(place, message))),
            "namespace" => mistakes.extend(namespace_mistake(value).map(|message| Mistake::new(place, message))),
            "uid" => mistakes.extend(uid_mistake(value).map(|message| Mistake::new(place, message))),
            "labels" | "annotations" => texts(&place, value, mistakes),
            known if METADATA.contains(&known) => {}
            unknown => mistakes.push(Mistake::new(place, unknown_field(unknown, METADATA[..4].iter().copied()))),
        }
    }
    if metadata.get("name").is_none_or(Value::is_null) {
        mistakes.push(Mistake::new("metadata.name", "is missing; give the campaign a name, e.g. offers"));
    }
}

/// RFC 1123 label; that it has no dots and at most 40 characters is a rule of the schema.
fn name_mistake(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(name) if is_name(&name.replace('.', "")) => None,
        Value::Null => None,
        _ => Some("must be lower case letters, digits and - (it begins and ends with a letter or digit)"),
    }
}

fn namespace_mistake(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(name) if is_name(name) && name.len() <= 63 => None,
        Value::Null => None,
        _ => Some("must be lower case letters, digits and -, at most 63 characters"),
    }
}

fn uid_mistake(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(uid) if Uuid::parse_str(uid).is_ok() => None,
        Value::Null => None,
        _ => Some("must be a UUID, as a cluster gives it; leave it out otherwise"),
    }
}

fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn texts(place: &str, value: &Value, mistakes: &mut Vec<Mistake>) {
    match value {
        Value::Null => {}
        Value::Object(entries) => {
            mistakes.extend(entries.iter().filter(|(_, value)| !value.is_string()).map(|(name, value)| {
                Mistake::new(format!("{place}.{name}"), format!("must be text, not {value}: put it in quotes"))
            }));
        }
        _ => mistakes.push(Mistake::new(place, "must be a group of names and texts")),
    }
}
