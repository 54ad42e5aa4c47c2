//! Reading the account: from the marks of the owners where that is enough, from all records where it isn't. Nothing here joins the group or commits.

use super::Shared;
use super::clients::{ANSWER, Raw, place, watermarks};
use super::control::Control;
use super::fold::{Account, Fold, Sum};
use super::reading::{Ends, Follower, Topic};
use super::survey::Survey;
use super::wire::{Listed, Mark, Unreadable, decode_event, decode_listed, schema};
use crate::Error;
use campaign::Counts;
use jiff::Timestamp;
use rdkafka::consumer::Consumer;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long a commit of this process may take to be seen.
const SEEN: Duration = Duration::from_secs(5);
/// Records that can't be read are told of once in this time.
const QUIET: Duration = Duration::from_secs(30);

/// All records, and the reader that keeps them up to date.
#[derive(Default)]
pub(super) struct Book {
    follower: Follower,
    fold: Fold,
    unreadable: Complaints,
    /// What all records came to when they were added up last, while nothing was under way.
    settled: Option<(Ends, Survey)>,
}

/// The marks of the owners, by partition.
struct Marks {
    of: BTreeMap<i32, Mark>,
    partitions: i32,
    /// Whether they hold all that this process has committed.
    are_fresh: bool,
}

impl Shared {
    /// Looks at the account of all rows as it stands now, and at `control`.
    pub(super) fn account<T>(&self, look: impl FnOnce(&Account<'_>, &Control) -> T) -> Result<T, Error> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        self.account_in(&mut book, look)
    }

    fn account_in<T>(&self, book: &mut Book, look: impl FnOnce(&Account<'_>, &Control) -> T) -> Result<T, Error> {
        // In this order: whatever a later one refers to is in the earlier ones, and a decision that a mark counts as done is seen done.
        let marks = self.marks()?;
        // A living owner renews its leases while this reads on.
        let now = Timestamp::now().as_millisecond();
        let mut ends = Ends::new();
        self.ends_of(Topic::Outcomes, &mut ends)?;
        self.ends_of(Topic::Outbox, &mut ends)?;
        let Book { follower, fold, unreadable, .. } = book;
        follower.read_to(self, &ends, |topic, message| {
            if let Err(why) = take_in(fold, topic, message, &self.uid) {
                unreadable.note(message, &why);
            }
        })?;
        self.control(|control| look(&fold.at(now, self.timing.lease, &marks.of, control), control))
    }

    /// Where the campaign stands: by the marks of the owners where they say all, else by all records.
    pub(super) fn survey(&self) -> Result<Survey, Error> {
        let marks = self.marks()?;
        if marks.are_fresh
            && self.nothing_happened_without_a_mark(&marks)?
            && let Some(survey) = self.control(|control| {
                self.sum_up(&marks, control).map(|sum| Survey::of(control, &sum, marks.partitions))
            })?
        {
            return Ok(survey);
        }
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = self.all_ends()?;
        if let Some((_, survey)) = book.settled.take_if(|(settled, _)| *settled == ends) {
            // Where nothing happens any more, all the rows need not be held.
            *book = Book { settled: Some((ends, survey.clone())), ..Book::default() };
            return Ok(survey);
        }
        let survey =
            self.account_in(&mut book, |account, control| Survey::of(control, &account.sum(), marks.partitions))?;
        // What is under way may come to be unknown without anything being written.
        book.settled = (survey.in_flight == 0).then(|| (ends, survey.clone()));
        Ok(survey)
    }

    fn all_ends(&self) -> Result<Ends, Error> {
        let mut ends = Ends::new();
        for topic in [Topic::Outcomes, Topic::Outbox, Topic::Control] {
            self.ends_of(topic, &mut ends)?;
        }
        Ok(ends)
    }

    /// Lets the readers go that had nothing to read for so long.
    pub(super) fn rest(&self, unused: Duration) {
        self.rest_desk(unused);
        self.book.lock().unwrap_or_else(PoisonError::into_inner).follower.rest(unused);
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).rest(unused);
    }

    /// What the marks have committed. Committed offsets of transactions under way are not waited for.
    fn marks(&self) -> Result<Marks, Error> {
        let partitions = self.count_of(Topic::Outbox)?;
        let begun = Instant::now();
        loop {
            let of = self.fetch_marks(partitions)?;
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let are_fresh = seen.iter().all(|(partition, seq)| of.get(partition).is_some_and(|mark| mark.seq >= *seq));
            drop(seen);
            if are_fresh || begun.elapsed() > SEEN {
                return Ok(Marks { of, partitions, are_fresh });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn fetch_marks(&self, partitions: i32) -> Result<BTreeMap<i32, Mark>, Error> {
        let begun = Instant::now();
        loop {
            let mut list = TopicPartitionList::new();
            for partition in 0..partitions {
                list.add_partition(&self.names.outbox, partition);
            }
            let found = self.prober()?.committed_offsets(list, ANSWER).and_then(|found| {
                let mut marks = BTreeMap::new();
                for element in found.elements() {
                    element.error()?;
                    if let Some(mark) = Mark::decode(element.metadata()) {
                        marks.insert(element.partition(), mark);
                    }
                }
                Ok(marks)
            });
            match found.map_err(|error| self.verdict("reading the group's offsets", error)) {
                Ok(marks) => return Ok(marks),
                // The group's coordinator is moving or starting.
                Err(error) if error.is_transient() && begun.elapsed() < ANSWER => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether nothing happened yet in partitions that have no mark: then it tells nothing that it is missing.
    fn nothing_happened_without_a_mark(&self, marks: &Marks) -> Result<bool, Error> {
        let during = "looking where a topic ends";
        for partition in (0..marks.partitions).filter(|partition| !marks.of.contains_key(partition)) {
            let ends = watermarks(&*self.prober()?, &self.names.outcomes, partition);
            if ends.map_err(|error| self.verdict(during, error))?.1 > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The sum of the marks; none where they don't say all.
    fn sum_up(&self, marks: &Marks, control: &Control) -> Option<Sum> {
        if marks.of.iter().any(|(partition, mark)| control.decides(*partition, mark.control)) {
            return None;
        }
        let lease = i64::try_from(self.timing.lease.as_millis()).unwrap_or(i64::MAX);
        let now = Timestamp::now().as_millisecond();
        let tally = control.tally();
        let mut counts = Counts {
            total: tally.total(),
            published: tally.published,
            invalid: tally.invalid,
            duplicate: tally.duplicate,
            suppressed: tally.suppressed,
            ..Counts::default()
        };
        let (mut in_flight, mut left_behind, mut waiting, mut next_due) = (0, 0, 0, None);
        for mark in marks.of.values() {
            let [delivered, rejected, refused, deferred, dead, unknown] = mark.n;
            let [of_pending, of_deferred] = mark.c;
            let is_over = now > mark.at.saturating_add(lease);
            let (gone, gone_deferred) = if is_over { (of_pending + of_deferred, of_deferred) } else { (0, 0) };
            counts.delivered += delivered;
            counts.rejected += rejected;
            counts.refused += refused;
            counts.deferred += deferred.checked_sub(gone_deferred)?;
            counts.dead += dead;
            counts.unknown += unknown + gone;
            in_flight += of_pending + of_deferred - gone;
            left_behind += gone;
            waiting += mark.q;
            if mark.q > 0 {
                // An earlier version doesn't say: perhaps now.
                let due = mark.due.unwrap_or(0);
                next_due = Some(next_due.map_or(due, |next: i64| next.min(due)));
            }
        }
        counts.pending = counts.published.checked_sub(counts.with_outcome())?;
        Some(Sum { counts, in_flight, left_behind, waiting, next_due })
    }
}

/// Takes in a record of `outbox` or `outcomes`.
fn take_in(fold: &mut Fold, topic: Topic, message: &BorrowedMessage<'_>, uid: &str) -> Result<(), Unreadable> {
    let raw = Raw::of(message, uid)?;
    if topic == Topic::Outcomes {
        let event = decode_event(raw.schema, raw.value)?;
        fold.happened(message.partition(), message.timestamp().to_millis().unwrap_or(0), &event);
        return Ok(());
    }
    let row = raw.row.ok_or(Unreadable::Foreign)?;
    if raw.schema == schema::MESSAGE {
        // Its value is the worker's business.
        fold.listed(message.partition(), row, None);
        return Ok(());
    }
    let read = decode_listed(raw.schema, raw.value);
    let reason = match &read {
        Ok(Listed::Skipped(skipped)) => Some(&skipped.reason),
        _ => None,
    };
    fold.listed(message.partition(), row, reason);
    read.map(drop)
}

/// Records that can't be read: counted, and told of once in a while.
#[derive(Default)]
pub(super) struct Complaints {
    count: u64,
    last: Option<Instant>,
}

impl Complaints {
    pub(super) fn note(&mut self, message: &BorrowedMessage<'_>, why: &Unreadable) {
        self.count += 1;
        if self.last.is_none_or(|last| last.elapsed() > QUIET) {
            self.last = Some(Instant::now());
            tracing::warn!(place = place(message), %why, count = self.count, "a record can't be read");
        }
    }
}
