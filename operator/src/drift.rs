//! Whether an object is as it was declared. What others have added to it is theirs, and no difference. Pure.

use serde_json::{Map, Value};

/// Fields by which the entries of lists are told apart, as the Kubernetes API merges them.
const IDENTITIES: [&str; 6] = ["name", "mountPath", "containerPort", "uid", "type", "topologyKey"];

/// The path of the first field in which `actual` is not what `declared` says; none if everything declared is there.
pub fn difference(declared: &Value, actual: &Value) -> Option<String> {
    compare("", declared, actual)
}

fn compare(path: &str, declared: &Value, actual: &Value) -> Option<String> {
    match (declared, actual) {
        (Value::Object(declared), Value::Object(actual)) => declared.iter().find_map(|(name, declared)| {
            let path = format!("{path}.{name}");
            match actual.get(name) {
                Some(actual) => compare(&path, declared, actual),
                // The API leaves out what is empty.
                None => (!is_nothing(declared)).then_some(path),
            }
        }),
        (Value::Array(declared), Value::Array(actual)) => compare_lists(path, declared, actual),
        _ if declared == actual || same_quantity(declared, actual) => None,
        _ => Some(path.to_owned()),
    }
}

fn compare_lists(path: &str, declared: &[Value], actual: &[Value]) -> Option<String> {
    let Some(identity) = identity(declared) else {
        if declared.len() != actual.len() {
            return Some(path.to_owned());
        }
        let pairs = declared.iter().zip(actual).enumerate();
        return pairs
            .into_iter()
            .find_map(|(index, (declared, actual))| compare(&format!("{path}[{index}]"), declared, actual));
    };
    declared.iter().find_map(|entry| {
        let path = format!("{path}[{identity}={}]", entry[identity]);
        match actual.iter().find(|actual| actual[identity] == entry[identity]) {
            Some(actual) => compare(&path, entry, actual),
            None => Some(path),
        }
    })
}

/// The field that all entries have, each with a value of its own.
fn identity(entries: &[Value]) -> Option<&'static str> {
    let objects: Vec<&Map<String, Value>> = entries.iter().filter_map(Value::as_object).collect();
    if objects.is_empty() || objects.len() < entries.len() {
        return None;
    }
    IDENTITIES.into_iter().find(|identity| {
        let values: Vec<&Value> = objects.iter().filter_map(|entry| entry.get(*identity)).collect();
        let are_different = values.iter().enumerate().all(|(index, value)| !values[..index].contains(value));
        values.len() == objects.len() && are_different
    })
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Whether two texts are the same quantity: the API writes `1000m` as `1`.
fn same_quantity(one: &Value, other: &Value) -> bool {
    let amount = |value: &Value| quantity(value.as_str()?);
    amount(one).zip(amount(other)).is_some_and(|(one, other)| (one - other).abs() <= one.abs() * 1e-9)
}

/// A quantity of the Kubernetes API (resource.Quantity) as a number.
fn quantity(text: &str) -> Option<f64> {
    let end = text.find(|letter: char| !(letter.is_ascii_digit() || "+-.".contains(letter))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        exponent => 10_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_add_is_no_difference() {
        let declared = json!({
            "metadata": {"labels": {"a": "1"}},
            "spec": {"containers": [{"name": "worker", "env": [{"name": "A", "value": "1"}]}], "nodeSelector": {}},
        });
        let actual = json!({
            "metadata": {"labels": {"a": "1", "b": "2"}, "annotations": {"x": "y"}},
            "spec": {
                "replicas": 3,
                "containers": [
                    {"name": "sidecar"},
                    {"name": "worker", "image": "i", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
                ],
            },
        });
        assert_eq!(difference(&declared, &actual), None);
    }

    #[test]
    fn what_was_changed_or_taken_away_is_found_with_its_path() {
        let declared = json!({"spec": {"containers": [{"name": "worker", "args": ["a", "b"]}], "n": 2}});
        for (actual, path) in [
            (
                json!({"spec": {"containers": [{"name": "worker", "args": ["a"]}], "n": 2}}),
                ".spec.containers[name=\"worker\"].args",
            ),
            (
                json!({"spec": {"containers": [{"name": "worker", "args": ["b", "a"]}], "n": 2}}),
                ".spec.containers[name=\"worker\"].args[0]",
            ),
            (json!({"spec": {"containers": [{"name": "other"}], "n": 2}}), ".spec.containers[name=\"worker\"]"),
            (json!({"spec": {"containers": [{"name": "worker", "args": ["a", "b"]}], "n": 3}}), ".spec.n"),
            (json!({}), ".spec"),
        ] {
            assert_eq!(difference(&declared, &actual).as_deref(), Some(path));
        }
    }

    #[test]
    fn quantities_are_compared_by_their_amount() {
        for (one, other, same) in [
            ("1000m", "1", true),
            ("0.5", "500m", true),
            ("1Gi", "1024Mi", true),
            ("1e3", "1k", true),
            ("1Gi", "1G", false),
            ("worker", "1", false),
        ] {
            assert_eq!(difference(&json!(one), &json!(other)).is_none(), same, "{one} {other}");
        }
    }
}
