//! Puts every row of the list into the journal, exactly once, whatever crashes in between.
//!
//! A chunk of rows and the checkpoint behind it are one transaction. Who goes on after a crash reads the list from its first row again,
//! to know which addresses were seen, and writes from the checkpoint on. So does each of several publishers that share the list: it judges every
//! row, and writes its own.

use crate::{
    Input, Preflight, Shard,
    judge::{Judge, Verdict},
    list::{self, List},
    preflight::Refused,
    size::weight,
};
use campaign::{SkipReason, Skipped};
use journal::{Checkpoint, Entry, Publisher};
use std::{
    ops::ControlFlow,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;

/// Text of a row in bytes, on average over a chunk: with longer ones it has fewer rows.
const ORDINARY: usize = 1024;
/// Progress is told at least this often, also while rows are read that are not to be written.
const TELL: Duration = Duration::from_millis(100);

/// Which rows are published, and what is known of them.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose rows.
    pub shard: Shard,
    /// What the preflight in this process found. None: another one preflighted the list and pinned it; then the letters of this shard are made once
    /// more as its rows are published, so that those are passed over that can't be made.
    pub preflight: Option<Arc<Preflight>>,
    /// No message may be longer than this ([`journal::Journal::max_message_bytes`]).
    pub max_message_bytes: Option<usize>,
}

impl Plan {
    /// The whole list, just preflighted.
    pub fn whole(preflight: Arc<Preflight>, max_message_bytes: Option<usize>) -> Self {
        Self { shard: Shard::WHOLE, preflight: Some(preflight), max_message_bytes }
    }
}

/// Why the list is not, or not wholly, published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list can't be read.
    #[error(transparent)]
    List(#[from] list::Error),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The preflight says no.
    #[error(transparent)]
    Refused(#[from] Refused),
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

/// Publishes from the checkpoint on. After each chunk, and now and then in between, `progress` gets the checkpoint and may stop it; the next
/// publisher goes on there.
///
/// Returns the last checkpoint: `done` unless it was stopped.
pub async fn publish<P: Publisher>(
    publisher: &mut P,
    input: &Arc<Input>,
    plan: &Plan,
    mut progress: impl FnMut(&Checkpoint) -> ControlFlow<()> + Send,
) -> Result<Checkpoint, Error> {
    let start = *publisher.checkpoint();
    if start.done {
        return Ok(start);
    }
    if let Some(preflight) = &plan.preflight {
        preflight.may_publish(input.recipients.on_invalid_row)?;
    }
    let (chunks, mut ready) = mpsc::channel(1);
    let reader = {
        let (input, plan, most) = (input.clone(), plan.clone(), publisher.chunk().max(1));
        tokio::task::spawn_blocking(move || Chunks { input: &input, plan: &plan, most, out: chunks }.read(start))
    };
    let mut last = start;
    loop {
        match tokio::time::timeout(TELL, ready.recv()).await {
            Ok(Some((entries, checkpoint))) => {
                publisher.publish(entries, checkpoint).await?;
                last = checkpoint;
            }
            Ok(None) => break,
            Err(_) => {}
        }
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
    plan: &'a Plan,
    /// Rows of a chunk, at most.
    most: usize,
    out: mpsc::Sender<(Vec<Entry>, Checkpoint)>,
}

impl Chunks<'_> {
    fn read(&self, start: Checkpoint) -> Result<(), Error> {
        let mut list = List::open(&self.input.list, &self.input.recipients)?;
        let room = self.plan.preflight.as_ref().map_or_else(Default::default, |preflight| {
            std::mem::take(&mut *preflight.room.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let mut judge = Judge::new(self.input, list.email_column(), room, self.plan.max_message_bytes);
        let mut checkpoint = start;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut rows = Rows::default();
        while let Some(row) = list.next_row()? {
            let number = row.number;
            let is_ours = self.plan.shard.owns(number);
            rows.count(is_ours);
            let is_to_write = is_ours && number >= start.next_row;
            let weight = if is_to_write { weight(&row.fields) } else { 0 };
            let verdict = judge.judge(row);
            if !is_to_write {
                if self.out.is_closed() {
                    return Ok(());
                }
                continue;
            }
            let entry = self.entry(number, verdict);
            checkpoint.tally.add(&entry);
            checkpoint.next_row = number + 1;
            entries.push(entry);
            bytes += weight;
            if entries.len() >= self.most || bytes >= self.most.saturating_mul(ORDINARY) {
                bytes = 0;
                if self.out.blocking_send((std::mem::take(&mut entries), checkpoint)).is_err() {
                    return Ok(());
                }
            }
        }
        self.account(&rows, &checkpoint)?;
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
        let may_fail = self.plan.preflight.as_ref().is_none_or(|preflight| preflight.unmakeable.contains(row));
        if may_fail && let Err(error) = self.input.letters.check(&message) {
            return Entry::Skipped(Skipped { row, reason: SkipReason::Invalid { why: error.to_string() } });
        }
        Entry::Message(message)
    }

    /// Rows in are rows accounted for, and as many as the preflight saw.
    fn account(&self, rows: &Rows, checkpoint: &Checkpoint) -> Result<(), Error> {
        let seen = self.plan.preflight.as_ref().map_or(rows.all, |preflight| preflight.tally.total());
        let (before, now) = if rows.all == seen { (rows.ours, checkpoint.tally.total()) } else { (seen, rows.all) };
        if now == before {
            return Ok(());
        }
        Err(Error::Changed { list: self.input.list.display_name.clone(), before, now })
    }
}

/// How many rows were read.
#[derive(Default)]
struct Rows {
    all: u64,
    ours: u64,
}

impl Rows {
    fn count(&mut self, is_ours: bool) {
        self.all += 1;
        self.ours += u64::from(is_ours);
    }
}
