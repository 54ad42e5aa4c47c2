//! How long a message is in the journal, and whether that is too long.

use campaign::{Fields, Message};
use serde_json::Value;
use std::io;

/// No octet of a value becomes more octets of JSON than a control character does (`\u001f`).
const MOST_ESCAPED: usize = 6;
/// The frame, the row's number, and the longest address (RFC 5321) with room to spare.
const FRAME: usize = 4096;

/// About how many octets a row's values hold.
pub(crate) fn weight(fields: &Fields) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len() + 32,
            Value::Array(values) => values.iter().map(of).sum::<usize>() + 32,
            Value::Object(fields) => weight(fields) + 32,
            _ => 32,
        }
    }
    fields.iter().map(|(key, value)| key.len() + of(value)).sum()
}

/// Why a message is too long for the journal, if it is. Only one that may be is measured.
pub(crate) fn too_long(message: &Message, limit: usize) -> Option<String> {
    if weight(&message.fields).saturating_mul(MOST_ESCAPED).saturating_add(FRAME) <= limit {
        return None;
    }
    let bytes = json_bytes(message);
    (bytes > limit).then(|| {
        let longest = message.fields.iter().max_by_key(|(_, value)| json_bytes(value));
        let which = longest.map_or_else(String::new, |(column, _)| format!(" column \"{column}\", its longest,"));
        format!(
            "its message is {} bytes long, and the journal takes {} at most: shorten{which} or leave it out of the list",
            grouped(bytes),
            grouped(limit)
        )
    })
}

fn json_bytes<T: serde::Serialize>(value: &T) -> usize {
    let mut count = Count(0);
    // Counting can't fail, and what is counted is made of text, numbers, lists and maps.
    drop(serde_json::to_writer(&mut count, value));
    count.0
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `1,234,567`
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::EmailAddress;
    use proptest::prelude::*;
    use serde_json::json;

    fn message(fields: Value) -> Message {
        let recipient = EmailAddress::parse("ann@example.org").expect("an address");
        Message { row: u64::MAX, recipient, fields: fields.as_object().expect("an object").clone() }
    }

    #[test]
    fn a_message_at_the_limit_is_taken_and_one_beyond_it_names_its_longest_column() {
        let message = message(json!({"Name": "Ann", "Letter": "x".repeat(1_234_567)}));
        let bytes = serde_json::to_vec(&message).expect("JSON").len();
        assert_eq!(too_long(&message, bytes), None);
        let why = too_long(&message, bytes - 1).expect("too long");
        let rest = "and the journal takes 1,234,";
        assert!(why.starts_with("its message is 1,234,") && why.contains(rest) && why.contains("\"Letter\""), "{why}");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Value::from),
            "[\u{0}-\u{20}\"]{0,40}".prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_not_measured_is_never_too_long(fields in prop::collection::hash_map(any::<String>(), any_value(), 0..8)) {
            let message = message(Value::Object(fields.into_iter().collect()));
            let most = weight(&message.fields) * MOST_ESCAPED + FRAME;
            prop_assert!(json_bytes(&message) <= most);
            prop_assert_eq!(json_bytes(&message), serde_json::to_vec(&message).expect("JSON").len());
        }
    }
}
