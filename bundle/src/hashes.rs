//! Hashes of what a campaign is made of: they tell whether the list or the message changed, and what of it.

use crate::list::ListFile;
use campaign::{Contents, MailCampaignSpec, Mistake};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// SHA-256 hashes in lower case hex.
///
/// How the mails are delivered (backends, rates, retries) is no part of them: it may change while a campaign runs. Nor are the names of ConfigMaps,
/// Secrets and keys: what counts is the content. The ready files of an `each` attachment are not hashed: they may be many and large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashes {
    /// Of each part by its field path, so that a difference can be named: contents (`spec.recipients.source`, `spec.message.html`, …) by their
    /// bytes, other fields (`spec.message.subject`, `spec.recipients.dedupe`, …) by their JSON.
    pub contents: BTreeMap<String, String>,
    /// Of the list.
    pub list: String,
    /// Of everything else: the message, all bytes it refers to, and what decides which rows are mailed and how they are read.
    pub message: String,
}

const LIST: &str = "spec.recipients.source";

impl Hashes {
    /// Reads the list once, in blocks.
    pub(crate) fn of(spec: &MailCampaignSpec, contents: &Contents, list: &ListFile) -> Result<Self, Mistake> {
        let mut parts = Parts { spec, contents, by_path: BTreeMap::new() };
        parts.recipients();
        parts.message();
        let message = sum_of(&parts.by_path);
        let list = list
            .sha256()
            .map_err(|error| Mistake::new(LIST, format!("{} can't be read: {error}", list.path.display())))?;
        let mut contents = parts.by_path;
        contents.insert(LIST.to_owned(), list.clone());
        Ok(Self { contents, list, message })
    }

    /// Those of a campaign of which only the parts are known; none if the list is not among them.
    pub fn of_parts(contents: &BTreeMap<String, String>) -> Option<Self> {
        let mut of_message = contents.clone();
        let list = of_message.remove(LIST)?;
        Some(Self { contents: contents.clone(), list, message: sum_of(&of_message) })
    }
}

fn sum_of(parts: &BTreeMap<String, String>) -> String {
    sha256(canonical(&serde_json::to_value(parts).unwrap_or_default()).as_bytes())
}

struct Parts<'a> {
    spec: &'a MailCampaignSpec,
    contents: &'a Contents,
    by_path: BTreeMap<String, String>,
}

impl Parts<'_> {
    fn recipients(&mut self) {
        let recipients = &self.spec.recipients;
        let fields = fields_of(recipients, &["source", "suppress"]);
        self.json("spec.recipients", fields);
        if let Some(key) = recipients.suppress.as_ref().and_then(campaign::spec::ContentRef::key) {
            self.bytes("spec.recipients.suppress", self.contents.get(&key).map(|bytes| &**bytes));
        }
    }

    fn message(&mut self) {
        let message = &self.spec.message;
        let fields = fields_of(message, &["text", "html", "mjml", "attachments"]);
        self.json("spec.message", fields);
        for (field, source) in [("text", &message.text), ("html", &message.html), ("mjml", &message.mjml)] {
            let Some(source) = source else { continue };
            let found = source.key().and_then(|key| self.contents.get(&key)).map(|bytes| &**bytes);
            self.bytes(&format!("spec.message.{field}"), found.or(source.inline.as_deref().map(str::as_bytes)));
        }
        for (index, attachment) in message.attachments.iter().enumerate() {
            let path = format!("spec.message.attachments[{index}]");
            self.json(&path, fields_of(attachment, &["docx", "file"]));
            for (field, content) in [("docx", &attachment.docx), ("file", &attachment.file)] {
                let Some(content) = content else { continue };
                let found = content.key().and_then(|key| self.contents.get(&key)).map(|bytes| &**bytes);
                self.bytes(&format!("{path}.{field}"), found);
            }
        }
    }

    fn json(&mut self, path: &str, fields: Map<String, Value>) {
        for (name, value) in fields {
            self.by_path.insert(format!("{path}.{name}"), sha256(canonical(&value).as_bytes()));
        }
    }

    fn bytes(&mut self, path: &str, bytes: Option<&[u8]>) {
        if let Some(bytes) = bytes {
            self.by_path.insert(path.to_owned(), sha256(bytes));
        }
    }
}

/// The fields of a part of the spec as JSON, with defaults filled in; without those that are contents.
fn fields_of(part: &impl serde::Serialize, contents: &[&str]) -> Map<String, Value> {
    match serde_json::to_value(part) {
        Ok(Value::Object(mut fields)) => {
            fields.retain(|name, _| !contents.contains(&name.as_str()));
            fields
        }
        _ => Map::new(),
    }
}

/// JSON with the keys in order, so that it doesn't depend on the order in which this program declares its fields.
fn canonical(value: &Value) -> String {
    fn sort(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.sort_keys();
                fields.values_mut().for_each(sort);
            }
            Value::Array(items) => items.iter_mut().for_each(sort),
            _ => {}
        }
    }
    let mut value = value.clone();
    sort(&mut value);
    value.to_string()
}

/// SHA-256 in lower case hex, as contents are pinned by it.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
