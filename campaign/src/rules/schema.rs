//! The resource's schema as it stands in `crds/`: the same text that an API server installs.

use super::cel::Rule;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::LazyLock};

/// A structural schema (OpenAPI v3 as Kubernetes has it): what of it this resource uses.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Schema {
    #[serde(default, rename = "type")]
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default, rename = "format")]
    _format: Option<String>,
    pub(super) default: Option<Value>,
    #[serde(default)]
    pub(super) properties: BTreeMap<String, Schema>,
    #[serde(default)]
    pub(super) required: Vec<String>,
    pub(super) additional_properties: Option<Box<Schema>>,
    pub(super) max_properties: Option<usize>,
    pub(super) items: Option<Box<Schema>>,
    #[serde(default)]
    pub(super) min_items: usize,
    pub(super) max_items: Option<usize>,
    #[serde(default, rename = "x-kubernetes-list-type")]
    pub(super) list_type: Option<String>,
    #[serde(default, rename = "x-kubernetes-list-map-keys")]
    pub(super) keys: Vec<String>,
    #[serde(default, rename = "enum")]
    pub(super) allowed: Vec<String>,
    #[serde(default)]
    pub(super) min_length: usize,
    pub(super) max_length: Option<usize>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    #[serde(default, rename = "x-kubernetes-validations")]
    pub(super) rules: Vec<Rule>,
    /// Only quantities and the status have one; [`super::fields`] looks at quantities.
    #[serde(default, rename = "pattern")]
    _pattern: Option<String>,
    #[serde(default, rename = "x-kubernetes-int-or-string")]
    _int_or_string: bool,
    #[serde(default, rename = "anyOf")]
    _any_of: Vec<Value>,
    /// A group without known fields is open, here as there.
    #[serde(default, rename = "x-kubernetes-preserve-unknown-fields")]
    _preserve_unknown_fields: bool,
}

/// The type of a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// `x-kubernetes-int-or-string`, the only schema without a type.
    #[default]
    #[serde(skip)]
    IntOrString,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Kind {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IntOrString => "text or a whole number",
            Self::Object => "a group of fields",
            Self::Array => "a list",
            Self::String => "text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
        }
    }
}

#[derive(Deserialize)]
struct Definition {
    spec: DefinitionSpec,
}

#[derive(Deserialize)]
struct DefinitionSpec {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    schema: VersionSchema,
}

#[derive(Deserialize)]
struct VersionSchema {
    #[serde(rename = "openAPIV3Schema")]
    open_api: Schema,
}

const CRD: &str = include_str!("../../../crds/mailcampaigns.mailcampaign.io.yaml");

/// The schema of a whole MailCampaign; an error is a defect of this program, which a test rules out.
pub(super) fn schema() -> Result<&'static Schema, String> {
    static SCHEMA: LazyLock<Result<Schema, String>> = LazyLock::new(|| {
        let definition: Definition = serde_saphyr::from_str(CRD).map_err(|error| error.to_string())?;
        let version = definition.spec.versions.into_iter().next().ok_or_else(|| "it has no version".to_owned())?;
        with_implied_fields(version.schema.open_api)
    });
    SCHEMA.as_ref().map_err(|error| format!("the schema in crds/ can't be read: {error}"))
}

/// Adds the fields that every object has and no definition declares. The status is not judged: an API server passes over it where somebody writes it.
fn with_implied_fields(mut schema: Schema) -> Result<Schema, String> {
    for (field, kind) in [("apiVersion", "string"), ("kind", "string"), ("metadata", "object"), ("status", "object")] {
        let implied = serde_json::from_value(json!({"type": kind})).map_err(|error| error.to_string())?;
        schema.properties.insert(field.to_owned(), implied);
    }
    Ok(schema)
}
