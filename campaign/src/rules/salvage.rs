//! What can be read of a document that has mistakes, so that the rest can be checked in the same go.

use super::valid::without_nulls;
use crate::Mistake;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Texts that a message can't be without; an empty one stands in for one that is missing or mistaken.
const NEEDED_TEXTS: [&str; 2] = ["from", "subject"];

/// Reads a section of the spec (`recipients`, `message`, `delivery`) without the values that are mistaken; none if too little is left of it.
/// Good for looking for further mistakes, and for nothing else.
pub fn salvage<T: DeserializeOwned>(document: &Value, section: &str, mistakes: &[Mistake]) -> Option<T> {
    let mut document = document.clone();
    for mistake in mistakes {
        if let Some(value) = find(&mut document, &mistake.place)
            && !value.is_object()
        {
            *value = Value::Null;
        }
    }
    let mut found = document.get_mut("spec")?.get_mut(section)?.take();
    without_nulls(&mut found);
    if section == "message" {
        stand_in(&mut found);
    }
    serde_json::from_value(found).ok()
}

fn stand_in(message: &mut Value) {
    let absent = || Value::from("");
    if let Some(message) = message.as_object_mut() {
        for name in NEEDED_TEXTS {
            message.entry(name).or_insert_with(absent);
        }
    }
    let attachments = message.get_mut("attachments").and_then(Value::as_array_mut);
    for attachment in attachments.into_iter().flatten().filter_map(Value::as_object_mut) {
        attachment.entry("filename").or_insert_with(absent);
        if let Some(each) = attachment.get_mut("each").and_then(Value::as_object_mut) {
            each.entry("path").or_insert_with(absent);
        }
    }
}

/// The value at a field path like `spec.delivery.backends[0].smtp.port`.
fn find<'a>(document: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split(['.', '[']).try_fold(document, |value, step| match step.strip_suffix(']') {
        Some(index) => value.get_mut(index.parse::<usize>().ok()?),
        None => value.get_mut(step),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{MessageSpec, Recipients};
    use serde_json::json;

    fn mistakes(places: &[&str]) -> Vec<Mistake> {
        places.iter().map(|place| Mistake::new(*place, "is wrong")).collect()
    }

    #[test]
    fn what_is_not_mistaken_is_read() {
        let document = json!({"spec": {"message": {
            "from": 5, "subjct": "x", "text": {"inline": "Dear {{ Nam }}"},
            "attachments": [{"file": {"configMap": {"name": "a", "key": "b"}}, "each": {"path": "{{ File }}"}}],
        }}});
        let places = ["spec.message.from", "spec.message.subjct", "spec.message.attachments[0].filename"];
        let message: MessageSpec = salvage(&document, "message", &mistakes(&places)).expect("enough is left");
        assert_eq!(message.text.and_then(|text| text.inline).as_deref(), Some("Dear {{ Nam }}"));
        assert_eq!(message.attachments.len(), 1);
    }

    #[test]
    fn where_too_little_is_left_there_is_nothing() {
        let document = json!({"spec": {"recipients": {"source": "offers.xlsx"}}});
        assert_eq!(salvage::<Recipients>(&document, "recipients", &mistakes(&["spec.recipients.source"])), None);
    }
}
