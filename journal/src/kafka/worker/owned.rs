//! One partition in the hands of a worker: where its unfinished rows stand, and its account. Pure.
//!
//! Everything here follows from the events on `outcomes`: the same [`Owned::apply`] serves for what is read when a partition is taken over and for
//! what this worker commits.

use crate::kafka::wire::{Counted, Event, Happened, Mark};
use crate::{Lease, boottime};
use campaign::{Counts, Outcome, Reply};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// A partition in the hands of a worker.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) partition: i32,
    /// Tells this tenure from an earlier one of the same worker.
    pub(super) tenure: u64,
    /// Every record of `outbox` below this offset has an event, or needs none.
    pub(super) claimed_to: i64,
    /// Rows that are not finished, and those that a person may decide about.
    rows: HashMap<u64, Open>,
    /// Waiting until they are due: due, row.
    waiting: BTreeSet<(Timestamp, u64)>,
    /// Waiting for their turn in the order of the list.
    kept: BTreeSet<u64>,
    /// Those of `waiting` and `kept` that are handed out: they still wait, for everybody else, until an event says otherwise.
    handed_out: BTreeSet<(Option<Timestamp>, u64)>,
    /// Where the latest events of `rows` are.
    events: BTreeMap<i64, u64>,
    /// As [`Mark::n`], [`Mark::c`] and [`Mark::q`].
    totals: [u64; 6],
    claimed: [u64; 2],
    queued: u64,
    /// The offset behind the last event that was read or written.
    pub(super) outcomes_end: i64,
    /// Claims of former owners that may still be sent.
    pub(super) found: BTreeSet<u64>,
    /// When what was found is certainly over, by [`boottime`].
    pub(super) found_over: Duration,
    seq: u64,
    /// Decisions below this offset of `control` were carried out.
    pub(super) decided_to: i64,
    /// The right to send what was claimed here.
    pub(super) lease: Lease,
    /// When the last committed tick began.
    pub(super) renewed: Duration,
}

/// A row that is not finished.
#[derive(Debug, Clone)]
pub(super) struct Open {
    /// Where its message is.
    pub(super) outbox: i64,
    /// Where its latest event is, in `outcomes`: of two claims at the same attempt it tells one from the other.
    pub(super) event: i64,
    /// Attempts that were begun.
    pub(super) attempt: u32,
    pub(super) first: Option<Timestamp>,
    pub(super) stand: Stand,
}

/// Where a row stands.
#[derive(Debug, Clone)]
pub(super) enum Stand {
    /// It is being sent, or was by somebody who is gone.
    Claimed { at: Timestamp, due: Option<Timestamp>, counted: Counted },
    /// It waits until it is due; without a time, for its turn.
    Waiting { due: Option<Timestamp>, counted: Counted },
    /// It waits for a person.
    Held { outcome: Box<Outcome>, backend: Option<String> },
}

/// How to take an event back, should its transaction not come about.
#[derive(Debug)]
pub(super) struct Undo {
    row: u64,
    before: Option<Open>,
    totals: [u64; 6],
    claimed_to: i64,
    was_found: bool,
}

impl Owned {
    /// A partition of which nothing has been read yet.
    pub(super) fn new(partition: i32, tenure: u64, lease: Lease) -> Self {
        Self {
            partition,
            tenure,
            claimed_to: 0,
            rows: HashMap::new(),
            waiting: BTreeSet::new(),
            kept: BTreeSet::new(),
            handed_out: BTreeSet::new(),
            events: BTreeMap::new(),
            totals: [0; 6],
            claimed: [0; 2],
            queued: 0,
            outcomes_end: 0,
            found: BTreeSet::new(),
            found_over: Duration::ZERO,
            seq: 0,
            decided_to: 0,
            lease,
            renewed: boottime(),
        }
    }

