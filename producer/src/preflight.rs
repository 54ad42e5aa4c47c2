//! Reads the whole list before anything is sent, and makes every letter once to see that it can be made.
//!
//! One thread reads, the others check; few rows are in memory at a time, however long the list is.

use crate::{
    AddressSet, Input,
    judge::{Judge, Verdict},
    list::{self, List, Places},
};
use campaign::{Message, Mistake, SkipReason, spec::OnInvalidRow};
use journal::Tally;
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// Rows that go to a checking thread at once.
const BATCH: usize = 128;

/// How to preflight.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only the first so many rows. What comes of it is not enough to publish.
    pub sample: Option<u64>,
    /// How many rows that can't be mailed are listed; the others are counted. None: 100.
    pub listed: Option<usize>,
    /// No message may be longer than this ([`journal::Journal::max_message_bytes`]).
    pub max_message_bytes: Option<usize>,
}

/// What a look at the whole list found.
#[derive(Debug, Clone)]
pub struct Preflight {
    /// What will become of the rows.
    pub tally: Tally,
    /// The first rows that can't be mailed, in the order of the list.
    pub invalid: Vec<InvalidRow>,
    /// Mistakes in the campaign that the list shows: columns that are used and missing.
    pub mistakes: Vec<Mistake>,
    /// Whether the whole list was read.
    pub is_complete: bool,
    /// Rows with a good address whose letter can't be made.
    pub(crate) unmakeable: RowSet,
    /// The emptied set of addresses: publishing uses its memory again, which for a million rows is a third of all.
    pub(crate) room: Arc<Mutex<AddressSet>>,
}

/// A row that can't be mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRow {
    /// Its number.
    pub row: u64,
    /// `offers.xlsx: sheet "Candidates" row 17`
    pub place: String,
    /// What is wrong with it and what to do.
    pub why: String,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list can't be read.
    #[error(transparent)]
    List(#[from] list::Error),
    /// The caller stopped it.
    #[error("stopped before the whole list was read")]
    Stopped,
}

/// Why a campaign can't begin with such a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Columns that are used and missing.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Mistakes(Vec<Mistake>),
    /// A sample is not enough.
    #[error("only a part of the list was looked at; nothing is sent")]
    Sample,
    /// `spec.recipients.onInvalidRow` is `Fail`.
    #[error(
        "{rows} rows can't be mailed, and spec.recipients.onInvalidRow is Fail: nothing is sent. Correct them, or set it to Skip"
    )]
    InvalidRows {
        /// How many.
        rows: u64,
    },
    /// Every row is invalid.
    #[error("no row of the list can be mailed, so nothing is sent; correct the template or the list")]
    Nobody,
}

impl Preflight {
    /// Whether the campaign may begin with this list.
    pub fn may_begin(&self, on_invalid: OnInvalidRow) -> Result<(), Refused> {
        self.may_publish(on_invalid)?;
        if self.tally.invalid > 0 && self.tally.published == 0 { Err(Refused::Nobody) } else { Ok(()) }
    }

    pub(crate) fn may_publish(&self, on_invalid: OnInvalidRow) -> Result<(), Refused> {
        if !self.mistakes.is_empty() {
            return Err(Refused::Mistakes(self.mistakes.clone()));
        }
        if !self.is_complete {
            return Err(Refused::Sample);
        }
        if self.tally.invalid > 0 && on_invalid == OnInvalidRow::Fail {
            return Err(Refused::InvalidRows { rows: self.tally.invalid });
        }
        Ok(())
    }

    /// A line for each row that is listed as invalid, and one for how many more there are.
    pub fn complaints(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.invalid.iter().map(|row| format!("{}: {}", row.place, row.why)).collect();
        let more = self.tally.invalid.saturating_sub(self.invalid.len() as u64);
        if more > 0 {
            lines.push(format!("… and {more} more rows that can't be mailed; `validate` and `report` list them"));
        }
        lines
    }
}

