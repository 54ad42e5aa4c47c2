//! Which rows are handed out: due ones first, then new ones in the order of the list.

use super::actor::{Actor, Broken};
use super::fetch::New;
use super::form::Hand;
use crate::kafka::clients::ANSWER;
use crate::kafka::errors::failed;
use crate::kafka::wire::Counted;
use crate::{Error, Queued};
use campaign::Message;
use jiff::Timestamp;
use rdkafka::consumer::Consumer;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// With so many rows waiting, no new ones are taken.
const MOST_WAITING: u64 = 500_000;
/// How long a look at `control` may take.
const PATIENCE: Duration = Duration::from_millis(300);

/// A waiting row that is about to be handed out.
struct Waiting {
    partition: i32,
    row: u64,
    outbox: i64,
}

impl Actor {
    /// Hands out at most `max` rows that may be claimed at `now`.
    pub(super) fn take(&mut self, max: usize, now: Timestamp) -> Result<Vec<Queued>, Error> {
        self.turn(Duration::ZERO).inspect_err(|error| self.note_now(error))?;
        self.catch_up()?;
        self.housekeep();
        self.fetcher.fill(max, &self.follower.control, !self.has_claims()).inspect_err(|error| self.note_now(error))?;
        if max == 0 || self.follower.paused().is_some() || self.follower.control.suspended.is_some() {
            return Ok(Vec::new());
        }
        let due = self.choose_due(max, now);
        let mut taken = self.hand_out(due)?;
        let queued: u64 = self.owned.values().map(super::owned::Owned::queued).sum();
        if queued < MOST_WAITING {
            self.take_new(max, &mut taken)?;
        }
        Ok(taken)
    }

    /// What stands in `control` by now counts for what is handed out.
    fn catch_up(&mut self) -> Result<(), Error> {
        match &self.life {
            Some(life) => {
                // What was committed just now may still be hidden: its marks are written after the answer.
                let begun = Instant::now();
                let written = self.shared.prober()?.fetch_watermarks(&self.shared.names.control, 0, ANSWER);
                let (_, end) = written.map_err(|error| failed("reading control", error))?;
                let mut stable = life.member.end_of_control(&self.shared)?;
                while stable < end && begun.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(2));
                    stable = life.member.end_of_control(&self.shared)?;
                }
                self.follower.catch_up_to(stable, PATIENCE)
            }
            None => self.follower.catch_up(PATIENCE),
        }
    }

    fn note_now(&mut self, error: &Error) {
        if matches!(error, Error::TopicGone { .. }) {
            self.note(error);
        }
    }

    fn choose_due(&mut self, max: usize, now: Timestamp) -> Vec<Waiting> {
        let mut chosen = Vec::new();
        while chosen.len() < max {
            let first = self
                .owned
                .iter()
                .filter(|(partition, _)| !self.is_leaving(**partition))
                .filter_map(|(partition, owned)| owned.first_due(now).map(|(due, row)| (due, row, *partition)))
                .min();
            let Some((_, row, partition)) = first else { break };
            chosen.extend(self.choose(partition, row));
        }
        chosen
    }

    fn choose(&mut self, partition: i32, row: u64) -> Option<Waiting> {
        let owned = self.owned.get_mut(&partition)?;
        owned.hand_out(row);
        owned.get(row).map(|open| Waiting { partition, row, outbox: open.outbox })
    }

    /// Reads the messages of waiting rows again. Those that lie too far off wait for the next time.
    fn hand_out(&mut self, waiting: Vec<Waiting>) -> Result<Vec<Queued>, Error> {
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let mut wanted: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for row in &waiting {
            wanted.entry(row.partition).or_default().push(row.outbox);
        }
        for offsets in wanted.values_mut() {
            offsets.sort_unstable();
        }
        let mut messages = match self.fetcher.again(&wanted) {
            Ok(messages) => messages,
            Err(error) => {
                self.put_back(waiting.iter());
                return Err(error);
            }
        };
        let mut taken = Vec::new();
        for Waiting { partition, row, outbox } in waiting {
            match messages.remove(&(partition, outbox)) {
                Some(New::Message(message)) => taken.extend(self.hold_waiting(partition, *message)),
                Some(New::Broken { why, .. }) => self.broken.push(Broken { partition, row, outbox, why }),
                None => self.put_back(std::iter::once(&Waiting { partition, row, outbox })),
            }
        }
        Ok(taken)
    }

    fn put_back<'a>(&mut self, waiting: impl Iterator<Item = &'a Waiting>) {
        for row in waiting {
            if let Some(owned) = self.owned.get_mut(&row.partition) {
                owned.put_back(row.row);
            }
        }
    }

    fn hold_waiting(&mut self, partition: i32, message: Message) -> Option<Queued> {
        let owned = self.owned.get(&partition)?;
        let open = owned.get(message.row)?;
        let due = match open.stand {
            super::owned::Stand::Waiting { due, .. } => due,
            _ => None,
        };
        let hand = Hand {
            partition,
            tenure: owned.tenure,
            outbox: open.outbox,
            attempt: open.attempt + 1,
            first: open.first,
            due,
            counted: open.stand.counted(),
        };
        let queued = Queued { attempt: hand.attempt, first_attempt: hand.first, message };
        self.hand.insert(queued.message.row, hand);
        Some(queued)
    }

    /// New rows, and among them those that an earlier owner held in its hands, by row.
    fn take_new(&mut self, max: usize, taken: &mut Vec<Queued>) -> Result<(), Error> {
        let mut kept: Vec<Waiting> = Vec::new();
        let mut found: Vec<Queued> = Vec::new();
        while taken.len() + kept.len() + found.len() < max {
            let first_kept = self
                .owned
                .iter()
                .filter(|(partition, _)| !self.is_leaving(**partition))
                .filter_map(|(partition, owned)| owned.first_kept().map(|row| (row, *partition)))
                .min();
            let first_new = self.fetcher.first();
            match (first_kept, first_new) {
                (Some((row, partition)), new) if new.is_none_or(|(new, _)| row < new) => {
                    kept.extend(self.choose(partition, row));
                }
                (_, Some((_, partition))) => found.extend(self.hold_new(partition)),
                (_, None) => break,
            }
        }
        found.extend(self.hand_out(kept)?);
        found.sort_by_key(|queued| queued.message.row);
        taken.extend(found);
        Ok(())
    }

    fn hold_new(&mut self, partition: i32) -> Option<Queued> {
        let (outbox, new) = self.fetcher.take(partition)?;
        let tenure = self.owned.get(&partition)?.tenure;
        match new {
            New::Broken { row, why } => {
                self.broken.push(Broken { partition, row, outbox, why });
                None
            }
            New::Message(message) => {
                let hand =
                    Hand { partition, tenure, outbox, attempt: 1, first: None, due: None, counted: Counted::Pending };
                self.new_in_hand.insert((partition, outbox), message.row);
                self.hand.insert(message.row, hand);
                Some(Queued { message: *message, attempt: 1, first_attempt: None })
            }
        }
    }
}
