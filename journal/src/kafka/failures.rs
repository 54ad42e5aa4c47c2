//! The rows that failed, by the code of their last reply. Holds something of those rows only, however long the list is.

use super::Shared;
use super::clients::Raw;
use super::reader::Complaints;
use super::reading::{Ends, Follower, Topic};
use super::wire::{Event, Happened, decode_event};
use crate::Error;
use campaign::{Outcome, Reply};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

/// So many codes are told, at most.
const MOST: usize = 10;

/// The failed rows, and the reader that keeps them up to date.
#[derive(Default)]
pub(super) struct Failures {
    follower: Follower,
    failed: Failed,
    unreadable: Complaints,
}

/// Rows whose latest result is that they failed.
#[derive(Debug, Default)]
struct Failed {
    /// By row: the place of its code in `codes`.
    rows: HashMap<u64, usize>,
    codes: Vec<Code>,
    places: HashMap<String, usize>,
}

#[derive(Debug)]
struct Code {
    name: String,
    rows: u64,
    /// A reply.
    example: String,
}

impl Shared {
    /// How many rows failed, by code: code, rows, a reply. The most frequent first.
    pub(super) fn failures(&self) -> Result<Vec<(String, u64, String)>, Error> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ends = Ends::new();
        self.ends_of(Topic::Outcomes, &mut ends)?;
        let Failures { follower, failed, unreadable } = &mut *failures;
        follower.read_to(self, &ends, |_, message| {
            match Raw::of(message, &self.uid).and_then(|raw| decode_event(raw.schema, raw.value)) {
                Ok(event) => failed.happened(&event),
                Err(why) => unreadable.note(message, &why),
            }
        })?;
        Ok(failed.most_frequent())
    }
}

impl Failures {
    /// See [`Follower::rest`].
    pub(super) fn rest(&mut self, unused: Duration) {
        self.follower.rest(unused);
    }
}

impl Failed {
    fn happened(&mut self, event: &Event) {
        let outcome = match &event.happened {
            Happened::Late { .. } => return,
            Happened::Settled { outcome, .. } => Some(outcome),
            Happened::Claimed { .. } | Happened::Queued { .. } => None,
        };
        if let Some(place) = self.rows.remove(&event.row) {
            self.codes[place].rows -= 1;
        }
        if let Some(Outcome::Rejected { reply } | Outcome::Refused { reply } | Outcome::Dead { reply }) = outcome {
            let place = self.place(reply);
            let code = &mut self.codes[place];
            if code.rows == 0 {
                code.example.clone_from(&reply.text);
            }
            code.rows += 1;
            self.rows.insert(event.row, place);
        }
    }

    fn place(&mut self, reply: &Reply) -> usize {
        let code = reply.enhanced.clone().unwrap_or_else(|| reply.code.to_string());
        if let Some(place) = self.places.get(&code) {
            return *place;
        }
        let place = self.codes.len();
        self.codes.push(Code { name: code.clone(), rows: 0, example: String::new() });
        self.places.insert(code, place);
        place
    }

    fn most_frequent(&self) -> Vec<(String, u64, String)> {
        let mut codes: Vec<&Code> = self.codes.iter().filter(|code| code.rows > 0).collect();
        codes.sort_by_key(|code| (Reverse(code.rows), &code.name));
        codes.into_iter().take(MOST).map(|code| (code.name.clone(), code.rows, code.example.clone())).collect()
    }
}