/// Looks at every row on a thread of its own. Dropping the future ends the reading.
///
/// # Errors
/// The list can't be read, with the place.
pub async fn in_background(input: &Arc<Input>, options: Options) -> Result<Preflight, Mistake> {
    let unwanted = Arc::new(AtomicBool::new(false));
    let guard = SetWhenDropped(Arc::clone(&unwanted));
    let (input, name) = (Arc::clone(input), input.list.display_name.clone());
    let reading = tokio::task::spawn_blocking(move || {
        preflight(&input, options, |_| {
            if unwanted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    let result = reading.await;
    drop(guard);
    match result {
        Ok(Ok(preflight)) => Ok(preflight),
        Ok(Err(Error::List(error))) => Err(error.into()),
        Ok(Err(stopped @ Error::Stopped)) => Err(Mistake::new(name, stopped.to_string())),
        Err(panic) => Err(Mistake::new(name, format!("reading it failed: {panic}"))),
    }
}

struct SetWhenDropped(Arc<AtomicBool>);

impl Drop for SetWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks at every row. Blocks; `progress` is called every few rows with how many were read, and may stop it.
pub fn preflight(
    input: &Input,
    options: Options,
    mut progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Preflight, Error> {
    let mut list = List::open(&input.list, &input.recipients)?;
    let missing = if list.has_header() { input.letters.missing_columns(list.columns()) } else { Vec::new() };
    let places = list.places().clone();
    let findings = Findings::new(options.listed.unwrap_or(100));
    // With a column missing every letter would fail for the same reason.
    let threads = if missing.is_empty() { thread::available_parallelism().map_or(1, usize::from) } else { 0 };

    let (mut tally, is_complete, room) = thread::scope(|scope| {
        let (batches, waiting) = sync_channel(threads + 1);
        let (findings, places, waiting) = (&findings, &places, Arc::new(Mutex::new(waiting)));
        for _ in 0..threads {
            let waiting = waiting.clone();
            scope.spawn(move || check(input, &waiting, findings, places));
        }
        // So that sending fails, rather than waits for ever, should every checking thread panic.
        drop(waiting);
        let mut reading = Reading { input, findings, batches: (threads > 0).then_some(batches), options };
        reading.read(&mut list, places, &mut progress)
    })?;

    let Found { listed, mut rows, .. } = findings.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_unstable();
    tally.invalid += rows.len() as u64;
    tally.published -= rows.len() as u64;
    let mut mistakes = if list.has_header() { missing } else { input.letters.missing_columns(list.columns()) };
    mistakes.extend(input.bodies.iter().flat_map(|body| body.missing_columns(list.columns())));
    for mistake in &mut mistakes {
        // Who made the template sees which list is meant.
        mistake.message = format!("{} ({})", mistake.message, places.list());
    }
    Ok(Preflight {
        tally,
        invalid: listed.into_values().collect(),
        mistakes,
        is_complete,
        unmakeable: RowSet(rows),
        room: Arc::new(Mutex::new(room)),
    })
}

/// The reading thread's part.
struct Reading<'a> {
    input: &'a Input,
    findings: &'a Findings,
    batches: Option<SyncSender<Vec<Message>>>,
    options: Options,
}

impl Reading<'_> {
    /// Reads the list; the tally as far as addresses tell, whether the end was reached, and the memory that was used.
    fn read(
        &mut self,
        list: &mut List,
        places: &Places,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(Tally, bool, AddressSet), Error> {
        let limit = self.options.max_message_bytes;
        let mut judge = Judge::new(self.input, list.email_column(), AddressSet::default(), limit);
        let mut tally = Tally::default();
        let mut batch = Vec::with_capacity(BATCH);
        let is_complete = loop {
            if self.options.sample.is_some_and(|sample| tally.total() >= sample) {
                break false;
            }
            let Some(row) = list.next_row()? else { break true };
            let (number, line) = (row.number, row.line);
            match judge.judge(row) {
                Verdict::Mail(message) => {
                    tally.published += 1;
                    batch.push(message);
                }
                Verdict::Skip(SkipReason::Duplicate) => tally.duplicate += 1,
                Verdict::Skip(SkipReason::Suppressed) => tally.suppressed += 1,
                Verdict::Skip(SkipReason::Invalid { why }) => {
                    tally.invalid += 1;
                    self.findings.list(number, || InvalidRow { row: number, place: places.number(number, line), why });
                }
            }
            if batch.len() == BATCH {
                self.hand_over(&mut batch);
            }
            if tally.total().is_multiple_of(BATCH as u64) && progress(tally.total()).is_break() {
                return Err(Error::Stopped);
            }
        };
        self.hand_over(&mut batch);
        self.batches = None;
        Ok((tally, is_complete, judge.into_room()))
    }

    fn hand_over(&self, batch: &mut Vec<Message>) {
        let full = std::mem::replace(batch, Vec::with_capacity(BATCH));
        if let Some(batches) = &self.batches {
            // It fails only when every checking thread panicked, which the scope passes on.
            drop(batches.send(full));
        }
    }
}

/// A checking thread.
fn check(input: &Input, waiting: &Mutex<Receiver<Vec<Message>>>, findings: &Findings, places: &Places) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return };
        for message in batch {
            if let Err(error) = input.letters.check(&message) {
                findings.unmakeable(message.row, || InvalidRow {
                    row: message.row,
                    place: places.number(message.row, None),
                    why: error.to_string(),
                });
            }
        }
    }
}

/// What the threads find, together.
struct Findings(Mutex<Found>);

struct Found {
    listed: BTreeMap<u64, InvalidRow>,
    most: usize,
    rows: Vec<u64>,
}

impl Findings {
    fn new(most: usize) -> Self {
        Self(Mutex::new(Found { listed: BTreeMap::new(), most, rows: Vec::new() }))
    }

    /// Lists a row if it is one of the first.
    fn list(&self, row: u64, invalid: impl FnOnce() -> InvalidRow) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).list(row, invalid);
    }

    fn unmakeable(&self, row: u64, invalid: impl FnOnce() -> InvalidRow) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.rows.push(row);
        found.list(row, invalid);
    }
}

impl Found {
    fn list(&mut self, row: u64, invalid: impl FnOnce() -> InvalidRow) {
        let is_early =
            self.listed.len() < self.most || self.listed.last_key_value().is_some_and(|(last, _)| row < *last);
        if is_early && self.most > 0 {
            self.listed.insert(row, invalid());
            if self.listed.len() > self.most {
                self.listed.pop_last();
            }
        }
    }
}

/// Numbers of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RowSet(Vec<u64>);

impl RowSet {
    pub(crate) fn contains(&self, row: u64) -> bool {
        self.0.binary_search(&row).is_ok()
    }
}