    /// After everything was read: the account stands in the mark; without one it is what was counted along the way. What is claimed was so by others.
    pub(super) fn taken_over(&mut self, mark: Option<(i64, &Mark)>, found_over: Duration) {
        if let Some((offset, mark)) = mark {
            self.claimed_to = self.claimed_to.max(offset);
            self.totals = mark.n;
            self.seq = mark.seq;
            self.decided_to = mark.control;
        }
        let claimed = self.rows.iter().filter(|(_, open)| matches!(open.stand, Stand::Claimed { .. }));
        self.found = claimed.map(|(row, _)| *row).collect();
        self.found_over = found_over;
    }

    /// What stands here about a row.
    pub(super) fn get(&self, row: u64) -> Option<&Open> {
        self.rows.get(&row)
    }

    /// Takes in an event at an offset of `outcomes`.
    pub(super) fn apply(&mut self, offset: i64, event: &Event) -> Undo {
        let row = event.row;
        let undo = Undo {
            row,
            before: self.rows.get(&row).cloned(),
            totals: self.totals,
            claimed_to: self.claimed_to,
            was_found: self.found.contains(&row),
        };
        self.outcomes_end = self.outcomes_end.max(offset + 1);
        let stand = match &event.happened {
            Happened::Late { .. } => return undo,
            Happened::Claimed { counted, due } => Some(Stand::Claimed { at: event.at, due: *due, counted: *counted }),
            Happened::Queued { due, counted, .. } => Some(Stand::Waiting { due: *due, counted: *counted }),
            Happened::Settled { outcome, backend } => match outcome {
                Outcome::Deferred { due, .. } => Some(Stand::Waiting { due: Some(*due), counted: Counted::Deferred }),
                Outcome::Released => Some(Stand::Waiting { due: None, counted: Counted::Pending }),
                Outcome::Unknown { .. } | Outcome::Refused { .. } | Outcome::Dead { .. } => {
                    Some(Stand::Held { outcome: Box::new(outcome.clone()), backend: backend.clone() })
                }
                Outcome::Delivered { .. } | Outcome::Rejected { .. } => None,
            },
        };
        self.claimed_to = self.claimed_to.max(event.outbox + 1);
        let (from, to) = (self.remove(row), category_of(event, stand.as_ref()));
        if let Some(slot) = from {
            self.totals[slot] = self.totals[slot].saturating_sub(1);
        }
        if let Some(slot) = to {
            self.totals[slot] += 1;
        }
        if let Some(stand) = stand {
            let (attempt, first) = (event.attempt, event.first);
            self.insert(row, Open { outbox: event.outbox, event: offset, attempt, first, stand });
        }
        undo
    }

    /// Takes back what [`Owned::apply`] did; the latest first. A row that waits does so again, handed out or not; which one is returned.
    pub(super) fn undo(&mut self, undo: Undo) -> u64 {
        self.remove(undo.row);
        if let Some(open) = undo.before {
            self.insert(undo.row, open);
        }
        if undo.was_found {
            self.found.insert(undo.row);
        }
        self.totals = undo.totals;
        // Or the next commit would pass over a row that nobody has claimed.
        self.claimed_to = undo.claimed_to;
        undo.row
    }

    /// Takes a row out; into which total it counted.
    fn remove(&mut self, row: u64) -> Option<usize> {
        let open = self.rows.remove(&row)?;
        self.events.remove(&open.event);
        self.found.remove(&row);
        match open.stand {
            Stand::Waiting { due, .. } => {
                self.queued -= 1;
                self.handed_out.remove(&(due, row));
                match due {
                    Some(due) => drop(self.waiting.remove(&(due, row))),
                    None => drop(self.kept.remove(&row)),
                }
            }
            Stand::Claimed { counted, .. } => self.claimed[usize::from(counted == Counted::Deferred)] -= 1,
            Stand::Held { .. } => {}
        }
        open.stand.category()
    }

    fn insert(&mut self, row: u64, open: Open) {
        match open.stand {
            Stand::Waiting { due, .. } => {
                self.queued += 1;
                match due {
                    Some(due) => drop(self.waiting.insert((due, row))),
                    None => drop(self.kept.insert(row)),
                }
            }
            Stand::Claimed { counted, .. } => self.claimed[usize::from(counted == Counted::Deferred)] += 1,
            Stand::Held { .. } => {}
        }
        self.events.insert(open.event, row);
        self.rows.insert(row, open);
    }

