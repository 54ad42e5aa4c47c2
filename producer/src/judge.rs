//! Which rows become a message: one place for it, so that preflight and publishing agree.

use crate::{Input, dedupe::AddressSet, list::Row};
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
}

impl<'a> Judge<'a> {
    /// `room` is an empty set; one that was used before has its memory already.
    pub(crate) fn new(input: &'a Input, email_column: &str, room: AddressSet) -> Self {
        let seen = input.recipients.dedupe.then_some(room);
        Self { input, seen, email_column: email_column.to_owned() }
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
        let is_duplicate = self.seen.as_mut().is_some_and(|seen| !seen.insert(&recipient));
        if self.input.suppress.holds(&recipient) {
            return Verdict::Skip(SkipReason::Suppressed);
        }
        if is_duplicate {
            return Verdict::Skip(SkipReason::Duplicate);
        }
        Verdict::Mail(Message { row: row.number, recipient, fields: row.fields })
    }
}
