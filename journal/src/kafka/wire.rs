//! The records on the topics, as JSON: see `docs/wire.md`. Every record says in its headers which campaign, row and attempt it is about and which
//! schema its value has, so that anybody can read along. Pure.
//!
//! A schema's name ends with its version. Fields may be added to a version; what changes or takes away the meaning of one makes a new version,
//! and a reader refuses versions that it doesn't know.

mod schemas;

pub use schemas::schemas;

use crate::{Checkpoint, Obstacle, Paused, Pin, Preflighted};
use campaign::{Message, Outcome, Settlement, Skipped};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names of the headers.
pub mod header {
    /// The campaign's uid.
    pub const CAMPAIGN: &str = "campaign";
    /// The row's number in the list.
    pub const ROW: &str = "row";
    /// Which attempt the record is about; 0 while there was none.
    pub const ATTEMPT: &str = "attempt";
    /// The schema of the value.
    pub const SCHEMA: &str = "schema";
}

/// Schemas of the values.
pub mod schema {
    /// `outbox`: [`campaign::Message`].
    pub const MESSAGE: &str = "message.v1";
    /// `outbox`: [`campaign::Skipped`].
    pub const SKIPPED: &str = "skipped.v1";
    /// `outcomes`: [`super::Event`].
    pub const EVENT: &str = "event.v1";
    /// `control`: [`crate::Pin`].
    pub const PIN: &str = "pin.v1";
    /// `control`: [`crate::Preflighted`].
    pub const PREFLIGHT: &str = "preflight.v1";
    /// `control`: [`super::Published`].
    pub const SHARD: &str = "shard.v1";
    /// `control`: [`crate::Paused`], or null once resumed.
    pub const PAUSED: &str = "paused.v1";
    /// `control`: [`super::Suspended`], or null once it is not any more.
    pub const SUSPENDED: &str = "suspended.v1";
    /// `control`: [`crate::Obstacle`], or null once it is gone.
    pub const OBSTACLE: &str = "obstacle.v1";
    /// `control`: [`super::Decision`].
    pub const DECISION: &str = "decision.v1";
}

/// A record of `outbox`: what a row of the list became.
#[derive(Debug, Clone, PartialEq)]
pub enum Listed {
    /// A message.
    Message(Message),
    /// None.
    Skipped(Skipped),
}

/// A record of `outcomes`: something happened to a message. The latest one of a row (but for [`Happened::Late`]) says where it stands, whatever
/// stood before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The row.
    pub row: u64,
    /// Attempts that were begun, this one included.
    pub attempt: u32,
    /// When it happened.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Where its message is: the offset in the same partition of `outbox`.
    pub outbox: i64,
    /// When the first attempt was claimed, if there was one; counts anew after a person's decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub first: Option<Timestamp>,
    /// What happened.
    #[serde(flatten)]
    pub happened: Happened,
}

/// What happened to a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Happened {
    /// A worker is about to send it.
    Claimed {
        /// What it counts as until it is settled.
        counted: Counted,
        /// When it was due, if it was waiting.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        due: Option<Timestamp>,
    },
    /// The attempt came to this.
    Settled {
        /// The backend that was used, if one was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backend: Option<String>,
        /// What became of it.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// It is in the queue (again), to be claimed when due.
    Queued {
        /// Not before this time; none: at its turn in the order of the list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        due: Option<Timestamp>,
        /// What it counts as.
        counted: Counted,
        /// Why.
        why: Why,
    },
    /// A worker that had lost the message to another learnt this of its attempt. Evidence only: the account does not change.
    Late {
        /// The backend that was used, if one was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backend: Option<String>,
        /// What became of it.
        #[serde(flatten)]
        outcome: Outcome,
    },
}

/// What an unsettled message counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Counted {
    /// It has no outcome yet.
    Pending,
    /// Its latest outcome is that it was deferred.
    Deferred,
}

/// Why a message is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// The rate of its domain was spent, or others were claimed before it.
    Paced,
    /// It was claimed and not begun.
    Released,
    /// Its sender was gone before the outcome was known, and `delivery.onUnknown` is `Resend`.
    Resent,
    /// A person decided so.
    Decided,
}

/// A record of `control`: how far a shard of the list is published. Its key is `shard.<number>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// How far.
    #[serde(flatten)]
    pub checkpoint: Checkpoint,
    /// By partition of `outbox`: the offset behind the last record of the shard.
    pub ends: BTreeMap<i32, i64>,
}

