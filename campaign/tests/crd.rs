//! The resource definition that is checked in is the one that the types make, and one that an API server takes.

use serde_json::Value;

#[test]
fn the_definition_in_crds_is_up_to_date() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/mailcampaigns.mailcampaign.io.yaml");
    let checked_in = std::fs::read_to_string(file).expect("crds/mailcampaigns.mailcampaign.io.yaml can be read");
    assert!(
        checked_in == campaign::crd_yaml(),
        "crds/mailcampaigns.mailcampaign.io.yaml is not what campaign/src/spec declares: run `cargo xtask crds`"
    );
}

#[test]
fn every_text_list_and_map_has_a_bound_and_every_rule_a_message() {
    let schema = &campaign::crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut seen = 0;
    look(schema, "", &mut seen);
    assert!(seen > 200, "only {seen} fields were looked at");
}

/// An API server refuses a definition whose rules might take too long: it must know how long everything can be.
fn look(schema: &Value, path: &str, seen: &mut usize) {
    *seen += 1;
    let has = |bound: &str| !schema[bound].is_null();
    match schema["type"].as_str() {
        Some("string") => {
            assert!(has("maxLength") || has("enum") || has("format"), "{path} is a text without maxLength");
        }
        Some("array") => assert!(has("maxItems"), "{path} is a list without maxItems"),
        Some("object") if has("additionalProperties") => assert!(has("maxProperties"), "{path} lacks maxProperties"),
        Some("object" | "integer" | "number" | "boolean") => {}
        _ => assert!(has("x-kubernetes-int-or-string") && has("maxLength"), "{path} has no type"),
    }
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        assert!(rule["message"].as_str().is_some_and(|message| message.len() > 20), "{path}: {rule} says too little");
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        look(field, &format!("{path}.{name}"), seen);
    }
    for one in ["items", "additionalProperties"] {
        if let Some(entry) = schema.get(one) {
            look(entry, &format!("{path}[]"), seen);
        }
    }
}

#[test]
fn a_list_of_campaigns_shows_how_far_they_are() {
    let version = &campaign::crd()["spec"]["versions"][0];
    let columns = version["additionalPrinterColumns"].as_array().expect("columns");
    let shown = |wide: bool| -> Vec<&str> {
        let of = columns.iter().filter(|column| (column["priority"].as_i64().unwrap_or(0) > 0) == wide);
        of.filter_map(|column| column["name"].as_str()).collect()
    };
    assert_eq!(shown(false), ["Phase", "Progress", "Delivered", "Failed", "Rate", "ETA", "Age"]);
    assert!(shown(true).contains(&"Unknown"));
    assert_eq!(version["subresources"]["status"], serde_json::json!({}));
    let fields = &version["schema"]["openAPIV3Schema"];
    for path in
        columns.iter().filter_map(|column| column["jsonPath"].as_str()).filter(|path| !path.contains("metadata"))
    {
        let path = path.split('[').next().unwrap_or(path);
        let pointer = path.replace('.', "/properties/");
        assert!(fields.pointer(&pointer).is_some(), "{path} is no field");
    }
}
