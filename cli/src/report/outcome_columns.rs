//! The seven columns behind those of the list.

use campaign::{CampaignUid, EmailAddress, Outcome, SkipReason, Skipped};
use journal::RowState;
use serde_json::Value;

/// Their names, in order.
pub(crate) const NAMES: [&str; 7] = ["Status", "Code", "Reply", "Attempts", "Time", "Backend", "Message-ID"];

/// Their values for one row; `None` for a row that is not in the journal yet.
pub(crate) fn values(state: Option<&RowState>, uid: CampaignUid, from: &EmailAddress) -> [Value; 7] {
    let (row, attempts, latest) = match state {
        None => return only("Pending", ""),
        Some(RowState::Skipped(Skipped { reason, .. })) => {
            return match reason {
                SkipReason::Invalid { why } => only("Invalid", why),
                SkipReason::Duplicate => only("Duplicate", "the address stands in an earlier row"),
                SkipReason::Suppressed => only("Suppressed", "the address is on the list of those never mailed"),
            };
        }
        Some(RowState::Message { row, attempts, latest }) => (*row, *attempts, latest.as_ref()),
    };
    let message_id = Value::from(format!("<{}>", uid.message_id(row, from)));
    let Some(latest) = latest else {
        let mut columns = only("Pending", "");
        columns[3] = Value::from(attempts);
        columns[6] = message_id;
        return columns;
    };
    let reply = latest.outcome.reply();
    [
        Value::from(status(&latest.outcome)),
        reply.map_or(Value::Null, |reply| code(reply.code, reply.enhanced.as_deref())),
        reply.map_or(Value::Null, |reply| Value::from(harmless(&reply.text))),
        Value::from(attempts),
        Value::from(latest.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        latest.backend.clone().map_or(Value::Null, Value::from),
        message_id,
    ]
}

fn only(status: &str, reply: &str) -> [Value; 7] {
    let reply = if reply.is_empty() { Value::Null } else { Value::from(harmless(reply)) };
    [Value::from(status), Value::Null, reply, Value::Null, Value::Null, Value::Null, Value::Null]
}

fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered { .. } => "Delivered",
        Outcome::Deferred { .. } => "Deferred",
        Outcome::Rejected { .. } => "Rejected",
        Outcome::Refused { .. } => "Refused",
        Outcome::Unknown { .. } => "Unknown",
        Outcome::Dead { .. } => "Dead",
        Outcome::Released => "Pending",
    }
}

/// `550 5.1.1`, or nothing where no server spoke.
fn code(code: u16, enhanced: Option<&str>) -> Value {
    match (code, enhanced) {
        (0, None) => Value::Null,
        (0, Some(enhanced)) => Value::from(enhanced),
        (code, None) => Value::from(code.to_string()),
        (code, Some(enhanced)) => Value::from(format!("{code} {enhanced}")),
    }
}

/// A server's text can't become a formula in the spreadsheet that opens the report.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() }
}