    /// Hands a waiting row out: it is not waiting any more until [`Owned::put_back`] or an event.
    pub(super) fn hand_out(&mut self, row: u64) {
        if let Some(Open { stand: Stand::Waiting { due, .. }, .. }) = self.rows.get(&row) {
            self.handed_out.insert((*due, row));
            match due {
                Some(due) => drop(self.waiting.remove(&(*due, row))),
                None => drop(self.kept.remove(&row)),
            }
        }
    }

    /// A row that was handed out waits again, as before.
    pub(super) fn put_back(&mut self, row: u64) {
        if let Some(Open { stand: Stand::Waiting { due, .. }, .. }) = self.rows.get(&row) {
            self.handed_out.remove(&(*due, row));
            match due {
                Some(due) => drop(self.waiting.insert((*due, row))),
                None => drop(self.kept.insert(row)),
            }
        }
    }

    /// The waiting row that is due first, if one is at `now`.
    pub(super) fn first_due(&self, now: Timestamp) -> Option<(Timestamp, u64)> {
        self.waiting.first().copied().filter(|(due, _)| *due <= now)
    }

    /// When the next waiting row is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// The first row that waits for its turn.
    pub(super) fn first_kept(&self) -> Option<u64> {
        self.kept.first().copied()
    }

    /// How many rows wait, with a time or without, those that are handed out included.
    pub(super) fn queued(&self) -> u64 {
        self.queued
    }

    /// How many claims there are that are not of former owners.
    pub(super) fn claims(&self) -> u64 {
        self.claimed.iter().sum::<u64>().saturating_sub(self.found.len() as u64)
    }

    /// The rows that are claimed, but for those of former owners.
    pub(super) fn claimed_rows(&self) -> Vec<u64> {
        let claimed = self
            .rows
            .iter()
            .filter(|(row, open)| matches!(open.stand, Stand::Claimed { .. }) && !self.found.contains(row));
        claimed.map(|(row, _)| *row).collect()
    }

    /// The rows that a person may decide about: row, and how it stands.
    pub(super) fn held(&self, row: u64) -> Option<(&Open, &Outcome, Option<&String>)> {
        match self.rows.get(&row) {
            Some(open @ Open { stand: Stand::Held { outcome, backend }, .. }) => {
                Some((open, outcome, backend.as_ref()))
            }
            _ => None,
        }
    }

    /// When the first waiting row is due, handed out or not, in milliseconds since 1970; 0 for one that waits for its turn.
    fn due(&self) -> Option<i64> {
        let millis = |due: Timestamp| due.as_millisecond();
        let handed_out = self.handed_out.first().map(|(due, _)| due.map_or(0, millis));
        let kept = self.kept.first().map(|_| 0);
        [handed_out, kept, self.next_due().map(millis)].into_iter().flatten().min()
    }

    /// The mark to commit with the offset `claimed_to`.
    pub(super) fn mark(&self, at: Timestamp) -> Mark {
        Mark {
            v: Mark::VERSION,
            seq: self.seq + 1,
            at: at.as_millisecond(),
            tail: self.events.first_key_value().map_or(self.outcomes_end, |(offset, _)| *offset),
            control: self.decided_to,
            n: self.totals,
            c: self.claimed,
            q: self.queued,
            due: self.due(),
        }
    }

    /// The mark was committed.
    pub(super) fn committed(&mut self, mark: &Mark) {
        self.seq = mark.seq;
    }

    /// Adds this partition's totals to an account.
    pub(super) fn count(&self, counts: &mut Counts) {
        add(&self.totals, counts);
    }
}

/// Adds totals by outcome to an account.
pub(super) fn add(totals: &[u64; 6], counts: &mut Counts) {
    let slots = [
        &mut counts.delivered,
        &mut counts.rejected,
        &mut counts.refused,
        &mut counts.deferred,
        &mut counts.dead,
        &mut counts.unknown,
    ];
    for (slot, total) in slots.into_iter().zip(totals) {
        *slot += total;
    }
}

