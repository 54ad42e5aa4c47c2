//! What can be seen of a campaign from outside: the mail servers' accounts, the topics, and what the program tells a person.

use crate::rig::Rig;
use crate::topics::Topics;
use anyhow::{Context, Result};
use campaign::Outcome;
use journal::kafka::wire::{Event, Happened};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::time::UNIX_EPOCH;

/// An event of a row. The times here are of this machine's clock, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// The row's partition.
    pub partition: i32,
    /// Where it stands in the partition.
    pub offset: i64,
    /// When it was written.
    pub millis: i64,
    /// What happened.
    pub event: Event,
}

/// A final dot that a mail server has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dot {
    /// When it was read.
    pub millis: i64,
    /// Whose server it was: the slot of the worker.
    pub slot: usize,
}

/// What the report says of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// `Delivered`, `Unknown` and so on.
    pub status: String,
    /// Attempts that were begun.
    pub attempts: u64,
}

/// Everything that a round is judged by.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Rows of the list: from 2 to this + 1.
    pub rows: u64,
    /// Whether nobody may get two (`Hold`).
    pub holds: bool,
    /// How often each row was published.
    pub listed: BTreeMap<u64, u64>,
    /// What happened to each row, in order.
    pub events: BTreeMap<u64, Vec<Happening>>,
    /// The final dots of each row, in order.
    pub dots: BTreeMap<u64, Vec<Dot>>,
    /// By partition, when the ticks began that were committed, ascending.
    pub ticks: BTreeMap<i32, Vec<i64>>,
    /// The rows of the report.
    pub report: BTreeMap<u64, Reported>,
    /// What `status` says.
    pub status: Value,
}

impl Evidence {
    /// Gathers it. The servers must be at rest.
    ///
    /// # Errors
    /// Something can't be read, or a program failed.
    pub fn gather(rig: &Rig) -> Result<Self> {
        let topics = Topics::open(&rig.kafka.bootstrap())?;
        Ok(Self {
            rows: rig.campaign().rows,
            holds: rig.campaign().on_unknown == campaign::spec::OnUnknown::Hold,
            listed: topics.listed()?,
            events: by_row(&topics)?,
            dots: dots(rig)?,
            ticks: topics.ticks()?,
            report: report(rig)?,
            status: rig.status()?,
        })
    }
}

/// Rows that are published and have no final outcome, and those that are not published.
///
/// # Errors
/// The topics can't be read.
pub(crate) fn unfinished(rig: &Rig) -> Result<u64> {
    let events = by_row(&Topics::open(&rig.kafka.bootstrap())?)?;
    let finished = events.values().filter(|events| is_final(events)).count();
    Ok(rig.campaign().rows.saturating_sub(finished as u64))
}

/// Whether nothing is left to do.
fn is_final(events: &[Happening]) -> bool {
    let latest = events.iter().rev().find(|happening| !matches!(happening.event.happened, Happened::Late { .. }));
    latest.is_some_and(|latest| {
        matches!(&latest.event.happened, Happened::Settled { outcome, .. } if !matches!(outcome, Outcome::Deferred { .. }))
    })
}

fn by_row(topics: &Topics) -> Result<BTreeMap<u64, Vec<Happening>>> {
    let mut rows: BTreeMap<u64, Vec<Happening>> = BTreeMap::new();
    for written in topics.events()? {
        let happening = Happening {
            partition: written.partition,
            offset: written.offset,
            millis: written.millis,
            event: written.event,
        };
        rows.entry(happening.event.row).or_default().push(happening);
    }
    for events in rows.values_mut() {
        events.sort_by_key(|happening| happening.offset);
    }
    Ok(rows)
}

fn dots(rig: &Rig) -> Result<BTreeMap<u64, Vec<Dot>>> {
    let mut rows: BTreeMap<u64, Vec<Dot>> = BTreeMap::new();
    for (slot, of) in rig.slots().iter().enumerate() {
        for mail in of.sink.received() {
            let row = row_of(&mail.message_id).with_context(|| format!("the Message-ID {:?}", mail.message_id))?;
            let millis = i64::try_from(mail.at.duration_since(UNIX_EPOCH)?.as_millis())?;
            rows.entry(row).or_default().push(Dot { millis, slot });
        }
    }
    for dots in rows.values_mut() {
        dots.sort_by_key(|dot| dot.millis);
    }
    Ok(rows)
}

/// `uid.row@domain`
fn row_of(message_id: &str) -> Option<u64> {
    message_id.split_once('@')?.0.rsplit_once('.')?.1.parse().ok()
}

fn report(rig: &Rig) -> Result<BTreeMap<u64, Reported>> {
    let mut reader = csv::Reader::from_path(rig.report()?)?;
    let mut rows = BTreeMap::new();
    for (record, row) in reader.deserialize::<HashMap<String, String>>().zip(2..) {
        let record = record?;
        let status = record.get("Status").context("a column Status")?.clone();
        let attempts = record.get("Attempts").and_then(|attempts| attempts.parse().ok()).unwrap_or(0);
        rows.insert(row, Reported { status, attempts });
    }
    Ok(rows)
}
