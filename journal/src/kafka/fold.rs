//! The account of all rows, made of the records of `outbox`, `outcomes` and `control`. Pure: what time it is, and how far the owners are, is said by
//! who asks.
//!
//! Records of one partition come in their order, those of different topics in any: an outcome may come before its message.

use super::control::Control;
use super::slots::{Kind, Slot, Texts, kind_of};
use super::wire::{Decision, Event, Happened, Mark, Verdict, Why};
use crate::RowState;
use crate::embedded::SENDER_GONE;
use campaign::{Counts, Outcome, Reply, Settlement, SkipReason, Skipped};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A claim without a result.
#[derive(Debug, Clone, Copy)]
struct Claim {
    partition: i32,
    attempt: u32,
    at: Timestamp,
}

/// All rows, as far as the topics were read.
#[derive(Debug, Default)]
pub(super) struct Fold {
    slots: BTreeMap<u64, Slot>,
    claims: BTreeMap<u64, Claim>,
    /// In the queue: when they are due, in milliseconds since 1970.
    waiting: BTreeMap<u64, i64>,
    texts: Texts,
    /// By partition: when the newest record of `outcomes` was written, in milliseconds since 1970.
    heard: BTreeMap<i32, i64>,
}

impl Fold {
    /// A row is in `outbox`, as a message or as none.
    pub(super) fn listed(&mut self, partition: i32, row: u64, skipped: Option<&SkipReason>) {
        let slot = self.slots.entry(row).or_insert_with(|| Slot::new(partition));
        if slot.listed {
            return;
        }
        slot.listed = true;
        if let Some(reason) = skipped {
            slot.skip(reason, &mut self.texts);
        }
    }

    /// Something happened to a message. `written`: when, by the record's own time, in milliseconds since 1970.
    pub(super) fn happened(&mut self, partition: i32, written: i64, event: &Event) {
        let heard = self.heard.entry(partition).or_insert(written);
        *heard = written.max(*heard);
        if matches!(event.happened, Happened::Late { .. }) {
            return;
        }
        let slot = self.slots.entry(event.row).or_insert_with(|| Slot::new(partition));
        slot.attempts = event.attempt;
        match due_of(&event.happened) {
            Some(due) => drop(self.waiting.insert(event.row, due)),
            None => drop(self.waiting.remove(&event.row)),
        }
        if let Happened::Claimed { .. } = event.happened {
            self.claims.insert(event.row, Claim { partition, attempt: event.attempt, at: event.at });
            return;
        }
        self.claims.remove(&event.row);
        match &event.happened {
            Happened::Queued { why: Why::Decided, .. } => slot.forget(),
            Happened::Queued { why: Why::Paced, due: Some(due), .. } if slot.kind == Kind::Deferred => {
                slot.postpone(*due);
            }
            _ => {}
        }
        if let Some(settlement) = event.settlement() {
            slot.settle(&settlement, &mut self.texts);
        }
    }

    /// The account at a time (milliseconds since 1970), by the marks of the owners and what people decided since.
    pub(super) fn at<'f>(
        &'f self,
        now: i64,
        lease: Duration,
        marks: &BTreeMap<i32, Mark>,
        control: &Control,
    ) -> Account<'f> {
        let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let mut orphans = BTreeSet::new();
        for (row, claim) in &self.claims {
            let (mark, heard) = (marks.get(&claim.partition), self.heard.get(&claim.partition));
            if is_over(mark, heard.copied().unwrap_or(0), now, lease) {
                orphans.insert(*row);
            }
        }
        let mut account = Account { fold: self, orphans, decided: BTreeMap::new() };
        for (offset, decision) in &control.decisions {
            for (partition, rows) in &decision.rows {
                if marks.get(partition).is_none_or(|mark| *offset >= mark.control) {
                    account.decide(decision, rows);
                }
            }
        }
        account
    }
}

/// When a row in the queue is due, in milliseconds since 1970; 0 if it waits for its turn.
fn due_of(happened: &Happened) -> Option<i64> {
    match happened {
        Happened::Queued { due, .. } => Some(due.map_or(0, Timestamp::as_millisecond)),
        Happened::Settled { outcome: Outcome::Deferred { due, .. }, .. } => Some(due.as_millisecond()),
        Happened::Settled { outcome: Outcome::Released, .. } => Some(0),
        Happened::Settled { .. } | Happened::Claimed { .. } | Happened::Late { .. } => None,
    }
}

