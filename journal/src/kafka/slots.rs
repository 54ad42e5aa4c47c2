//! One row of the account, small enough for a million of them: about 64 bytes, and its text.

use campaign::{Outcome, Reply, Settlement, SkipReason};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// So many different replies are kept once each; what comes after is kept with its row.
const REPLIES: usize = 4096;

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message without a result.
    None,
    Delivered,
    Deferred,
    Rejected,
    Refused,
    Unknown,
    Dead,
    /// No message: see [`SkipReason`].
    Invalid,
    Duplicate,
    Suppressed,
}

/// A text that many rows may have.
#[derive(Debug)]
enum Text {
    Shared(u32),
    Own(Box<str>),
}

/// A row.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) partition: i32,
    /// Attempts that were begun.
    pub(super) attempts: u32,
    pub(super) kind: Kind,
    /// Whether its record in `outbox` was read; its outcomes may come before it.
    pub(super) listed: bool,
    /// Of the result: attempt, time and due time (nanoseconds since 1970), reply and backend.
    attempt: u32,
    at: i64,
    due: i64,
    code: u16,
    enhanced: u16,
    backend: u16,
    text: Text,
}

/// Texts that come again and again.
#[derive(Debug, Default)]
pub(super) struct Texts {
    replies: Table,
    /// Enhanced codes and names of backends.
    names: Table,
}

#[derive(Debug, Default)]
struct Table {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Table {
    /// The number of a text; none if there are too many already.
    fn number(&mut self, text: &str, limit: usize) -> Option<u32> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        let number = u32::try_from(self.texts.len()).ok().filter(|_| self.texts.len() < limit)?;
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        Some(number)
    }
}

impl Texts {
    /// The number of a name, from 1; 0 is none. There are as many as numbers, or the last ones are left out.
    fn name(&mut self, text: Option<&str>) -> u16 {
        let number = text.and_then(|text| self.names.number(text, usize::from(u16::MAX)));
        number.and_then(|number| u16::try_from(number + 1).ok()).unwrap_or(0)
    }

    fn of_name(&self, number: u16) -> Option<String> {
        let number = usize::from(number).checked_sub(1)?;
        self.names.texts.get(number).map(ToString::to_string)
    }

    fn keep(&mut self, text: &str) -> Text {
        self.replies.number(text, REPLIES).map_or_else(|| Text::Own(text.into()), Text::Shared)
    }

    fn text<'t>(&'t self, text: &'t Text) -> &'t str {
        match text {
            Text::Shared(number) => self.replies.texts.get(*number as usize).map_or("", |text| text),
            Text::Own(text) => text,
        }
    }
}

impl Slot {
    /// A message that nothing happened to.
    pub(super) fn new(partition: i32) -> Self {
        Self {
            partition,
            attempts: 0,
            kind: Kind::None,
            listed: false,
            attempt: 0,
            at: 0,
            due: 0,
            code: 0,
            enhanced: 0,
            backend: 0,
            text: Text::Shared(u32::MAX),
        }
    }

    /// It is no message.
    pub(super) fn skip(&mut self, reason: &SkipReason, texts: &mut Texts) {
        self.kind = match reason {
            SkipReason::Invalid { why } => {
                self.text = texts.keep(why);
                Kind::Invalid
            }
            SkipReason::Duplicate => Kind::Duplicate,
            SkipReason::Suppressed => Kind::Suppressed,
        };
    }

    /// Why it is no message, if it is none.
    pub(super) fn skipped(&self, texts: &Texts) -> Option<SkipReason> {
        match self.kind {
            Kind::Invalid => Some(SkipReason::Invalid { why: texts.text(&self.text).to_owned() }),
            Kind::Duplicate => Some(SkipReason::Duplicate),
            Kind::Suppressed => Some(SkipReason::Suppressed),
            _ => None,
        }
    }

    /// It has a result.
    pub(super) fn settle(&mut self, settlement: &Settlement, texts: &mut Texts) {
        self.kind = kind_of(&settlement.outcome);
        self.attempt = settlement.attempt;
        self.at = nanos(settlement.at);
        self.backend = texts.name(settlement.backend.as_deref());
        if let Outcome::Deferred { due, .. } = &settlement.outcome {
            self.due = nanos(*due);
        }
        if let Some(reply) = settlement.outcome.reply() {
            self.code = reply.code;
            self.enhanced = texts.name(reply.enhanced.as_deref());
            self.text = texts.keep(&reply.text);
        }
    }

    /// It has no result any more.
    pub(super) fn forget(&mut self) {
        self.kind = Kind::None;
        self.text = Text::Shared(u32::MAX);
    }

    /// It is tried again at another time.
    pub(super) fn postpone(&mut self, due: Timestamp) {
        self.due = nanos(due);
    }

    /// The result, if it has one.
    pub(super) fn settlement(&self, row: u64, texts: &Texts) -> Option<Settlement> {
        let reply = || Reply {
            code: self.code,
            enhanced: texts.of_name(self.enhanced),
            text: texts.text(&self.text).to_owned(),
        };
        let outcome = match self.kind {
            Kind::Delivered => Outcome::Delivered { reply: reply() },
            Kind::Deferred => Outcome::Deferred { due: time(self.due), reply: reply() },
            Kind::Rejected => Outcome::Rejected { reply: reply() },
            Kind::Refused => Outcome::Refused { reply: reply() },
            Kind::Unknown => Outcome::Unknown { reply: reply() },
            Kind::Dead => Outcome::Dead { reply: reply() },
            Kind::None | Kind::Invalid | Kind::Duplicate | Kind::Suppressed => return None,
        };
        let backend = texts.of_name(self.backend);
        Some(Settlement { row, attempt: self.attempt, at: time(self.at), backend, outcome })
    }
}

/// The kind of an outcome.
pub(super) fn kind_of(outcome: &Outcome) -> Kind {
    match outcome {
        Outcome::Delivered { .. } => Kind::Delivered,
        Outcome::Deferred { .. } => Kind::Deferred,
        Outcome::Rejected { .. } => Kind::Rejected,
        Outcome::Refused { .. } => Kind::Refused,
        Outcome::Unknown { .. } => Kind::Unknown,
        Outcome::Dead { .. } => Kind::Dead,
        Outcome::Released => Kind::None,
    }
}

/// Nanoseconds since 1970; times outside 1677–2262 become the nearest one inside.
fn nanos(at: Timestamp) -> i64 {
    let exact = at.as_nanosecond();
    i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
}

/// The opposite of [`nanos`].
fn time(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH)
}