impl Stand {
    /// Into which total it counts; none: pending.
    fn category(&self) -> Option<usize> {
        match self {
            Self::Claimed { counted, .. } | Self::Waiting { counted, .. } => {
                (*counted == Counted::Deferred).then_some(3)
            }
            Self::Held { outcome, .. } => category(outcome),
        }
    }

    /// What it counts as while unsettled.
    pub(super) fn counted(&self) -> Counted {
        match self {
            Self::Claimed { counted, .. } | Self::Waiting { counted, .. } => *counted,
            Self::Held { .. } => Counted::Pending,
        }
    }
}

/// Into which total an event puts its row; none: pending.
fn category_of(event: &Event, stand: Option<&Stand>) -> Option<usize> {
    match (stand, &event.happened) {
        (Some(stand), _) => stand.category(),
        (None, Happened::Settled { outcome, .. }) => category(outcome),
        (None, _) => None,
    }
}

fn category(outcome: &Outcome) -> Option<usize> {
    match outcome {
        Outcome::Delivered { .. } => Some(0),
        Outcome::Rejected { .. } => Some(1),
        Outcome::Refused { .. } => Some(2),
        Outcome::Deferred { .. } => Some(3),
        Outcome::Dead { .. } => Some(4),
        Outcome::Unknown { .. } => Some(5),
        Outcome::Released => None,
    }
}

