//! Publishing: chunks of entries with the checkpoint behind them, each a transaction over `outbox` and `control`.
//!
//! A shard has one transactional id, so that a publisher that was replaced writes nothing more. The transactions run on a thread of their own,
//! and end there in order also if the caller goes away.

use super::Shared;
use super::clerk::shard_key;
use super::clients::OVERHEAD;
use super::reading::Topic;
use super::transactor::{Failed, Outgoing, Transactor};
use super::wire::{Listed, Published, encode, encode_listed, schema};
use crate::{Checkpoint, Entry, Error, Publisher, Tally, turn};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Rows of a transaction: its cost is shared by more of them than it would be with the smaller chunks of one machine.
const CHUNK: usize = 5000;
/// How often it is looked whether there are more partitions.
const LOOK: Duration = Duration::from_secs(3);

/// The publisher of a shard.
pub struct KafkaPublisher {
    jobs: Sender<Job>,
    checkpoint: Checkpoint,
}

struct Job {
    entries: Vec<Entry>,
    checkpoint: Checkpoint,
    done: oneshot::Sender<Result<(), Error>>,
}

impl KafkaPublisher {
    /// Becomes the publisher of a shard.
    pub(super) async fn begin(shared: Arc<Shared>, shard: u32) -> Result<Self, Error> {
        let (ready, begun) = oneshot::channel();
        let (jobs, inbox) = channel();
        let work = move || match Press::begin(shared, shard) {
            Ok(press) => {
                // If nobody waits any more the inbox is closed too.
                let _ = ready.send(Ok(press.published.checkpoint));
                press.run(&inbox);
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        let thread = std::thread::Builder::new().name(format!("publisher-{shard}")).spawn(work);
        thread.map_err(|error| Error::Unsuitable { why: format!("no thread can be started: {error}") })?;
        let checkpoint = begun.await.map_err(|_| thread_ended())??;
        Ok(Self { jobs, checkpoint })
    }
}

impl Publisher for KafkaPublisher {
    fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    async fn publish(&mut self, entries: Vec<Entry>, checkpoint: Checkpoint) -> Result<(), Error> {
        let (done, result) = oneshot::channel();
        self.jobs.send(Job { entries, checkpoint, done }).map_err(|_| thread_ended())?;
        result.await.map_err(|_| thread_ended())??;
        self.checkpoint = checkpoint;
        Ok(())
    }

    fn chunk(&self) -> usize {
        CHUNK
    }
}

fn thread_ended() -> Error {
    Error::OutOfTurn("the publisher's thread has ended".to_owned())
}

/// What writes the transactions of a shard.
struct Press {
    shared: Arc<Shared>,
    shard: u32,
    transactor: Transactor,
    published: Published,
    /// Partitions of `outbox`, and when that was looked up.
    partitions: (u64, Instant),
    /// Set when nothing can be written any more.
    over: Option<Over>,
}

#[derive(Clone, Copy)]
enum Over {
    Fenced,
    Broken,
}

impl Press {
    fn begin(shared: Arc<Shared>, shard: u32) -> Result<Self, Error> {
        // Before anybody is fenced.
        if shared.control(|control| control.pin.is_none())? {
            return Err(Error::NotPinned);
        }
        let transactor = Transactor::open(&shared, &shared.names.publisher(shard))?;
        // From now on nobody else moves the shard on.
        let before = shared.control(|control| control.shards.get(&shard).cloned())?;
        let is_new = before.is_none();
        let published = before.unwrap_or_else(|| Published {
            checkpoint: Checkpoint::default(),
            ends: std::collections::BTreeMap::new(),
        });
        let partitions = (look_up(&shared, &transactor)?, Instant::now());
        let mut press = Self { shared, shard, transactor, published, partitions, over: None };
        if is_new {
            // Written down at once: a list of which one shard was begun and another is done is not published.
            press.write(&[], press.published.checkpoint)?;
        }
        Ok(press)
    }

    fn run(mut self, inbox: &Receiver<Job>) {
        while let Ok(job) = inbox.recv() {
            let result = self.publish(job.entries, job.checkpoint);
            // Whoever asked may be gone.
            let _ = job.done.send(result);
        }
    }

    fn publish(&mut self, entries: Vec<Entry>, checkpoint: Checkpoint) -> Result<(), Error> {
        match self.over {
            Some(Over::Fenced) => return Err(Error::Fenced),
            Some(Over::Broken) => return Err(Error::OutOfTurn("this publisher has failed; begin anew".to_owned())),
            None => {}
        }
        let mut tally = Tally::default();
        for entry in &entries {
            tally.add(entry);
        }
        let in_turn = turn::check(&self.published.checkpoint, entries.iter().map(Entry::row), &tally, &checkpoint);
        if let Err(out_of_turn) = in_turn {
            // One that was replaced hears that first.
            return Err(self.is_fenced().unwrap_or(out_of_turn));
        }
        if self.partitions.1.elapsed() > LOOK {
            self.partitions = (look_up(&self.shared, &self.transactor)?, Instant::now());
        }
        let shared = self.shared.clone();
        let limit = shared.max_record_bytes.saturating_sub(OVERHEAD);
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            let record = self.record(&shared, entry);
            if record.value.len() > limit {
                let row = record.row.unwrap_or(0);
                return Err(Error::TooLarge { row, bytes: record.value.len(), limit });
            }
            records.push(record);
        }
        self.write(&records, checkpoint)
    }

    fn record<'s>(&self, shared: &'s Shared, entry: Entry) -> Outgoing<'s> {
        let row = entry.row();
        let (schema, value) = encode_listed(&match entry {
            Entry::Message(message) => Listed::Message(message),
            Entry::Skipped(skipped) => Listed::Skipped(skipped),
        });
        let partition = i32::try_from(row % self.partitions.0).unwrap_or(0);
        Outgoing {
            topic: &shared.names.outbox,
            partition,
            key: row.to_string(),
            row: Some(row),
            attempt: 0,
            schema,
            value,
        }
    }

    /// One transaction: the records, and how far the shard is with them.
    fn write(&mut self, records: &[Outgoing<'_>], checkpoint: Checkpoint) -> Result<(), Error> {
        let mut next = Published { checkpoint, ends: self.published.ends.clone() };
        let written = {
            let (shared, shard) = (&self.shared, self.shard);
            let further = |offsets: &[i64]| {
                for (record, offset) in records.iter().zip(offsets) {
                    let end = next.ends.entry(record.partition).or_insert(0);
                    *end = (*end).max(offset + 1);
                }
                vec![shared.for_control(shard_key(shard), schema::SHARD, encode(&next))]
            };
            self.transactor.write_with(records, further, |_| None)
        };
        match written {
            Ok(_) => {
                self.published = next;
                Ok(())
            }
            Err(failure) => {
                match &failure {
                    Failed::Fenced(_) | Failed::Group => self.over = Some(Over::Fenced),
                    // It may have been written: only who begins anew knows.
                    Failed::Dead(_) => self.over = Some(Over::Broken),
                    Failed::Aborted(_) => {}
                }
                // A missing topic shows in many ways, and stays missing.
                match failure.into_error() {
                    Error::Fenced => Err(Error::Fenced),
                    error => Err(self.shared.missing_topic().unwrap_or(error)),
                }
            }
        }
    }

    /// Whether another publisher has the shard, asked of the broker by writing once more what stands there.
    fn is_fenced(&mut self) -> Option<Error> {
        match self.write(&[], self.published.checkpoint) {
            Err(Error::Fenced) => Some(Error::Fenced),
            _ => None,
        }
    }
}

/// How many partitions there are; the writer learns of new ones.
fn look_up(shared: &Shared, transactor: &Transactor) -> Result<u64, Error> {
    let count = match transactor.partitions_of(&shared.names.outbox)? {
        Some(count) => count,
        None => shared.count_of(Topic::Outbox)?,
    };
    Ok(u64::try_from(count).unwrap_or(1).max(1))
}
