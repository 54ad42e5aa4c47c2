//! `spec.recipients`: the list, and which of its rows are mailed.

use super::{ContentRef, KeyRef};
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
    pub sheet: Option<String>,
    /// Encoding of a CSV file (a label of the WHATWG Encoding Standard, e.g. `windows-1252`); by default UTF-8, or UTF-16 with a byte order mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The column with the address; by default the first one named email, e-mail or mail in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListSource {
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<KeyRef>,
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<KeyRef>,
    /// A file fetched by HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
}

/// A file fetched by HTTP and refused unless it has the given hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpSource {
    /// `http://` or `https://`.
    pub url: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
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

/// What to do with a row that can't be mailed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnInvalidRow {
    /// It is counted, listed and reported; the others are mailed.
    #[default]
    Skip,
    /// Nothing is sent.
    Fail,
}