/// What becomes of a claim whose owner is gone.
pub(super) fn sender_gone() -> Outcome {
    let text = crate::embedded::SENDER_GONE.to_owned();
    Outcome::Unknown { reply: Reply { code: 0, enhanced: None, text } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::wire::Why;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    fn owned() -> Owned {
        Owned::new(0, 1, Lease::forever())
    }

    fn event(row: u64, attempt: u32, happened: Happened) -> Event {
        Event { row, attempt, at: at(0), outbox: i64::try_from(row).expect("small") - 2, first: None, happened }
    }

    fn claimed() -> Happened {
        Happened::Claimed { counted: Counted::Pending, due: None }
    }

    fn settled(outcome: Outcome) -> Happened {
        Happened::Settled { backend: None, outcome }
    }

    fn unknown() -> Outcome {
        Outcome::Unknown { reply: Reply::default() }
    }

    fn delivered() -> Outcome {
        Outcome::Delivered { reply: Reply::default() }
    }

    /// What a mark would say: totals, claimed, queued, tail.
    fn account(owned: &Owned) -> ([u64; 6], [u64; 2], u64, i64) {
        let mark = owned.mark(at(0));
        (mark.n, mark.c, mark.q, mark.tail)
    }

    #[test]
    fn what_is_taken_back_does_not_move_the_offset() {
        let mut owned = owned();
        owned.apply(10, &event(2, 1, claimed()));
        let before = owned.claimed_to;
        let undo = owned.apply(12, &event(9, 1, claimed()));
        assert!(owned.claimed_to > before);
        owned.undo(undo);
        assert_eq!(owned.claimed_to, before, "row 9 is still to be claimed by somebody");
    }

    #[test]
    fn the_account_follows_a_row_through_its_life() {
        let mut owned = owned();
        owned.apply(10, &event(2, 1, claimed()));
        assert_eq!(account(&owned), ([0; 6], [1, 0], 0, 10));
        let deferred = Outcome::Deferred { due: at(60), reply: Reply::default() };
        owned.apply(11, &event(2, 1, settled(deferred)));
        assert_eq!(account(&owned), ([0, 0, 0, 1, 0, 0], [0, 0], 1, 11));
        owned.apply(12, &event(2, 2, Happened::Claimed { counted: Counted::Deferred, due: Some(at(60)) }));
        assert_eq!(account(&owned), ([0, 0, 0, 1, 0, 0], [0, 1], 0, 12));
        owned.apply(13, &event(2, 2, settled(unknown())));
        assert_eq!(account(&owned), ([0, 0, 0, 0, 0, 1], [0, 0], 0, 13));
        let queued = Happened::Queued { due: Some(at(0)), counted: Counted::Pending, why: Why::Decided };
        owned.apply(14, &event(2, 2, queued));
        assert_eq!(account(&owned), ([0; 6], [0, 0], 1, 14));
        owned.apply(15, &event(2, 3, claimed()));
        owned.apply(16, &event(2, 3, settled(delivered())));
        assert_eq!(account(&owned), ([1, 0, 0, 0, 0, 0], [0, 0], 0, 17), "nothing is open: the tail is the end");
        assert_eq!(owned.claimed_to, 1);
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let mut owned = owned();
        owned.apply(10, &event(2, 1, claimed()));
        owned.apply(11, &event(3, 1, claimed()));
        owned.apply(12, &event(3, 1, settled(unknown())));
        owned.taken_over(None, Duration::ZERO);
        let before = (account(&owned), owned.found.clone());
        let steps = [
            event(2, 1, settled(delivered())),
            event(3, 1, settled(Outcome::Dead { reply: Reply::default() })),
            event(4, 1, claimed()),
            event(4, 1, settled(delivered())),
        ];
        let mut undo: Vec<Undo> = (20..).zip(&steps).map(|(offset, step)| owned.apply(offset, step)).collect();
        assert_ne!(account(&owned), before.0);
        while let Some(last) = undo.pop() {
            owned.undo(last);
        }
        let after = account(&owned);
        assert_eq!((after.0, after.1, after.2, after.3), (before.0.0, before.0.1, before.0.2, before.0.3));
        assert_eq!(owned.found, before.1);
    }

    #[test]
    fn late_evidence_changes_nothing() {
        let mut owned = owned();
        owned.apply(10, &event(2, 1, claimed()));
        owned.apply(11, &event(2, 1, settled(unknown())));
        let before = account(&owned);
        owned.apply(12, &event(2, 1, Happened::Late { backend: None, outcome: delivered() }));
        assert_eq!(account(&owned), before);
    }

    #[test]
    fn claims_that_are_found_are_not_those_of_this_worker() {
        let mut owned = owned();
        owned.apply(10, &event(2, 1, claimed()));
        owned.taken_over(None, Duration::ZERO);
        assert_eq!((owned.found.len(), owned.claims()), (1, 0));
        owned.apply(11, &event(3, 1, claimed()));
        assert_eq!(owned.claimed_rows(), [3]);
        owned.apply(12, &event(2, 1, settled(unknown())));
        assert_eq!((owned.found.len(), owned.claims()), (0, 1));
    }

    #[test]
    fn without_a_mark_the_position_is_behind_everything_that_was_claimed() {
        let mut owned = owned();
        for row in 2..7 {
            owned.apply(i64::try_from(row).expect("small"), &event(row, 1, claimed()));
        }
        owned.apply(9, &event(6, 1, settled(delivered())));
        owned.taken_over(None, Duration::ZERO);
        assert_eq!(owned.claimed_to, 5);
        assert_eq!(account(&owned).0[0], 1);
    }

    #[test]
    fn what_is_handed_out_does_not_wait_until_it_is_put_back() {
        let mut owned = owned();
        for (offset, row, due) in [(1, 2, Some(at(50))), (2, 3, Some(at(20))), (3, 4, None)] {
            let why = Why::Paced;
            owned.apply(offset, &event(row, 0, Happened::Queued { due, counted: Counted::Pending, why }));
        }
        assert_eq!((owned.next_due(), owned.first_kept()), (Some(at(20)), Some(4)));
        assert_eq!(owned.first_due(at(19)), None);
        owned.hand_out(3);
        owned.hand_out(4);
        assert_eq!((owned.next_due(), owned.first_kept(), owned.queued()), (Some(at(50)), None, 3));
        owned.put_back(3);
        assert_eq!(owned.first_due(at(60)), Some((at(20), 3)));
    }
}