/// Whether the owner of claims has certainly stopped: it left in order, or has said nothing for as long as a lease.
fn is_over(mark: Option<&Mark>, heard: i64, now: i64, lease: i64) -> bool {
    match mark {
        Some(mark) if mark.at == 0 => true,
        Some(mark) => now > mark.at.max(heard).saturating_add(lease),
        None => now > heard.saturating_add(lease),
    }
}

/// The account in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) counts: Counts,
    /// Claimed by those who may still send them, and not settled.
    pub(super) in_flight: u64,
    /// Claimed by those who are gone, and taken over by nobody yet.
    pub(super) left_behind: u64,
    /// In the queue.
    pub(super) waiting: u64,
    /// When the first of those is due, in milliseconds since 1970.
    pub(super) next_due: Option<i64>,
}

/// The account as people see it.
pub(super) struct Account<'f> {
    fold: &'f Fold,
    /// Rows whose claims are over.
    orphans: BTreeSet<u64>,
    /// What people decided and no owner has carried out yet.
    decided: BTreeMap<u64, Option<Settlement>>,
}

impl Account<'_> {
    /// Shows what a decision will come to, for the rows that stand as they did then.
    fn decide(&mut self, decision: &Decision, rows: &[(u64, u32)]) {
        for (row, attempt) in rows {
            let Some(standing) = self.standing(*row).filter(|standing| standing.attempt == *attempt) else { continue };
            if !decision.verdict.is_about(&standing.outcome) {
                continue;
            }
            let decided = match decision.verdict {
                Verdict::DiscardUnknown => {
                    let reply = standing.outcome.reply().cloned().unwrap_or_default();
                    Some(Settlement { at: decision.at, outcome: Outcome::Dead { reply }, ..standing })
                }
                Verdict::ResendUnknown | Verdict::ReplayDead | Verdict::RetryRefused => None,
            };
            self.decided.insert(*row, decided);
        }
    }

    /// What a decision is about: a claim that a person decided was over then, whatever its owner has said since.
    fn standing(&self, row: u64) -> Option<Settlement> {
        match (self.decided.get(&row), self.fold.claims.get(&row)) {
            (Some(decided), _) => decided.clone(),
            (None, Some(claim)) => Some(sender_gone(row, claim)),
            (None, None) => self.fold.slots.get(&row)?.settlement(row, &self.fold.texts),
        }
    }

    /// The latest result of a message.
    fn latest(&self, row: u64, slot: &Slot) -> Option<Settlement> {
        if let Some(decided) = self.decided.get(&row) {
            return decided.clone();
        }
        if let Some(claim) = self.fold.claims.get(&row)
            && self.orphans.contains(&row)
        {
            return Some(sender_gone(row, claim));
        }
        slot.settlement(row, &self.fold.texts)
    }

    fn kind(&self, row: u64, slot: &Slot) -> Kind {
        if let Some(decided) = self.decided.get(&row) {
            return decided.as_ref().map_or(Kind::None, |settlement| kind_of(&settlement.outcome));
        }
        if self.orphans.contains(&row) { Kind::Unknown } else { slot.kind }
    }

    /// At most `limit` rows from `from` on.
    pub(super) fn rows(&self, from: u64, limit: usize) -> Vec<RowState> {
        let listed = self.fold.slots.range(from..).filter(|(_, slot)| slot.listed);
        listed.take(limit).map(|(row, slot)| self.row(*row, slot)).collect()
    }

    fn row(&self, row: u64, slot: &Slot) -> RowState {
        match slot.skipped(&self.fold.texts) {
            Some(reason) => RowState::Skipped(Skipped { row, reason }),
            None => RowState::Message { row, attempts: slot.attempts, latest: self.latest(row, slot) },
        }
    }

    /// How many rows are what, and what is on its way.
    pub(super) fn sum(&self) -> Sum {
        let under_way = |row: &&u64| !self.orphans.contains(*row) && !self.decided.contains_key(*row);
        let dues = || self.fold.waiting.iter().filter(|(row, _)| !self.decided.contains_key(*row)).map(|(_, due)| *due);
        Sum {
            counts: self.counts(),
            in_flight: self.fold.claims.keys().filter(under_way).count() as u64,
            left_behind: self.orphans.len() as u64,
            waiting: dues().count() as u64,
            next_due: dues().min(),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (row, slot) in self.fold.slots.iter().filter(|(_, slot)| slot.listed) {
            counts.total += 1;
            let place = match self.kind(*row, slot) {
                Kind::None => &mut counts.pending,
                Kind::Delivered => &mut counts.delivered,
                Kind::Deferred => &mut counts.deferred,
                Kind::Rejected => &mut counts.rejected,
                Kind::Refused => &mut counts.refused,
                Kind::Unknown => &mut counts.unknown,
                Kind::Dead => &mut counts.dead,
                Kind::Invalid => &mut counts.invalid,
                Kind::Duplicate => &mut counts.duplicate,
                Kind::Suppressed => &mut counts.suppressed,
            };
            *place += 1;
        }
        counts.published = counts.total - counts.invalid - counts.duplicate - counts.suppressed;
        counts
    }

    /// The rows that a verdict is about, by partition with their attempts: of the given ones, or of all.
    pub(super) fn subjects(
        &self,
        verdict: Verdict,
        rows: Option<&BTreeSet<u64>>,
        is_meant: impl Fn(&Settlement) -> bool,
    ) -> BTreeMap<i32, Vec<(u64, u32)>> {
        let wanted = match verdict {
            Verdict::ResendUnknown | Verdict::DiscardUnknown => Kind::Unknown,
            Verdict::ReplayDead => Kind::Dead,
            Verdict::RetryRefused => Kind::Refused,
        };
        let mut subjects: BTreeMap<i32, Vec<(u64, u32)>> = BTreeMap::new();
        let mut look = |row: u64, slot: &Slot| {
            if !slot.listed || self.kind(row, slot) != wanted {
                return;
            }
            if let Some(latest) = self.latest(row, slot).filter(&is_meant) {
                subjects.entry(slot.partition).or_default().push((row, latest.attempt));
            }
        };
        match rows {
            Some(rows) => {
                for row in rows {
                    if let Some(slot) = self.fold.slots.get(row) {
                        look(*row, slot);
                    }
                }
            }
            None => self.fold.slots.iter().for_each(|(row, slot)| look(*row, slot)),
        }
        subjects
    }
}

