//! `spec.recipients`: the list, and which of its rows are mailed.

use super::{ClaimPath, ContentRef, KeyRef, rules};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whom to mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recipients {
    /// Where the list is.
    pub source: ListSource,
    /// The list's format; by default from the ending of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ListFormat>,
    /// The sheet of a workbook; by default the first visible one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 31))]
    pub sheet: Option<String>,
    /// Encoding of a CSV file (a label of the WHATWG Encoding Standard, e.g. `windows-1252`); by default UTF-8, or UTF-16 with a byte order mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub encoding: Option<String>,
    /// The column with the address; by default the first one named email, e-mail or mail in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub email_column: Option<String>,
    /// Mail the same address (normalised) once.
    #[serde(default = "yes")]
    pub dedupe: bool,
    /// Addresses and @domains that are never mailed, one a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress: Option<ContentRef>,
    /// What to do with a row that can't be mailed.
    #[serde(default)]
    pub on_invalid_row: OnInvalidRow,
}

fn yes() -> bool {
    true
}

/// Where the list is: exactly one of its fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = (
    "[has(self.configMap), has(self.secret), has(self.persistentVolumeClaim), has(self.http)].exists_one(set, set)",
    "give exactly one of configMap, secret, persistentVolumeClaim and http",
))]
pub struct ListSource {
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<KeyRef>,
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<KeyRef>,
    /// A file in a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimPath>,
    /// A file fetched by HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
}

impl ListSource {
    /// What the list is called: its key, its path in the volume, or its web address.
    pub fn name(&self) -> &str {
        let key = self.config_map.as_ref().or(self.secret.as_ref()).map(|key| key.key.as_str());
        let path = || self.persistent_volume_claim.as_ref().map(|claim| claim.path.as_str());
        key.or_else(path).or_else(|| self.http.as_ref().map(|http| http.url.as_str())).unwrap_or_default()
    }
}

/// A file fetched by HTTP and refused unless it has the given hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpSource {
    /// `http://` or `https://`.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::WEB_ADDRESS)]
    pub url: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    #[schemars(length(max = 64))]
    #[x_kube(validation = ("self.matches('^[0-9a-fA-F]{64}$')", "write the SHA-256 of the file as 64 hexadecimal digits (sha256sum prints it)"))]
    pub sha256: String,
}

/// The list's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ListFormat {
    /// Excel workbook (ECMA-376).
    Xlsx,
    /// Comma, semicolon or tab separated values (RFC 4180).
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl ListFormat {
    /// The format that the ending of a file's name or web address tells.
    pub fn of_name(name: &str) -> Option<Self> {
        let path = name.split(['?', '#']).next().unwrap_or(name);
        let (_, ending) = path.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "xlsx" | "xlsm" => Some(Self::Xlsx),
            "csv" | "tsv" | "txt" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// What to do with a row that can't be mailed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnInvalidRow {
    /// It is counted, listed and reported; the others are mailed.
    #[default]
    Skip,
    /// Nothing is sent.
    Fail,
}
