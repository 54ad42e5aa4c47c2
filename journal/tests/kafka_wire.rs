//! The description of the records is true: its examples are what the program writes and reads, and the JSON Schemas are those of the types.
//!
//! `UPDATE_SCHEMAS=1 cargo test -p journal --test kafka_wire` writes them anew.

use campaign::{CampaignUid, EmailAddress, Message, Outcome, Reply, SkipReason, Skipped};
use jiff::Timestamp;
use journal::kafka::wire::{
    Controlled, Counted, Decision, Event, Happened, Listed, Published, Suspended, Verdict, Why, decode_control,
    decode_event, decode_listed, encode, encode_listed, schema, schemas,
};
use journal::{Checkpoint, Obstacle, Paused, Pin, Preflighted, Tally};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn is_to_be_written() -> bool {
    std::env::var_os("UPDATE_SCHEMAS").is_some()
}

/// Name in the description, and the value as it is written. Each is read again here.
fn examples() -> Vec<(String, Vec<u8>)> {
    let mut examples = Vec::new();
    let fields = json!({"Email": "ada@example.com", "Name": "Ada Lovelace", "Salary": 52000, "Start": "2027-03-01"});
    let recipient = EmailAddress::parse("ada@example.com").expect("an address");
    let message = Message { row: 2, recipient, fields: fields.as_object().expect("fields").clone() };
    let why = "email: \"ada.example.com\" has no @; correct the cell".to_owned();
    for listed in [Listed::Message(message), Listed::Skipped(Skipped { row: 3, reason: SkipReason::Invalid { why } })] {
        let (schema, value) = encode_listed(&listed);
        assert_eq!(decode_listed(schema, &value), Ok(listed));
        examples.push((schema.to_owned(), value));
    }
    for (name, event) in events() {
        let value = encode(&event);
        assert_eq!(decode_event(schema::EVENT, &value), Ok(event));
        examples.push((format!("{} {name}", schema::EVENT), value));
    }
    for (key, schema, controlled) in controls() {
        let value = match &controlled {
            Controlled::Pin(pin) => encode(pin),
            Controlled::Shard(_, published) => encode(published),
            Controlled::Preflight(found) => encode(found),
            Controlled::Paused(paused) => encode(paused),
            Controlled::Suspended(suspended) => encode(suspended),
            Controlled::Obstacle(obstacle) => encode(obstacle),
            Controlled::Decision(decision) => encode(decision),
        };
        assert_eq!(decode_control(key, schema, &value), Ok(controlled));
        examples.push((schema.to_owned(), value));
    }
    examples
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn events() -> [(&'static str, Event); 4] {
    let first = Some(at("2027-02-18T09:30:00Z"));
    let event = |time, attempt, first, happened| Event { row: 2, attempt, at: at(time), outbox: 117, first, happened };
    let reply = Reply { code: 250, enhanced: Some("2.0.0".to_owned()), text: "Ok: queued as 4FXq2Z1xYz".to_owned() };
    let backend = Some("relay".to_owned());
    let due = Some(at("2027-02-18T09:45:00Z"));
    [
        ("claimed", event("2027-02-18T09:30:00Z", 1, None, Happened::Claimed { counted: Counted::Pending, due: None })),
        (
            "settled",
            event(
                "2027-02-18T09:30:01Z",
                1,
                None,
                Happened::Settled { backend: backend.clone(), outcome: Outcome::Delivered { reply: reply.clone() } },
            ),
        ),
        (
            "queued",
            event(
                "2027-02-18T09:30:01Z",
                1,
                first,
                Happened::Queued { due, counted: Counted::Deferred, why: Why::Paced },
            ),
        ),
        (
            "late",
            event("2027-02-18T09:31:00Z", 1, first, Happened::Late { backend, outcome: Outcome::Delivered { reply } }),
        ),
    ]
}

fn controls() -> [(&'static str, &'static str, Controlled); 7] {
    let uid = CampaignUid::alone("hr/offers", "list", "message", None);
    let contents = [("spec.message.text", "9f86d081884c7d65"), ("spec.recipients.source", "60303ae22b998861")];
    let contents = contents.map(|(path, hash)| (path.to_owned(), hash.to_owned())).into();
    let tally = Tally { published: 4980, invalid: 12, duplicate: 7, suppressed: 1 };
    let found = Preflighted {
        at: at("2027-02-18T09:29:00Z"),
        tally: Tally { published: 19_920, invalid: 48, duplicate: 28, suppressed: 4 },
    };
    let checkpoint = Checkpoint { next_row: 5002, tally, done: false };
    let ends = [(0, 1287), (1, 1281), (2, 1290), (3, 1286)].into();
    let paused = Paused { reason: "relay: 554 5.7.1 Service unavailable".to_owned(), at: at("2027-02-18T09:32:00Z") };
    let reason = "backend relay (mx.example.com:587): the server offers no AUTH; remove smtp.auth, or set smtp.tls";
    let obstacle = Obstacle { reason: reason.to_owned(), at: at("2027-02-18T10:30:00Z") };
    let rows = [(0, vec![(4, 1), (8, 1)]), (2, vec![(6, 2)])].into();
    let decision = Decision { verdict: Verdict::ResendUnknown, at: at("2027-02-18T11:00:00Z"), rows };
    [
        ("pin", schema::PIN, Controlled::Pin(Pin { uid, contents, destination: "backends".to_owned(), shards: 1 })),
        ("preflight", schema::PREFLIGHT, Controlled::Preflight(found)),
        ("shard.0", schema::SHARD, Controlled::Shard(0, Published { checkpoint, ends })),
        ("paused", schema::PAUSED, Controlled::Paused(Some(paused))),
        ("suspended", schema::SUSPENDED, Controlled::Suspended(Some(Suspended { at: at("2027-02-18T10:00:00Z") }))),
        ("obstacle", schema::OBSTACLE, Controlled::Obstacle(Some(obstacle))),
        ("decision.5f0c6d1e-7a52-4c1e-9a51-0e8f3b7a2d90", schema::DECISION, Controlled::Decision(decision)),
    ]
}

/// The example as it stands in the description, from its mark on.
fn block(name: &str, value: &[u8]) -> String {
    let value: Value = serde_json::from_slice(value).expect("JSON");
    let text = serde_json::to_string_pretty(&value).expect("text");
    format!("<!-- example: {name} -->\n```json\n{text}\n```\n")
}

/// Puts the examples in the place of what stands behind their marks.
fn with_examples(text: &str, examples: &[(String, Vec<u8>)]) -> String {
    let mut written = text.to_owned();
    for (name, value) in examples {
        let mark = format!("<!-- example: {name} -->\n");
        let begin = written.find(&mark).unwrap_or_else(|| panic!("docs/wire.md has no {mark}"));
        let behind = begin + mark.len();
        let end = match written[behind..].strip_prefix("```json\n") {
            Some(code) => written.len() - code.len() + code.find("```\n").expect("its end") + 4,
            None => behind,
        };
        written.replace_range(begin..end, &block(name, value));
    }
    written
}

#[test]
fn the_examples_of_the_description_are_what_is_written() {
    let path = docs().join("wire.md");
    let text = std::fs::read_to_string(&path).expect("docs/wire.md");
    let written = with_examples(&text, &examples());
    if is_to_be_written() {
        std::fs::write(&path, &written).expect("written");
    } else {
        assert!(text == written, "docs/wire.md is stale; run with UPDATE_SCHEMAS=1");
    }
}

#[test]
fn every_schema_has_an_example() {
    let shown: BTreeSet<String> =
        examples().iter().filter_map(|(name, _)| name.split(' ').next().map(str::to_owned)).collect();
    assert_eq!(shown, schemas().into_keys().collect());
}

#[test]
fn the_json_schemas_are_those_of_the_types() {
    let folder = docs().join("schemas");
    let wanted: BTreeMap<String, String> = schemas()
        .into_iter()
        .map(|(name, schema)| (format!("{name}.json"), serde_json::to_string_pretty(&schema).expect("text") + "\n"))
        .collect();
    if is_to_be_written() {
        std::fs::create_dir_all(&folder).expect("a folder");
        for (name, text) in &wanted {
            std::fs::write(folder.join(name), text).expect("written");
        }
    }
    let mut found = BTreeMap::new();
    for file in std::fs::read_dir(&folder).expect("docs/schemas").map(|file| file.expect("a file")) {
        let name = file.file_name().into_string().expect("a name");
        found.insert(name, std::fs::read_to_string(file.path()).expect("read"));
    }
    assert!(found == wanted, "docs/schemas is stale; run with UPDATE_SCHEMAS=1");
}

/// What a schema says an object must have is in the example.
#[test]
fn the_examples_have_what_the_schemas_require() {
    let schemas = schemas();
    for (name, value) in examples() {
        let value: Value = serde_json::from_slice(&value).expect("JSON");
        let schema = &schemas[name.split(' ').next().expect("a name")];
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let may_be_null = ["paused", "suspended", "obstacle"].iter().any(|key| name.starts_with(key));
        assert!(may_be_null || !required.is_empty(), "{name}: {schema}");
        for key in required {
            let key = key.as_str().expect("a name");
            assert!(value.get(key).is_some(), "{name} has no {key}");
        }
    }
}
