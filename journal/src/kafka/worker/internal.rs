//! What a worker writes of itself, between the ticks of the run: verdicts about found claims, decisions of people, messages that can't be read,
//! and the renewal of leases.

use super::actor::Actor;
use super::form::{Form, broken, decisions, orphan, unbegun};
use super::owned::Owned;
use crate::kafka::transactor::Failed;
use crate::{OnUnknown, boottime};
use jiff::Timestamp;

impl Actor {
    /// Writes what is due. What fails is tried again at the next turn.
    pub(super) fn housekeep(&mut self) {
        if self.life.is_none() || self.doomed.is_some() {
            return;
        }
        let postponed = self.postponed.clone();
        let form = self.household();
        if form.is_empty() {
            return;
        }
        match self.write(&form) {
            Ok(()) => self.broken.clear(),
            Err(failed) => {
                self.postponed = postponed;
                self.failed(failed);
            }
        }
    }

    fn household(&mut self) -> Form {
        let now = self.now();
        let mut form = Form::default();
        for settlement in std::mem::take(&mut self.postponed) {
            self.settle_one(settlement, &mut form);
        }
        for found in &self.broken {
            let attempt =
                self.owned.get(&found.partition).and_then(|owned| owned.get(found.row)).map_or(0, |open| open.attempt);
            form.events.push((found.partition, broken(found.row, found.outbox, attempt, found.why.clone(), now)));
        }
        for (partition, owned) in &self.owned {
            self.judge_found(owned, now, &mut form);
            if owned.found.is_empty() && owned.decided_to < self.follower.control.next {
                let events = decisions(owned, &self.follower.control);
                if !events.is_empty() || self.follower.control.decides(*partition, owned.decided_to) {
                    form.events.extend(events.into_iter().map(|event| (*partition, event)));
                    form.touch.insert(*partition);
                    form.decided.insert(*partition, self.follower.control.next);
                }
            }
            let is_old = boottime().saturating_sub(owned.renewed) >= self.shared.timing.lease / 4;
            if (owned.claims() > 0 && is_old) || self.is_behind(owned) {
                form.touch.insert(*partition);
            }
        }
        self.add_through(&mut form);
        form
    }

    /// What becomes of claims whose owner's lease has certainly run out; and of those that this worker made and never began.
    fn judge_found(&self, owned: &Owned, now: Timestamp, form: &mut Form) {
        let is_over = boottime() >= owned.found_over;
        for row in &owned.found {
            let Some(open) = owned.get(*row) else { continue };
            let event = if self.never_sent.contains(&(owned.partition, open.event)) {
                unbegun(*row, open, now)
            } else if is_over {
                // What a person has decided about it goes before what the campaign would do by itself.
                let decided = self.follower.control.decisions.range(owned.decided_to..).any(|(_, decision)| {
                    decision.rows.get(&owned.partition).is_some_and(|rows| rows.contains(&(*row, open.attempt)))
                });
                let policy = if decided { OnUnknown::Hold } else { self.options.on_unknown };
                orphan(*row, open, policy, self.options.now, now)
            } else {
                None
            };
            form.events.extend(event.map(|event| (owned.partition, event)));
        }
        if is_over && !owned.found.is_empty() {
            tracing::warn!(
                partition = owned.partition,
                rows = owned.found.len(),
                policy = ?self.options.on_unknown,
                "rows were claimed by a worker that was gone before their outcome was known"
            );
        }
    }

    /// Whether the committed offset is behind what was taken care of, and nothing else will move it.
    fn is_behind(&self, owned: &Owned) -> bool {
        let control = &self.follower.control;
        let through = self.through(owned.partition);
        through.is_some_and(|through| through > owned.claimed_to)
            && self.fetcher.is_through(owned.partition, control)
            && control.published()
            && self.lowest_in_hand(owned.partition).is_none()
    }

    pub(super) fn lowest_in_hand(&self, partition: i32) -> Option<i64> {
        self.new_in_hand
            .range((partition, i64::MIN)..)
            .next()
            .filter(|((of, _), _)| *of == partition)
            .map(|((_, offset), _)| *offset)
    }

    /// Up to where everything in `outbox` is taken care of, but for what is in hand.
    fn through(&self, partition: i32) -> Option<i64> {
        let taken = self.fetcher.taken_to(partition)?;
        Some(self.lowest_in_hand(partition).map_or(taken, |lowest| lowest.min(taken)))
    }

    /// Notes how far each partition of the form has come.
    pub(super) fn add_through(&self, form: &mut Form) {
        for partition in form.partitions() {
            if let Some(through) = self.through(partition) {
                form.through.insert(partition, through);
            }
        }
    }

    /// What follows from a transaction that did not come about.
    pub(super) fn failed(&mut self, failed: Failed) {
        match failed {
            Failed::Group => tracing::debug!("the group has changed; the tick is formed anew"),
            Failed::Aborted(error) => self.note(&error),
            Failed::Fenced(error) | Failed::Dead(error) => {
                tracing::warn!(%error, "this worker has lost its place, and joins anew");
                self.end_life();
            }
        }
    }
}
