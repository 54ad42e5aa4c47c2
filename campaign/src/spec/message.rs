//! `spec.message`: what each recipient gets.

use super::{ClaimPath, ContentRef, KeyRef, rules};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// What to mail. Every text is a template over the columns of the list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "has(self.text) || has(self.html) || has(self.mjml)",
    "give at least one of text, html and mjml",
))]
#[x_kube(validation = (
    "!(has(self.html) && has(self.mjml))",
    "html and mjml exclude each other: keep one of them",
))]
pub struct MessageSpec {
    /// Sender: `Name <address>` or an address. Not a template.
    #[schemars(length(min = 3, max = 500))]
    #[x_kube(validation = rules::ONE_LINE)]
    pub from: String,
    /// Reply-To, like `from`. A template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 2000))]
    #[x_kube(validation = rules::ONE_LINE)]
    pub reply_to: Option<String>,
    /// Subject.
    #[schemars(length(min = 1, max = 2000))]
    #[x_kube(validation = rules::ONE_LINE)]
    pub subject: String,
    /// Plain text body. At least one of text, html and mjml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TemplateSource>,
    /// HTML body; values are escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<TemplateSource>,
    /// MJML body, turned into HTML once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mjml: Option<TemplateSource>,
    /// Further headers; the values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "rules::message_headers")]
    pub headers: BTreeMap<String, String>,
    /// List-Unsubscribe (RFC 2369) and List-Unsubscribe-Post (RFC 8058).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_unsubscribe: Option<ListUnsubscribe>,
    /// Documents and files that go with the mail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub attachments: Vec<Attachment>,
}

/// Where a template's text is: exactly one of its fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "[has(self.inline), has(self.configMap), has(self.secret)].exists_one(set, set)",
    "give exactly one of inline, configMap and secret",
))]
pub struct TemplateSource {
    /// The text itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub inline: Option<String>,
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<KeyRef>,
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<KeyRef>,
}

/// How a recipient leaves the list. At least one of `url` and `mailto`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "has(self.url) || has(self.mailto)",
    "give at least one of url and mailto",
))]
#[x_kube(validation = (
    "!self.oneClick || (has(self.url) && self.url.startsWith('https://'))",
    "oneClick (RFC 8058) needs a url that begins with https://",
))]
pub struct ListUnsubscribe {
    /// Web address, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::WEB_ADDRESS_OR_TEMPLATE)]
    pub url: Option<String>,
    /// Mail address, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 1000))]
    #[x_kube(validation = ("!self.startsWith('mailto:')", "write the address alone, without mailto:"))]
    pub mailto: Option<String>,
    /// Say that a POST to `url` is enough (RFC 8058); needs `url` to be https.
    #[serde(default)]
    pub one_click: bool,
}

/// One attachment: a file name (a template) and exactly one of `docx`, `file` and `each`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "[has(self.docx), has(self.file), has(self.each)].exists_one(set, set)",
    "give exactly one of docx, file and each",
))]
pub struct Attachment {
    /// The name that the recipient sees, a template.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::ONE_LINE)]
    pub filename: String,
    /// A Word template: mail merge, one document per recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docx: Option<ContentRef>,
    /// The same file for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<ContentRef>,
    /// A ready file per recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<EachFile>,
}

/// A ready file per recipient, named in the list, in exactly one of `directory` and `persistentVolumeClaim`. Neither `..` nor a link leads out of the folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "[has(self.directory), has(self.persistentVolumeClaim)].exists_one(set, set)",
    "give exactly one of directory and persistentVolumeClaim",
))]
pub struct EachFile {
    /// Folder, beside the campaign's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::FOLDER_BESIDE)]
    pub directory: Option<String>,
    /// Folder in a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimPath>,
    /// Path in the folder, a template.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::ONE_LINE)]
    pub path: String,
}

impl EachFile {
    /// The folder, relative to that of the campaign's file, and the field that names it; none if no field does.
    pub fn folder(&self) -> Option<(PathBuf, &'static str)> {
        match (&self.directory, &self.persistent_volume_claim) {
            (Some(directory), _) => Some((PathBuf::from(directory), "directory")),
            (None, Some(claim)) => Some((claim.beside(), "persistentVolumeClaim.path")),
            (None, None) => None,
        }
    }
}
