//! What people decide, as records of `control`: which rows stand so is looked up by the clerk, and the rows' owners carry it out.

use super::Shared;
use super::transactor::Outgoing;
use super::wire::{Decision, Suspended, Verdict, encode, schema};
use crate::{Command, Error};
use campaign::Settlement;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Rows of one record, at most: each has 34 digits and signs.
const ROWS: usize = 12_000;
const ROW_BYTES: usize = 36;

/// By partition: row and attempt.
type Subjects = BTreeMap<i32, Vec<(u64, u32)>>;

impl Shared {
    /// Writes down what is decided; returns how many rows it is about.
    pub(super) fn decide(&self, command: &Command) -> Result<u64, Error> {
        let now = Timestamp::now();
        let (verdict, rows, at) = match command {
            Command::Suspend { at } => return self.suspend(Some(Suspended { at: *at })),
            Command::Unsuspend => return self.suspend(None),
            Command::ResendUnknown { rows } => (Verdict::ResendUnknown, rows.as_deref(), now),
            Command::DiscardUnknown { rows, at } => (Verdict::DiscardUnknown, rows.as_deref(), *at),
            Command::ReplayDead { .. } => (Verdict::ReplayDead, None, now),
            Command::Resume => (Verdict::RetryRefused, None, now),
        };
        let rows: Option<BTreeSet<u64>> = rows.map(|rows| rows.iter().copied().collect());
        let code = match command {
            Command::ReplayDead { code } => code.as_deref(),
            _ => None,
        };
        self.as_clerk(|| {
            let subjects =
                self.account(|account, _| account.subjects(verdict, rows.as_ref(), |latest| has_code(latest, code)))?;
            let how_many: usize = subjects.values().map(Vec::len).sum();
            let mut records = self.decisions(verdict, at, subjects);
            if *command == Command::Resume && self.control(|control| control.paused.is_some())? {
                records.push(self.for_control("paused".to_owned(), schema::PAUSED, encode(&None::<crate::Paused>)));
            }
            Ok((records, how_many as u64))
        })
    }

    /// Suspends the campaign, or lets it go on; of no row anything changes.
    fn suspend(&self, wanted: Option<Suspended>) -> Result<u64, Error> {
        let stands_so = || self.control(|control| control.suspended.is_some() == wanted.is_some());
        // Most often it stands so already, and nobody has to be fenced for it.
        if stands_so()? {
            return Ok(0);
        }
        self.as_clerk(|| {
            let record = || self.for_control("suspended".to_owned(), schema::SUSPENDED, encode(&wanted));
            Ok((if stands_so()? { Vec::new() } else { vec![record()] }, 0))
        })
    }

    /// As many records as are needed.
    fn decisions(&self, verdict: Verdict, at: Timestamp, subjects: Subjects) -> Vec<Outgoing<'_>> {
        let limit = ROWS.min(self.max_record_bytes.saturating_sub(1024) / ROW_BYTES).max(1);
        let to_record = |rows: Subjects| {
            let decision = Decision { verdict, at, rows };
            let key = format!("decision.{}", uuid::Uuid::new_v4());
            self.for_control(key, schema::DECISION, encode(&decision))
        };
        cut(subjects, limit).into_iter().map(to_record).collect()
    }
}

/// Cuts into parts of at most `limit` rows.
fn cut(subjects: Subjects, limit: usize) -> Vec<Subjects> {
    let (mut parts, mut part, mut rows_of_part) = (Vec::new(), Subjects::new(), 0);
    for (partition, rows) in subjects {
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let (taken, left) = rest.split_at(rest.len().min(limit - rows_of_part));
            part.insert(partition, taken.to_vec());
            rows_of_part += taken.len();
            rest = left;
            if rows_of_part == limit {
                parts.push(std::mem::take(&mut part));
                rows_of_part = 0;
            }
        }
    }
    parts.extend(Some(part).filter(|part| !part.is_empty()));
    parts
}

fn has_code(latest: &Settlement, code: Option<&str>) -> bool {
    let Some(code) = code else { return true };
    latest
        .outcome
        .reply()
        .is_some_and(|reply| reply.code.to_string() == code || reply.enhanced.as_deref() == Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_about_many_rows_is_cut_and_loses_none() {
        let subjects: Subjects = (0..4).map(|partition| (partition, (0..25).map(|row| (row, 1)).collect())).collect();
        let parts = cut(subjects, 10);
        assert_eq!(parts.len(), 10);
        assert!(parts.iter().all(|part| part.values().map(Vec::len).sum::<usize>() == 10));
        let mut all: Vec<(i32, u64)> = Vec::new();
        for (partition, rows) in parts.iter().flatten() {
            all.extend(rows.iter().map(|(row, _)| (*partition, *row)));
        }
        assert_eq!(all, (0..4).flat_map(|partition| (0..25).map(move |row| (partition, row))).collect::<Vec<_>>());
        assert!(cut(Subjects::new(), 10).is_empty());
    }

    #[test]
    fn the_largest_row_of_a_decision_takes_no_more_bytes_than_is_reckoned() {
        let rows = [(i32::MAX, vec![(u64::MAX, u32::MAX); 1000])].into_iter().collect();
        let decision = Decision { verdict: Verdict::DiscardUnknown, at: Timestamp::MAX, rows };
        assert!(encode(&decision).len() < 1000 * ROW_BYTES + 512);
    }
}
