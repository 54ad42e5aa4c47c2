//! Puts every row of the list into the journal, exactly once, whatever crashes in between.
//!
//! A chunk of rows and the checkpoint behind it are one transaction. Who goes on after a crash reads the list from its first row again,
//! to know which addresses were seen, and writes from the checkpoint on.

use crate::{
    Input, Preflight,
    judge::{Judge, Verdict},
    list::{self, List},
};
use campaign::{Fields, SkipReason, Skipped, spec::OnInvalidRow};
use journal::{Checkpoint, Entry, Publisher};
use serde_json::Value;
use std::{
    ops::ControlFlow,
    sync::{Arc, PoisonError},
};
use tokio::sync::mpsc;

/// Rows of a chunk, at most.
const CHUNK: usize = 1024;
/// Text of a chunk in bytes, about.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Why the list is not, or not wholly, published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list can't be read.
    #[error(transparent)]
    List(#[from] list::Error),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// `spec.recipients.onInvalidRow` is `Fail`.
    #[error(
        "{rows} rows can't be mailed, and spec.recipients.onInvalidRow is Fail: nothing is sent. Correct them, or set it to Skip"
    )]
    InvalidRows {
        /// How many.
        rows: u64,
    },
    /// The preflight found mistakes, or saw a sample only.
    #[error("the preflight is not clean and whole; nothing is sent")]
    NotReady,
    /// The list does not have as many rows as in the preflight.
    #[error(
        "{list}: the list changed while it was read: it had {before} rows and now has {now}; run again with --restart"
    )]
    Changed {
        /// Its name.
        list: String,
        /// In the preflight.
        before: u64,
        /// While publishing.
        now: u64,
    },
    /// The reading thread panicked.
    #[error("reading the list failed: {0}")]
    Reader(#[from] tokio::task::JoinError),
}

/// Publishes from the checkpoint on. After each chunk `progress` gets the checkpoint and may stop it; the next publisher goes on there.
///
/// Returns the last checkpoint: `done` unless it was stopped.
pub async fn publish<P: Publisher>(
    publisher: &mut P,
    input: &Arc<Input>,
    preflight: &Arc<Preflight>,
    mut progress: impl FnMut(&Checkpoint) -> ControlFlow<()> + Send,
) -> Result<Checkpoint, Error> {
    let start = *publisher.checkpoint();
    if start.done {
        return Ok(start);
    }
    if !preflight.is_complete || !preflight.mistakes.is_empty() {
        return Err(Error::NotReady);
    }
    if input.recipients.on_invalid_row == OnInvalidRow::Fail && preflight.tally.invalid > 0 {
        return Err(Error::InvalidRows { rows: preflight.tally.invalid });
    }
    let (chunks, mut ready) = mpsc::channel(1);
    let reader = {
        let (input, preflight) = (input.clone(), preflight.clone());
        tokio::task::spawn_blocking(move || Chunks { input: &input, preflight: &preflight, out: chunks }.read(start))
    };
    let mut last = start;
    while let Some((entries, checkpoint)) = ready.recv().await {
        publisher.publish(entries, checkpoint).await?;
        last = checkpoint;
        if progress(&last).is_break() {
            drop(ready);
            return Ok(last);
        }
    }
    reader.await??;
    Ok(last)
}

/// Reads the list and cuts it into chunks.
struct Chunks<'a> {
    input: &'a Input,
    preflight: &'a Preflight,
    out: mpsc::Sender<(Vec<Entry>, Checkpoint)>,
}

impl Chunks<'_> {
    fn read(&self, start: Checkpoint) -> Result<(), Error> {
        let mut list = List::open(&self.input.list, &self.input.recipients)?;
        let room = std::mem::take(&mut *self.preflight.room.lock().unwrap_or_else(PoisonError::into_inner));
        let mut judge = Judge::new(self.input, list.email_column(), room);
        let mut checkpoint = start;
        let (mut entries, mut bytes, mut rows) = (Vec::new(), 0, 0);
        while let Some(row) = list.next_row()? {
            rows += 1;
            let number = row.number;
            let weight = weight(&row.fields);
            let verdict = judge.judge(row);
            if number < start.next_row {
                continue;
            }
            let entry = self.entry(number, verdict);
            checkpoint.tally.add(&entry);
            checkpoint.next_row = number + 1;
            entries.push(entry);
            bytes += weight;
            if entries.len() == CHUNK || bytes >= CHUNK_BYTES {
                bytes = 0;
                if self.out.blocking_send((std::mem::take(&mut entries), checkpoint)).is_err() {
                    return Ok(());
                }
            }
        }
        self.account(rows, &checkpoint)?;
        checkpoint.done = true;
        // Nobody listens any more only if publishing failed, which is reported there.
        drop(self.out.blocking_send((entries, checkpoint)));
        Ok(())
    }

    fn entry(&self, row: u64, verdict: Verdict) -> Entry {
        let message = match verdict {
            Verdict::Skip(reason) => return Entry::Skipped(Skipped { row, reason }),
            Verdict::Mail(message) => message,
        };
        if self.preflight.unmakeable.contains(row)
            && let Err(error) = self.input.letters.check(&message)
        {
            return Entry::Skipped(Skipped { row, reason: SkipReason::Invalid { why: error.to_string() } });
        }
        Entry::Message(message)
    }

    /// Rows in are rows accounted for, and as many as the preflight saw.
    fn account(&self, rows: u64, checkpoint: &Checkpoint) -> Result<(), Error> {
        let before = self.preflight.tally.total();
        let now = if rows == before { checkpoint.tally.total() } else { rows };
        if now == before {
            return Ok(());
        }
        Err(Error::Changed { list: self.input.list.display_name.clone(), before, now })
    }
}

/// About how many bytes a row's values hold.
fn weight(fields: &Fields) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len() + 32,
            Value::Array(values) => values.iter().map(of).sum(),
            Value::Object(fields) => weight(fields),
            _ => 32,
        }
    }
    fields.iter().map(|(key, value)| key.len() + of(value)).sum()
}
