//! What a campaign refers to, found in the resource as it was written: read leniently, so that what is missing can be told together with every other mistake. Pure.

use crate::{
    ContentKey,
    spec::{ClaimPath, KeyRef},
};
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// What a content is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The list of recipients.
    List,
    /// A template, document, certificate or list of suppressed addresses.
    Content,
    /// A user name, password or header value.
    Credential,
}

/// A field that refers to a key of a ConfigMap or Secret.
#[derive(Debug)]
pub struct Reference {
    /// Its path: `spec.message.html.configMap`.
    pub field: String,
    /// To what.
    pub content: ContentKey,
    /// What for.
    pub purpose: Purpose,
    /// The file beside the campaign's that it may be in: the key, or for credentials a file in a folder of the Secret's name.
    pub file: String,
}

impl Reference {
    /// Name and key.
    pub fn key(&self) -> &KeyRef {
        match &self.content {
            ContentKey::ConfigMap(key) | ContentKey::Secret(key) => key,
        }
    }

    /// Where a pod has it, beside the campaign's file: each object is a folder, so that two of them may have keys of the same name. None for a name that no
    /// object can have.
    pub fn mounted(&self) -> Option<PathBuf> {
        let kind = match &self.content {
            ContentKey::ConfigMap(_) => "configMaps",
            ContentKey::Secret(_) => "secrets",
        };
        let key = self.key();
        is_file_name(&key.name).then(|| [kind, &key.name, &key.key].iter().collect())
    }
}

/// Every reference in a campaign. One that is malformed is left out: the rules tell about it.
pub fn of(campaign: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    walk("spec", &campaign["spec"], &mut found);
    found
}

fn walk(path: &str, value: &Value, found: &mut Vec<Reference>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let field = format!("{path}.{name}");
                let is_auth = path.rsplit('.').next() == Some("auth");
                match name.as_str() {
                    "secret" if is_auth => found.extend(credentials(&field, value)),
                    "secret" => found.extend(key(value).map(|key| reference(field, path, ContentKey::Secret(key)))),
                    "configMap" => {
                        found.extend(key(value).map(|key| reference(field, path, ContentKey::ConfigMap(key))));
                    }
                    _ => walk(&field, value, found),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&format!("{path}[{index}]"), item, found);
            }
        }
        _ => {}
    }
}

fn key(value: &Value) -> Option<KeyRef> {
    let text = |field: &str| value[field].as_str().map(str::to_owned);
    let key = KeyRef { name: text("name")?, key: text("key")? };
    is_file_name(&key.key).then_some(key)
}

fn reference(field: String, parent: &str, content: ContentKey) -> Reference {
    let purpose = match parent {
        "spec.recipients.source" => Purpose::List,
        _ if parent.contains(".headers.") => Purpose::Credential,
        _ => Purpose::Content,
    };
    let (ContentKey::ConfigMap(key) | ContentKey::Secret(key)) = &content;
    Reference { field, file: key.key.clone(), content, purpose }
}

/// The keys of a Secret of type `kubernetes.io/basic-auth`.
fn credentials(field: &str, secret: &Value) -> Vec<Reference> {
    let Some(name) = secret["name"].as_str().filter(|name| is_file_name(name)) else { return Vec::new() };
    ["username", "password"]
        .map(|key| Reference {
            field: field.to_owned(),
            content: ContentKey::Secret(KeyRef { name: name.to_owned(), key: key.to_owned() }),
            purpose: Purpose::Credential,
            file: format!("{name}/{key}"),
        })
        .into()
}

/// The rule for keys, here once more because a file's name is made of it.
fn is_file_name(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 253
        && key != "."
        && !key.starts_with("..")
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// The field of a list in a volume.
pub const LIST_IN_VOLUME: &str = "spec.recipients.source.persistentVolumeClaim";

/// The list, if it is in a volume. One that is malformed is left out: the rules tell about it.
pub fn list_in_volume(campaign: &Value) -> Option<ClaimPath> {
    volume(&campaign["spec"]["recipients"]["source"]["persistentVolumeClaim"])
}

/// What is in volumes, by its field's path: the list, and the ready files of attachments.
pub fn volumes(campaign: &Value) -> Vec<(String, ClaimPath)> {
    let list = list_in_volume(campaign).map(|claim| (LIST_IN_VOLUME.to_owned(), claim));
    let attachments = campaign["spec"]["message"]["attachments"].as_array().into_iter().flatten().enumerate();
    let each = attachments.filter_map(|(index, attachment)| {
        let claim = volume(&attachment["each"]["persistentVolumeClaim"])?;
        Some((format!("spec.message.attachments[{index}].each.persistentVolumeClaim"), claim))
    });
    list.into_iter().chain(each).collect()
}

/// A path in a volume as it is written, unless it is malformed or leads out of the volume.
pub fn volume(claim: &Value) -> Option<ClaimPath> {
    let text = |field: &str| claim[field].as_str().map(str::to_owned);
    let claim = ClaimPath { claim_name: text("claimName")?, path: text("path")? };
    let stays =
        Path::new(&claim.path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    (is_file_name(&claim.claim_name) && stays).then_some(claim)
}
