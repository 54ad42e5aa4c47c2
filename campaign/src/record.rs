//! What the journal holds: one message per row of the list, and rows that became none.

use crate::address::EmailAddress;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A row's values by column, in the list's order. Text, whole and decimal numbers, booleans, null for an empty cell;
/// dates and times as ISO 8601 text (`2027-02-18`, `2027-02-18T09:30:00`, `09:30:00`); from NDJSON also nested values.
pub type Fields = Map<String, Value>;

/// One message to one recipient: what the producer publishes and the worker sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// The row's number as a spreadsheet shows it: the header is row 1 of a sheet or CSV file; NDJSON counts lines from 1.
    pub row: u64,
    /// Whom it goes to.
    #[schemars(with = "String")]
    pub recipient: EmailAddress,
    /// The row's values, for the templates.
    pub fields: Fields,
}

/// A row that became no message, so that the account of the list is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// The row's number, as in [`Message::row`].
    pub row: u64,
    /// Why.
    #[serde(flatten)]
    pub reason: SkipReason,
}

/// Why a row became no message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "skipped", rename_all = "camelCase")]
pub enum SkipReason {
    /// It can't be mailed; the text says why and what to do.
    Invalid {
        /// For people.
        why: String,
    },
    /// The same address stands in an earlier row.
    Duplicate,
    /// The address or its domain is on the list of those never to be mailed.
    Suppressed,
}
