//! Which rows become a message: one place for it, so that preflight and publishing agree.

use crate::{Input, dedupe::AddressSet, list::Row, size};
use campaign::{Message, SkipReason};

/// What a row is to become.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A message, if its letter can be made.
    Mail(Message),
    /// None.
    Skip(SkipReason),
}

/// Judges rows in the order of the list.
pub(crate) struct Judge<'a> {
    input: &'a Input,
    seen: Option<AddressSet>,
    email_column: String,
    max_message_bytes: Option<usize>,
}

impl<'a> Judge<'a> {
    /// `room` is an empty set; one that was used before has its memory already. No message may be longer in the journal than `max_message_bytes`.
    pub(crate) fn new(
        input: &'a Input,
        email_column: &str,
        room: AddressSet,
        max_message_bytes: Option<usize>,
    ) -> Self {
        let seen = input.recipients.dedupe.then_some(room);
        Self { input, seen, email_column: email_column.to_owned(), max_message_bytes }
    }

    /// The set of addresses, emptied, for the next judge.
    pub(crate) fn into_room(self) -> AddressSet {
        self.seen.unwrap_or_default().emptied()
    }

    /// A row that can't be mailed does not keep a later good one of the same address from being mailed.
    pub(crate) fn judge(&mut self, row: Row) -> Verdict {
        let recipient = match row.recipient {
            Ok(recipient) => recipient,
            Err(error) => {
                let why = row.trouble.unwrap_or_else(|| format!("column \"{}\": {error}", self.email_column));
                return Verdict::Skip(SkipReason::Invalid { why });
            }
        };
        if let Some(why) = row.trouble {
            return Verdict::Skip(SkipReason::Invalid { why });
        }
        let message = Message { row: row.number, recipient, fields: row.fields };
        if let Some(why) = self.max_message_bytes.and_then(|limit| size::too_long(&message, limit)) {
            return Verdict::Skip(SkipReason::Invalid { why });
        }
        let is_duplicate = self.seen.as_mut().is_some_and(|seen| !seen.insert(&message.recipient));
        if self.input.suppress.holds(&message.recipient) {
            return Verdict::Skip(SkipReason::Suppressed);
        }
        if is_duplicate {
            return Verdict::Skip(SkipReason::Duplicate);
        }
        Verdict::Mail(message)
    }
}
