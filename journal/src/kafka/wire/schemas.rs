//! The schemas of the values as JSON Schema (draft 2020-12), made from the types.

use super::{Decision, Event, Published, Suspended, schema};
use crate::{Obstacle, Paused, Pin, Preflighted};
use campaign::{Message, Skipped};
use schemars::{Schema, schema_for};
use serde_json::Value;
use std::collections::BTreeMap;

/// By name: the JSON Schema of each value that is written.
pub fn schemas() -> BTreeMap<String, Value> {
    let all: [(&str, Schema); 10] = [
        (schema::MESSAGE, schema_for!(Message)),
        (schema::SKIPPED, schema_for!(Skipped)),
        (schema::EVENT, schema_for!(Event)),
        (schema::PIN, schema_for!(Pin)),
        (schema::PREFLIGHT, schema_for!(Preflighted)),
        (schema::SHARD, schema_for!(Published)),
        (schema::PAUSED, schema_for!(Option<Paused>)),
        (schema::SUSPENDED, schema_for!(Option<Suspended>)),
        (schema::OBSTACLE, schema_for!(Option<Obstacle>)),
        (schema::DECISION, schema_for!(Decision)),
    ];
    let named = |(name, mut schema): (&str, Schema)| {
        schema.insert("title".to_owned(), name.into());
        (name.to_owned(), schema.to_value())
    };
    all.into_iter().map(named).collect()
}