/// A record of `control`: sending is suspended, as the campaign declares it. Its key is `suspended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suspended {
    /// Since when.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// A record of `control`: a person decided about rows. Its key is `decision.<uuid>`. The owner of a row carries it out if the row still stands as it
/// did then; so a decision that comes twice or too late does nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// What is to become of them.
    pub verdict: Verdict,
    /// When it was decided.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// By partition of `outbox`: row and attempt.
    pub rows: BTreeMap<i32, Vec<(u64, u32)>>,
}

/// What is to become of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Unknown ones are queued again.
    ResendUnknown,
    /// Unknown ones are dead.
    DiscardUnknown,
    /// Dead ones are queued again.
    ReplayDead,
    /// Refused ones are queued again.
    RetryRefused,
}

impl Verdict {
    /// Whether it is about rows with this latest outcome.
    pub fn is_about(self, outcome: &Outcome) -> bool {
        match self {
            Self::ResendUnknown | Self::DiscardUnknown => matches!(outcome, Outcome::Unknown { .. }),
            Self::ReplayDead => matches!(outcome, Outcome::Dead { .. }),
            Self::RetryRefused => matches!(outcome, Outcome::Refused { .. }),
        }
    }
}

/// The metadata of a committed offset of `outbox`: the account of the partition, and where to read on. At most 512 bytes (the broker's
/// `offset.metadata.max.bytes` is 4096 by default).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Version of this format.
    pub v: u32,
    /// Counts the commits of the partition.
    pub seq: u64,
    /// When the tick began, in milliseconds since 1970 by the owner's clock. For showing only.
    pub at: i64,
    /// The lowest offset in `outcomes` of an event that says where an unfinished row stands.
    pub tail: i64,
    /// Decisions in `control` below this offset were carried out.
    pub control: i64,
    /// Delivered, rejected, refused, deferred, dead, unknown.
    pub n: [u64; 6],
    /// Claimed and not settled: of those pending, of those deferred.
    pub c: [u64; 2],
    /// Waiting in the queue.
    pub q: u64,
    /// When the first of those is due, in milliseconds since 1970; 0 if one is at its turn. None if nothing waits, or an earlier version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
}

impl Mark {
    /// The version that is written.
    pub const VERSION: u32 = 1;

    /// As text.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From text; none if it isn't one, or is of a newer version.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|mark: &Self| mark.v == Self::VERSION)
    }
}

/// Why a record can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not of this campaign, or without the headers.
    #[error("it is not a record of this campaign")]
    Foreign,
    /// A schema that is not known here.
    #[error("its schema {0} is not known to this version of the program; upgrade it")]
    Schema(String),
    /// The value isn't what the schema says.
    #[error("its value is not {schema}: {why}")]
    Value {
        /// The schema.
        schema: String,
        /// What is wrong.
        why: String,
    },
}

/// The value of a record of `outbox`, and its schema.
pub fn encode_listed(listed: &Listed) -> (&'static str, Vec<u8>) {
    match listed {
        Listed::Message(message) => (schema::MESSAGE, encode(message)),
        Listed::Skipped(skipped) => (schema::SKIPPED, encode(skipped)),
    }
}

/// Reads a record of `outbox`.
pub fn decode_listed(schema: &str, value: &[u8]) -> Result<Listed, Unreadable> {
    match schema {
        schema::MESSAGE => decode(schema, value).map(Listed::Message),
        schema::SKIPPED => decode(schema, value).map(Listed::Skipped),
        other => Err(Unreadable::Schema(other.to_owned())),
    }
}

/// Reads a record of `outcomes`.
pub fn decode_event(schema: &str, value: &[u8]) -> Result<Event, Unreadable> {
    match schema {
        schema::EVENT => decode(schema, value),
        other => Err(Unreadable::Schema(other.to_owned())),
    }
}

/// A record of `control`.
#[derive(Debug, Clone, PartialEq)]
pub enum Controlled {
    /// The content is pinned.
    Pin(Pin),
    /// What the preflight found.
    Preflight(Preflighted),
    /// How far a shard is published.
    Shard(u32, Published),
    /// Sending is paused, or is not any more.
    Paused(Option<Paused>),
    /// Sending is suspended, or is not any more.
    Suspended(Option<Suspended>),
    /// Something keeps a worker from sending, or does not any more.
    Obstacle(Option<Obstacle>),
    /// A person decided.
    Decision(Decision),
}

