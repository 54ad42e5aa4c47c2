//! What stands in `control`, read as far as it goes, and what is written there for the whole campaign: the pin, and what people decide.
//!
//! Who writes is the clerk: it takes the clerk's transactional id first and reads `control` then, so that of two who write at once one is
//! fenced and looks again at what the other wrote.

use super::control::Control;
use super::reading::{Ends, Follower, Topic};
use super::transactor::{Failed, Outgoing, Transactor};
use super::wire::{Controlled, Unreadable, decode_control, encode, schema};
use super::{Shared, clients};
use crate::{Error, Pin, Preflighted};
use rdkafka::message::{BorrowedMessage, Message as _};
use std::sync::PoisonError;
use std::time::Duration;

/// How often a clerk that was fenced by another begins again.
const TRIES: u32 = 20;

/// `control`, and the reader that keeps it up to date.
#[derive(Default)]
pub(super) struct Desk {
    follower: Follower,
    control: Control,
}

impl Shared {
    /// Looks at `control` as it stands now.
    pub(super) fn control<T>(&self, look: impl FnOnce(&Control) -> T) -> Result<T, Error> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ends = Ends::new();
        self.ends_of(Topic::Control, &mut ends)?;
        let Desk { follower, control } = &mut *desk;
        follower.read_to(self, &ends, |_, message| read_control(self, message, control))?;
        // Markers count: everything below the end was read.
        control.next = control.next.max(ends.get(&(Topic::Control, 0)).map_or(0, |range| range.end));
        Ok(look(control))
    }

    /// Lets the reader go if it had nothing to read for so long; what was read is kept.
    pub(super) fn rest_desk(&self, unused: Duration) {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).follower.rest(unused);
    }

    /// Pins the content, with what the preflight found, or compares it with what is pinned.
    pub(super) fn pin(&self, pin: &Pin, found: Option<&Preflighted>) -> Result<(), Error> {
        // Most often it stands there already, and nobody has to be fenced for it.
        if let Some(pinned) = self.control(|control| control.pin.clone())? {
            return pinned.must_be(pin);
        }
        self.as_clerk(|| {
            if let Some(pinned) = self.control(|control| control.pin.clone())? {
                return pinned.must_be(pin).map(|()| (Vec::new(), ()));
            }
            let found = found.map(|found| self.for_control("preflight".to_owned(), schema::PREFLIGHT, encode(found)));
            let pin = self.for_control("pin".to_owned(), schema::PIN, encode(pin));
            Ok((found.into_iter().chain([pin]).collect(), ()))
        })
    }

    /// Becomes the clerk, forms records by what stands in the topics then, and writes them; again if another clerk came in between.
    pub(super) fn as_clerk<'s, T>(
        &'s self,
        mut form: impl FnMut() -> Result<(Vec<Outgoing<'s>>, T), Error>,
    ) -> Result<T, Error> {
        for attempt in 1..=TRIES {
            let clerk = match Transactor::open(self, &self.names.clerk()) {
                Err(Error::Fenced) => {
                    step_back(attempt);
                    continue;
                }
                opened => opened?,
            };
            let (records, result) = form()?;
            if records.is_empty() {
                return Ok(result);
            }
            // Asked for, it is there at once; else the library finds out at its leisure.
            clerk.partitions_of(&self.names.control)?;
            match clerk.write(&records, |_| None) {
                Ok(_) => return Ok(result),
                Err(Failed::Fenced(_)) => step_back(attempt),
                Err(other) => return Err(other.into_error()),
            }
        }
        let why = "others write down decisions for this campaign at the same time; try again";
        Err(Error::Kafka { during: "writing to the topic control", source: why.into() })
    }

    /// A record of `control`.
    pub(super) fn for_control(&self, key: String, schema: &'static str, value: Vec<u8>) -> Outgoing<'_> {
        Outgoing { topic: &self.names.control, partition: 0, key, row: None, attempt: 0, schema, value }
    }
}

/// Lets the other clerk finish. Waits of different length, so that two don't meet for ever.
fn step_back(attempt: u32) {
    let own = u64::from(uuid::Uuid::new_v4().as_bytes()[0]) % 97;
    std::thread::sleep(Duration::from_millis(u64::from(20 * attempt) + own));
}

/// Takes in a record of `control`; one that can't be read is passed over and said.
fn read_control(shared: &Shared, message: &BorrowedMessage<'_>, control: &mut Control) {
    match controlled(message, &shared.uid) {
        Ok(record) => control.apply(message.offset(), record),
        Err(why) => {
            tracing::warn!(place = clients::place(message), %why, "a record is passed over");
        }
    }
}

/// A record of `control` of the campaign with this uid.
pub(super) fn controlled(message: &BorrowedMessage<'_>, uid: &str) -> Result<Controlled, Unreadable> {
    let raw = clients::Raw::of(message, uid)?;
    let key = message.key().map(String::from_utf8_lossy).unwrap_or_default();
    decode_control(&key, raw.schema, raw.value)
}

/// The key of a shard's record.
pub(super) fn shard_key(shard: u32) -> String {
    format!("shard.{shard}")
}