/// The result of a claim whose owner is gone.
fn sender_gone(row: u64, claim: &Claim) -> Settlement {
    let reply = Reply { code: 0, enhanced: None, text: SENDER_GONE.to_owned() };
    Settlement { row, attempt: claim.attempt, at: claim.at, backend: None, outcome: Outcome::Unknown { reply } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::wire::Counted;

    const LEASE: Duration = Duration::from_secs(20);
    const NOW: i64 = 1_800_000_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW / 1000 + seconds).expect("a time")
    }

    fn reply(code: u16) -> Reply {
        Reply { code, enhanced: Some("4.2.1".to_owned()), text: format!("answer {code}") }
    }

    fn deferred(seconds: i64) -> Outcome {
        Outcome::Deferred { due: at(seconds), reply: reply(450) }
    }

    fn unknown() -> Outcome {
        Outcome::Unknown { reply: reply(451) }
    }

    fn claimed() -> Happened {
        Happened::Claimed { counted: Counted::Pending, due: None }
    }

    fn settled(outcome: Outcome) -> Happened {
        Happened::Settled { backend: Some("relay".to_owned()), outcome }
    }

    fn queued(why: Why, due: Option<i64>) -> Happened {
        Happened::Queued { due: due.map(at), counted: Counted::Pending, why }
    }

    fn event(attempt: u32, happened: Happened) -> Event {
        Event { row: 2, attempt, at: at(0), outbox: 0, first: None, happened }
    }

    fn result(attempt: u32, outcome: Outcome) -> Settlement {
        Settlement { row: 2, attempt, at: at(0), backend: Some("relay".to_owned()), outcome }
    }

    /// Row 2 in partition 0, with these events written a second before `NOW`.
    fn fold(events: Vec<Event>) -> Fold {
        let mut fold = Fold::default();
        fold.listed(0, 2, None);
        for event in events {
            fold.happened(0, NOW - 1000, &event);
        }
        fold
    }

    fn mark(at: i64, control: i64) -> BTreeMap<i32, Mark> {
        [(0, Mark { v: 1, seq: 1, at, tail: 0, control, n: [0; 6], c: [0; 2], q: 0, due: None })].into()
    }

    fn decided(decisions: Vec<(i64, Verdict, u32)>) -> Control {
        let mut control = Control::default();
        for (offset, verdict, attempt) in decisions {
            let rows = [(0, vec![(2, attempt)])].into();
            control.decisions.insert(offset, Decision { verdict, at: at(9), rows });
        }
        control
    }

    /// Attempts and latest result of row 2, after the counts were seen to be those of the row.
    fn shown(fold: &Fold, now: i64, marks: &BTreeMap<i32, Mark>, control: &Control) -> (u32, Option<Settlement>) {
        let account = fold.at(now, LEASE, marks, control);
        let rows = account.rows(0, 10);
        let [RowState::Message { attempts, latest, .. }] = rows.as_slice() else { panic!("{rows:?}") };
        let counts = account.counts();
        assert!(counts.balances() && counts.published == 1, "{counts:?}");
        let place = match latest.as_ref().map(|latest| &latest.outcome) {
            None | Some(Outcome::Released) => counts.pending,
            Some(Outcome::Delivered { .. }) => counts.delivered,
            Some(Outcome::Deferred { .. }) => counts.deferred,
            Some(Outcome::Rejected { .. }) => counts.rejected,
            Some(Outcome::Refused { .. }) => counts.refused,
            Some(Outcome::Unknown { .. }) => counts.unknown,
            Some(Outcome::Dead { .. }) => counts.dead,
        };
        assert_eq!(place, 1, "{counts:?}");
        (*attempts, latest.clone())
    }

    #[test]
    fn the_latest_event_says_where_a_row_stands() {
        let table = [
            ("new", vec![], (0, None)),
            ("claimed by a living worker", vec![event(1, claimed())], (1, None)),
            ("settled", vec![event(1, claimed()), event(1, settled(deferred(60)))], (1, Some(result(1, deferred(60))))),
            (
                "claimed again: it counts as before",
                vec![event(1, settled(deferred(60))), event(2, claimed())],
                (2, Some(result(1, deferred(60)))),
            ),
            (
                "released: the attempt never was",
                vec![event(1, settled(deferred(60))), event(2, claimed()), event(1, queued(Why::Released, None))],
                (1, Some(result(1, deferred(60)))),
            ),
            (
                "paced: it is due later",
                vec![event(1, settled(deferred(60))), event(1, queued(Why::Paced, Some(90)))],
                (1, Some(result(1, deferred(90)))),
            ),
            ("paced before the first attempt", vec![event(0, queued(Why::Paced, Some(90)))], (0, None)),
            ("resent: the attempt counts", vec![event(1, claimed()), event(1, queued(Why::Resent, None))], (1, None)),
            (
                "decided by a person",
                vec![event(3, settled(unknown())), event(3, queued(Why::Decided, None))],
                (3, None),
            ),
            (
                "late: evidence only",
                vec![
                    event(1, claimed()),
                    event(1, settled(unknown())),
                    event(1, Happened::Late { backend: None, outcome: Outcome::Delivered { reply: reply(250) } }),
                ],
                (1, Some(result(1, unknown()))),
            ),
        ];
        for (what, events, expected) in table {
            assert_eq!(shown(&fold(events), NOW, &mark(NOW, 0), &Control::default()), expected, "{what}");
        }
    }

    #[test]
    fn a_claim_is_unknown_when_its_owner_is_silent_for_a_lease_or_has_left() {
        let fold = fold(vec![event(1, settled(deferred(60))), event(2, claimed())]);
        let gone = (2, Some(sender_gone(2, &Claim { partition: 0, attempt: 2, at: at(0) })));
        let living = (2, Some(result(1, deferred(60))));
        let lease = 20_000;
        let none = BTreeMap::new();
        // The mark's time, now, whether the claim is over. The claim was written at NOW - 1000.
        let table = [
            (mark(NOW, 0), NOW + lease, false),
            (mark(NOW, 0), NOW + lease + 1, true),
            (mark(NOW - lease, 0), NOW, false),
            (mark(NOW - lease, 0), NOW + lease - 1000, false),
            (mark(NOW - lease, 0), NOW + lease - 999, true),
            (mark(0, 0), NOW, true),
            (none.clone(), NOW, false),
            (none, NOW + lease, true),
        ];
        for (number, (marks, now, is_over)) in table.into_iter().enumerate() {
            let expected = if is_over { &gone } else { &living };
            assert_eq!(shown(&fold, now, &marks, &Control::default()), *expected, "number {number}");
        }
    }

    #[test]
    fn a_decision_shows_before_its_owner_has_carried_it_out_if_the_row_still_stands_so() {
        use Verdict::{DiscardUnknown, ReplayDead, ResendUnknown, RetryRefused};
        let dead = |outcome: &Outcome| Outcome::Dead { reply: outcome.reply().cloned().unwrap_or_default() };
        let of_unknown = Some(Settlement { at: at(9), ..result(1, dead(&unknown())) });
        let of_claim = Settlement {
            at: at(9),
            outcome: dead(&sender_gone(2, &Claim { partition: 0, attempt: 1, at: at(0) }).outcome),
            ..sender_gone(2, &Claim { partition: 0, attempt: 1, at: at(0) })
        };
        let is_unknown = || vec![event(1, claimed()), event(1, settled(unknown()))];
        let is_dead = || vec![event(1, settled(Outcome::Dead { reply: reply(552) }))];
        let is_refused = || vec![event(1, settled(Outcome::Refused { reply: reply(554) }))];
        let is_claimed = || vec![event(1, claimed())];
        let table = [
            ("resent", is_unknown(), vec![(5, ResendUnknown, 1)], 5, (1, None)),
            ("discarded", is_unknown(), vec![(5, DiscardUnknown, 1)], 5, (1, of_unknown.clone())),
            ("replayed", is_dead(), vec![(5, ReplayDead, 1)], 5, (1, None)),
            ("retried", is_refused(), vec![(5, RetryRefused, 1)], 5, (1, None)),
            ("a claim resent", is_claimed(), vec![(5, ResendUnknown, 1)], 5, (1, None)),
            ("a claim discarded", is_claimed(), vec![(5, DiscardUnknown, 1)], 5, (1, Some(of_claim))),
            ("carried out already", is_unknown(), vec![(5, ResendUnknown, 1)], 6, (1, Some(result(1, unknown())))),
            ("of another attempt", is_unknown(), vec![(5, ResendUnknown, 2)], 5, (1, Some(result(1, unknown())))),
            ("of another outcome", is_unknown(), vec![(5, ReplayDead, 1)], 5, (1, Some(result(1, unknown())))),
            (
                "the second one comes too late",
                is_unknown(),
                vec![(5, DiscardUnknown, 1), (6, ResendUnknown, 1)],
                5,
                (1, of_unknown.clone()),
            ),
            (
                "two that follow on each other",
                is_unknown(),
                vec![(5, DiscardUnknown, 1), (6, ReplayDead, 1)],
                5,
                (1, None),
            ),
        ];
        for (what, events, decisions, carried_out, expected) in table {
            let control = decided(decisions);
            assert_eq!(shown(&fold(events), NOW, &mark(NOW, carried_out), &control), expected, "{what}");
        }
        let control = decided(vec![(5, DiscardUnknown, 1)]);
        assert_eq!(shown(&fold(is_unknown()), NOW, &BTreeMap::new(), &control).1, of_unknown, "with no mark");
    }

    #[test]
    fn an_outcome_that_comes_before_its_message_is_not_lost_and_not_shown_alone() {
        let mut fold = Fold::default();
        fold.happened(0, NOW, &event(1, settled(deferred(60))));
        let account = fold.at(NOW, LEASE, &BTreeMap::new(), &Control::default());
        assert!(account.rows(0, 10).is_empty());
        assert_eq!(account.counts(), Counts::default());
        fold.listed(0, 2, None);
        assert_eq!(shown(&fold, NOW, &mark(NOW, 0), &Control::default()), (1, Some(result(1, deferred(60)))));
    }

    #[test]
    fn a_verdict_is_about_the_rows_that_are_shown_so() {
        let mut fold = fold(vec![event(2, settled(unknown()))]);
        for (row, happened) in [(3, claimed()), (4, settled(deferred(60))), (5, settled(unknown()))] {
            fold.listed(1, row, None);
            fold.happened(1, NOW - 30_000, &Event { row, ..event(1, happened) });
        }
        let account = |control: &Control| {
            let account = fold.at(NOW, LEASE, &BTreeMap::new(), control);
            let of = |rows: Option<&BTreeSet<u64>>| account.subjects(Verdict::ResendUnknown, rows, |_| true);
            (of(None), of(Some(&[3, 4, 99].into())))
        };
        let (all, some) = account(&Control::default());
        assert_eq!(all, BTreeMap::from([(0, vec![(2, 2)]), (1, vec![(3, 1), (5, 1)])]));
        assert_eq!(some, BTreeMap::from([(1, vec![(3, 1)])]));
        let (all, _) = account(&decided(vec![(5, Verdict::DiscardUnknown, 2)]));
        assert_eq!(all, BTreeMap::from([(1, vec![(3, 1), (5, 1)])]), "row 2 is decided");
    }

    #[test]
    fn a_row_takes_at_most_64_bytes_beside_its_number() {
        assert!(size_of::<Slot>() <= 64, "{}", size_of::<Slot>());
    }
}