/// Reads a record of `control`.
pub fn decode_control(key: &str, schema: &str, value: &[u8]) -> Result<Controlled, Unreadable> {
    match schema {
        schema::PIN => decode(schema, value).map(Controlled::Pin),
        schema::PREFLIGHT => decode(schema, value).map(Controlled::Preflight),
        schema::PAUSED => decode(schema, value).map(Controlled::Paused),
        schema::SUSPENDED => decode(schema, value).map(Controlled::Suspended),
        schema::OBSTACLE => decode(schema, value).map(Controlled::Obstacle),
        schema::DECISION => decode(schema, value).map(Controlled::Decision),
        schema::SHARD => {
            let number = key.strip_prefix("shard.").and_then(|number| number.parse().ok());
            let number = number.ok_or_else(|| Unreadable::Value {
                schema: schema.to_owned(),
                why: format!("its key is {key}, not shard.<number>"),
            })?;
            decode(schema, value).map(|published| Controlled::Shard(number, published))
        }
        other => Err(Unreadable::Schema(other.to_owned())),
    }
}

/// A value as JSON. What goes in is made of text, numbers, lists and maps with text keys, for which this can't fail.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn decode<'a, T: Deserialize<'a>>(schema: &str, value: &'a [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(value)
        .map_err(|error| Unreadable::Value { schema: schema.to_owned(), why: error.to_string() })
}

impl Event {
    /// The settlement that it is, if it is one.
    pub fn settlement(&self) -> Option<Settlement> {
        let Happened::Settled { backend, outcome } = &self.happened else { return None };
        Some(Settlement {
            row: self.row,
            attempt: self.attempt,
            at: self.at,
            backend: backend.clone(),
            outcome: outcome.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::Reply;

    #[test]
    fn every_event_comes_back_as_it_was_written() {
        let at = Timestamp::from_second(1_800_000_000).expect("a time");
        let reply = Reply { code: 250, enhanced: Some("2.0.0".to_owned()), text: "queued as 4FX".to_owned() };
        let all = [
            Happened::Claimed { counted: Counted::Pending, due: None },
            Happened::Claimed { counted: Counted::Deferred, due: Some(at) },
            Happened::Settled {
                backend: Some("relay".to_owned()),
                outcome: Outcome::Delivered { reply: reply.clone() },
            },
            Happened::Settled { backend: None, outcome: Outcome::Deferred { due: at, reply: reply.clone() } },
            Happened::Queued { due: Some(at), counted: Counted::Deferred, why: Why::Paced },
            Happened::Late { backend: None, outcome: Outcome::Rejected { reply } },
        ];
        for happened in all {
            let event = Event { row: u64::MAX, attempt: 3, at, outbox: i64::MAX, first: Some(at), happened };
            let text = encode(&event);
            assert_eq!(decode_event(schema::EVENT, &text), Ok(event), "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn the_largest_mark_fits_into_half_a_kibibyte() {
        let large = u64::MAX;
        let mark = Mark {
            v: 1,
            seq: large,
            at: i64::MAX,
            tail: i64::MAX,
            control: i64::MAX,
            n: [large; 6],
            c: [large; 2],
            q: large,
            due: Some(i64::MAX),
        };
        assert!(mark.encode().len() <= 512, "{}", mark.encode());
        assert_eq!(Mark::decode(&mark.encode()), Some(mark));
        assert_eq!(Mark::decode("{\"v\":2}"), None);
        let older = r#"{"v":1,"seq":7,"at":0,"tail":0,"control":0,"n":[1,0,0,0,0,0],"c":[0,0],"q":0}"#;
        let read = Mark::decode(older).expect("what an earlier version wrote");
        assert_eq!((read.due, read.encode().as_str()), (None, older));
    }

    #[test]
    fn a_newer_schema_is_named_and_garbage_has_a_reason() {
        assert_eq!(decode_event("event.v2", b"{}"), Err(Unreadable::Schema("event.v2".to_owned())));
        let garbage = decode_listed(schema::MESSAGE, b"\x00\xff").expect_err("garbage").to_string();
        assert!(garbage.contains("message.v1"), "{garbage}");
    }
}
