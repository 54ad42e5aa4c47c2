//! The CustomResourceDefinition: what `crds/` holds, an API server installs, and [`crate::rules`] judges files by.

use crate::spec::MailCampaign;
use kube::CustomResourceExt;
use serde_json::{Number, Value};
use std::sync::LazyLock;

/// The CustomResourceDefinition `mailcampaigns.mailcampaign.io`.
///
/// It is the derived one in simpler words: no field may be null (an API server then drops a null, so that null is the same as absent), and without the
/// formats of Rust's integers, which an API server warns about.
pub fn crd() -> &'static Value {
    static CRD: LazyLock<Value> = LazyLock::new(|| {
        let mut crd = serde_json::to_value(MailCampaign::crd()).unwrap_or_default();
        if let Some(schema) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
            simplify(schema);
        }
        crd
    });
    &CRD
}

/// The CustomResourceDefinition as the text of `crds/mailcampaigns.mailcampaign.io.yaml`.
pub fn crd_yaml() -> String {
    let yaml = serde_saphyr::to_string(crd()).unwrap_or_default();
    format!("# Made from campaign/src/spec by `cargo xtask crds`: change the types, not this file.\n{yaml}")
}

fn simplify(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    fields.shift_remove("nullable");
    fields.shift_remove("title");
    if fields.get("default").is_some_and(Value::is_null) {
        fields.shift_remove("default");
    }
    if fields.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
        fields.shift_remove("format");
    }
    for bound in ["minimum", "maximum"] {
        if let Some(whole) = fields.get(bound).and_then(whole) {
            fields[bound] = Value::Number(whole);
        }
    }
    for one in ["items", "additionalProperties"] {
        if let Some(schema) = fields.get_mut(one) {
            simplify(schema);
        }
    }
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(simplify);
    }
}

/// `1000.0` as `1000`.
fn whole(bound: &Value) -> Option<Number> {
    let bound = bound.as_f64()?;
    (bound.fract() == 0.0 && bound.abs() < 9e15).then(|| format!("{bound:.0}").parse().ok()).flatten()
}
