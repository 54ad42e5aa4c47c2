//! How values stand in the tables: times as nanoseconds since 1970, outcomes as a number and columns, fields as compact JSON.

use crate::{Entry, Error, Queued};
use campaign::{Counts, EmailAddress, Message, Outcome, Reply, Settlement, SkipReason, Skipped};
use jiff::Timestamp;
use rusqlite::Row;
use std::path::Path;

/// The number of a kind of outcome in `state.kind`.
pub(super) mod kind {
    pub(in super::super) const NONE: i64 = 0;
    pub(in super::super) const DELIVERED: i64 = 1;
    pub(in super::super) const DEFERRED: i64 = 2;
    pub(in super::super) const REJECTED: i64 = 3;
    pub(in super::super) const REFUSED: i64 = 4;
    pub(in super::super) const UNKNOWN: i64 = 5;
    pub(in super::super) const DEAD: i64 = 6;
}

/// What stands as the reply of a mail whose sender is gone.
pub(crate) const SENDER_GONE: &str = "the program ended before the server's answer was known";

/// A row's number as SQLite's key. Numbers beyond it are refused when published.
pub(super) fn key(row: u64) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX)
}

/// A number that was stored by [`key`] or counted by SQLite.
pub(super) fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Nanoseconds since 1970; times outside 1677–2262 become the nearest one inside.
pub(super) fn nanos(at: Timestamp) -> i64 {
    let exact = at.as_nanosecond();
    i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
}

/// The opposite of [`nanos`].
pub(super) fn time(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The place in the account of a kind.
pub(super) fn slot(counts: &mut Counts, kind: i64) -> &mut u64 {
    match kind {
        kind::DELIVERED => &mut counts.delivered,
        kind::DEFERRED => &mut counts.deferred,
        kind::REJECTED => &mut counts.rejected,
        kind::REFUSED => &mut counts.refused,
        kind::UNKNOWN => &mut counts.unknown,
        kind::DEAD => &mut counts.dead,
        _ => &mut counts.pending,
    }
}

/// The kind of an outcome; none for one that is not kept.
pub(super) fn kind_of(outcome: &Outcome) -> Option<i64> {
    Some(match outcome {
        Outcome::Delivered { .. } => kind::DELIVERED,
        Outcome::Deferred { .. } => kind::DEFERRED,
        Outcome::Rejected { .. } => kind::REJECTED,
        Outcome::Refused { .. } => kind::REFUSED,
        Outcome::Unknown { .. } => kind::UNKNOWN,
        Outcome::Dead { .. } => kind::DEAD,
        Outcome::Released => return None,
    })
}

/// Reads the settlement in the columns `kind, attempt, at, due, code, enhanced, text, backend` from column `from` on.
pub(super) fn settlement(row: u64, columns: &Row<'_>, from: usize) -> rusqlite::Result<Option<Settlement>> {
    let reply = || -> rusqlite::Result<Reply> {
        Ok(Reply {
            code: columns.get(from + 4)?,
            enhanced: columns.get(from + 5)?,
            text: columns.get::<_, Option<String>>(from + 6)?.unwrap_or_default(),
        })
    };
    let outcome = match columns.get::<_, Option<i64>>(from)?.unwrap_or(kind::NONE) {
        kind::DELIVERED => Outcome::Delivered { reply: reply()? },
        kind::DEFERRED => Outcome::Deferred { due: time(columns.get(from + 3)?), reply: reply()? },
        kind::REJECTED => Outcome::Rejected { reply: reply()? },
        kind::REFUSED => Outcome::Refused { reply: reply()? },
        kind::UNKNOWN => Outcome::Unknown { reply: reply()? },
        kind::DEAD => Outcome::Dead { reply: reply()? },
        _ => return Ok(None),
    };
    let (attempt, at) = (columns.get(from + 1)?, time(columns.get(from + 2)?));
    Ok(Some(Settlement { row, attempt, at, backend: columns.get(from + 7)?, outcome }))
}

/// An entry as it is written, made by the publisher's own task.
pub(super) struct Written {
    pub(super) row: u64,
    pub(super) body: Body,
}

/// See [`Written`].
pub(super) enum Body {
    /// For `message`.
    Message {
        /// `local@domain`.
        recipient: String,
        /// Compact JSON.
        fields: String,
    },
    /// For `skipped`.
    Skipped {
        /// 0 invalid, 1 duplicate, 2 suppressed.
        reason: i64,
        /// Of an invalid one.
        why: Option<String>,
    },
}

/// Encodes an entry.
pub(super) fn written(entry: Entry) -> Result<Written, serde_json::Error> {
    let row = entry.row();
    let body = match entry {
        Entry::Message(Message { recipient, fields, .. }) => {
            Body::Message { recipient: recipient.to_string(), fields: serde_json::to_string(&fields)? }
        }
        Entry::Skipped(Skipped { reason, .. }) => match reason {
            SkipReason::Invalid { why } => Body::Skipped { reason: 0, why: Some(why) },
            SkipReason::Duplicate => Body::Skipped { reason: 1, why: None },
            SkipReason::Suppressed => Body::Skipped { reason: 2, why: None },
        },
    };
    Ok(Written { row, body })
}

/// Reads `reason, why` of `skipped`.
pub(super) fn skip_reason(reason: i64, why: Option<String>) -> SkipReason {
    match reason {
        1 => SkipReason::Duplicate,
        2 => SkipReason::Suppressed,
        _ => SkipReason::Invalid { why: why.unwrap_or_default() },
    }
}

/// A message as it was read, decoded by the worker's own task.
pub(super) struct Read {
    pub(super) row: u64,
    pub(super) recipient: String,
    pub(super) fields: String,
    pub(super) attempt: u32,
    pub(super) first: Option<i64>,
}

/// Decodes a message.
///
/// # Errors
/// [`Error::NotAJournal`] if what stands there was not written by us.
pub(super) fn queued(read: Read, path: &Path) -> Result<Queued, Error> {
    let broken = |why: String| Error::NotAJournal { path: path.to_owned(), why: format!("row {}: {why}", read.row) };
    let recipient = EmailAddress::parse(&read.recipient).map_err(|error| broken(error.to_string()))?;
    let fields = serde_json::from_str(&read.fields).map_err(|error| broken(error.to_string()))?;
    let message = Message { row: read.row, recipient, fields };
    Ok(Queued { message, attempt: read.attempt, first_attempt: read.first.map(time) })
}
