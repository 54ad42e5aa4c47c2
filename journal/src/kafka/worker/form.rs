//! What a tick writes, before it is written. Pure.

use super::owned::{Open, Owned, Stand, sender_gone};
use crate::kafka::control::Control;
use crate::kafka::wire::{Counted, Event, Happened, Verdict, Why};
use crate::{OnUnknown, Paused, Queued, Sighting};
use campaign::{Outcome, Reply, Settlement};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What a transaction is to write.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// Events by partition.
    pub(super) events: Vec<(i32, Event)>,
    /// A pause, for `control`.
    pub(super) pause: Option<Paused>,
    /// An obstacle, for `control`.
    pub(super) obstacle: Option<Sighting>,
    /// Partitions whose offset is to be committed though they have no event.
    pub(super) touch: BTreeSet<i32>,
    /// By partition: decisions below this offset are carried out with it.
    pub(super) decided: BTreeMap<i32, i64>,
    /// By partition: everything below this offset of `outbox` is taken care of.
    pub(super) through: BTreeMap<i32, i64>,
}

impl Form {
    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.pause.is_none() && self.obstacle.is_none() && self.touch.is_empty()
    }

    /// The partitions whose offsets it commits: `Late` events need none.
    pub(super) fn partitions(&self) -> BTreeSet<i32> {
        let events = self.events.iter().filter(|(_, event)| !matches!(event.happened, Happened::Late { .. }));
        events.map(|(partition, _)| *partition).chain(self.touch.iter().copied()).collect()
    }
}

/// What a worker holds of a row that it handed out.
#[derive(Debug, Clone)]
pub(super) struct Hand {
    pub(super) partition: i32,
    /// The tenure in which it was handed out.
    pub(super) tenure: u64,
    pub(super) outbox: i64,
    pub(super) attempt: u32,
    pub(super) first: Option<Timestamp>,
    pub(super) due: Option<Timestamp>,
    pub(super) counted: Counted,
}

impl Hand {
    /// Its claim.
    pub(super) fn claim(&self, queued: &Queued, at: Timestamp) -> Event {
        let happened = Happened::Claimed { counted: self.counted, due: self.due };
        Event { row: queued.message.row, attempt: self.attempt, at, outbox: self.outbox, first: self.first, happened }
    }

    /// It goes back into the queue, at no attempt: until `due`, or for its turn.
    pub(super) fn pace(&self, row: u64, due: Option<Timestamp>, at: Timestamp) -> Event {
        let happened = Happened::Queued { due, counted: self.counted, why: Why::Paced };
        Event { row, attempt: self.attempt - 1, at, outbox: self.outbox, first: self.first, happened }
    }
}

/// The result of an attempt that is claimed here by the event at that offset of `outcomes`; none if the row doesn't stand so.
pub(super) fn settle(owned: &Owned, settlement: &Settlement, claim: i64) -> Option<Event> {
    let open = owned.get(settlement.row)?;
    let Stand::Claimed { at: claimed_at, due, counted } = &open.stand else { return None };
    if open.attempt != settlement.attempt || open.event != claim {
        return None;
    }
    let event = |attempt, first, happened| Event {
        row: settlement.row,
        attempt,
        at: settlement.at,
        outbox: open.outbox,
        first,
        happened,
    };
    if settlement.outcome == Outcome::Released {
        let due = Some(due.unwrap_or(settlement.at));
        let happened = Happened::Queued { due, counted: *counted, why: Why::Released };
        return Some(event(open.attempt - 1, open.first, happened));
    }
    // Only what may be tried again needs to know since when.
    let is_deferred = matches!(settlement.outcome, Outcome::Deferred { .. });
    let first = is_deferred.then(|| open.first.unwrap_or(*claimed_at));
    let happened = Happened::Settled { backend: settlement.backend.clone(), outcome: settlement.outcome.clone() };
    Some(event(settlement.attempt, first, happened))
}

/// What a worker learnt of an attempt whose row is another's by now.
pub(super) fn late(settlement: &Settlement, outbox: i64) -> Event {
    let happened = Happened::Late { backend: settlement.backend.clone(), outcome: settlement.outcome.clone() };
    Event { row: settlement.row, attempt: settlement.attempt, at: settlement.at, outbox, first: None, happened }
}

/// A message that can't be read is dead.
pub(super) fn broken(row: u64, outbox: i64, attempt: u32, why: String, at: Timestamp) -> Event {
    let reply = Reply { code: 0, enhanced: None, text: why };
    let happened = Happened::Settled { backend: None, outcome: Outcome::Dead { reply } };
    Event { row, attempt, at, outbox, first: None, happened }
}

/// A claim whose owner is gone; to be sent again, it is due from `since` on.
pub(super) fn orphan(row: u64, open: &Open, policy: OnUnknown, since: Timestamp, now: Timestamp) -> Option<Event> {
    let Stand::Claimed { at: claimed_at, due, counted } = &open.stand else { return None };
    let (at, first, happened) = match policy {
        OnUnknown::Hold => (*claimed_at, None, Happened::Settled { backend: None, outcome: sender_gone() }),
        OnUnknown::Resend => {
            let due = Some(due.unwrap_or(since));
            let happened = Happened::Queued { due, counted: *counted, why: Why::Resent };
            (now, Some(open.first.unwrap_or(*claimed_at)), happened)
        }
    };
    Some(Event { row, attempt: open.attempt, at, outbox: open.outbox, first, happened })
}

/// A claim that was certainly not begun.
pub(super) fn unbegun(row: u64, open: &Open, now: Timestamp) -> Option<Event> {
    let Stand::Claimed { due, counted, .. } = &open.stand else { return None };
    let happened = Happened::Queued { due: Some(due.unwrap_or(now)), counted: *counted, why: Why::Released };
    Some(Event { row, attempt: open.attempt - 1, at: now, outbox: open.outbox, first: open.first, happened })
}

/// What the decisions that are not carried out yet do to a partition. Those about a row take effect one after the other.
pub(super) fn decisions(owned: &Owned, control: &Control) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for decision in control.decisions.range(owned.decided_to..).map(|(_, decision)| decision) {
        for (row, attempt) in decision.rows.get(&owned.partition).into_iter().flatten() {
            let before = events.iter().rev().find(|event| event.row == *row);
            let (open, outcome, backend) = match before {
                // An earlier decision of this tick has made it dead, or queued it again.
                Some(event) => match (&event.happened, owned.get(*row)) {
                    (Happened::Settled { outcome, backend }, Some(open)) => (open, outcome.clone(), backend.clone()),
                    _ => continue,
                },
                None => match owned.held(*row) {
                    Some((open, outcome, backend)) => (open, outcome.clone(), backend.cloned()),
                    None => continue,
                },
            };
            if open.attempt != *attempt || !decision.verdict.is_about(&outcome) {
                continue;
            }
            let (row, attempt, outbox, at) = (*row, *attempt, open.outbox, decision.at);
            let happened = if decision.verdict == Verdict::DiscardUnknown {
                let reply = outcome.reply().cloned().unwrap_or_default();
                Happened::Settled { backend, outcome: Outcome::Dead { reply } }
            } else {
                let due = Some(Timestamp::UNIX_EPOCH);
                Happened::Queued { due, counted: Counted::Pending, why: Why::Decided }
            };
            events.push(Event { row, attempt, at, outbox, first: None, happened });
        }
    }
    events
}
