//! Ticks: from what the run wants to one committed transaction.

use super::actor::{Actor, Mine};
use super::form::{Form, Hand, late, settle};
use super::owned::Undo;
use crate::kafka::Shared;
use crate::kafka::transactor::{Failed, Outgoing};
use crate::kafka::wire::{Happened, Mark, encode, schema};
use crate::{Claimed, Error, Lease, Paused, Queued, Sighting, Tick, boottime};
use campaign::{Outcome, Settlement};
use jiff::Timestamp;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a tick is tried before the run is told that it can't be written.
const PATIENCE: Duration = Duration::from_secs(30);

impl Actor {
    /// Commits a tick; the claims that came about.
    pub(super) fn commit(&mut self, tick: Tick) -> Result<Vec<Claimed>, Error> {
        self.check(&tick)?;
        let begun = Instant::now();
        loop {
            if let Err(error) = self.turn(Duration::ZERO) {
                self.note(&error);
                if !error.is_transient() || begun.elapsed() > PATIENCE {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
            let form = self.form(&tick);
            if form.is_empty() {
                return Ok(self.conclude(tick));
            }
            match self.write(&form) {
                Ok(()) => return Ok(self.conclude(tick)),
                Err(failed) => {
                    let gone = matches!(failed, Failed::Aborted(Error::TopicGone { .. }));
                    let error = match &failed {
                        Failed::Group => Error::Fenced,
                        Failed::Fenced(error) | Failed::Aborted(error) | Failed::Dead(error) => {
                            Error::Kafka { during: "writing a tick", source: error.to_string().into() }
                        }
                    };
                    self.failed(failed);
                    if gone || begun.elapsed() > PATIENCE {
                        return Err(error);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }

    /// Only what was handed out, and only once.
    fn check(&self, tick: &Tick) -> Result<(), Error> {
        let mut seen = HashSet::with_capacity(tick.claims.len() + tick.paced.len());
        for queued in tick.claims.iter().chain(tick.paced.iter().map(|(queued, _)| queued)) {
            let (row, attempt) = (queued.message.row, queued.attempt);
            if self.hand.get(&row).is_none_or(|hand| hand.attempt != attempt) {
                return Err(Error::OutOfTurn(format!("row {row}, attempt {attempt}, was not handed out")));
            }
            if !seen.insert(row) {
                return Err(Error::OutOfTurn(format!("row {row} stands in a tick twice")));
            }
        }
        Ok(())
    }

    /// What a tick is to write, as things stand now.
    fn form(&mut self, tick: &Tick) -> Form {
        let mut form = Form::default();
        let mut settled = HashSet::new();
        for settlement in &tick.finished {
            if settled.insert((settlement.row, settlement.attempt)) {
                self.settle_one(settlement.clone(), &mut form);
            } else {
                ignored(settlement);
            }
        }
        for queued in &tick.claims {
            if let Some(hand) = self.held(queued) {
                form.events.push((hand.partition, hand.claim(queued, tick.at)));
            }
        }
        for (queued, due) in &tick.paced {
            if let Some(hand) = self.held(queued) {
                form.events.push((hand.partition, hand.pace(queued.message.row, Some(*due), tick.at)));
            }
        }
        self.keep(&mut form, tick.at);
        if let Some(reason) = tick.pause.as_ref().filter(|_| self.follower.paused().is_none()) {
            form.pause = Some(Paused { reason: reason.clone(), at: tick.at });
        }
        form.obstacle = tick.obstacle.clone().filter(|sighting| self.is_news(sighting));
        self.add_through(&mut form);
        form
    }

    /// Whether a sighting changes what stands in `control`: what another worker has told is not this one's to take back.
    fn is_news(&self, sighting: &Sighting) -> bool {
        match sighting {
            Sighting::Met(_) => true,
            Sighting::Gone => self.told.is_some() && self.told == self.follower.control.obstacle,
        }
    }

    /// What is held of a row, if its partition is still this worker's.
    fn held(&self, queued: &Queued) -> Option<&Hand> {
        let hand = self.hand.get(&queued.message.row)?;
        let owned = self.owned.get(&hand.partition)?;
        (owned.tenure == hand.tenure && !self.is_leaving(hand.partition)).then_some(hand)
    }

    /// The result of an attempt of this worker: settled where it is claimed; evidence where the row is another's; for later while its partition is
    /// being looked into.
    pub(super) fn settle_one(&mut self, settlement: Settlement, form: &mut Form) {
        let mine = self.mine.get(&settlement.row).copied().filter(|mine| mine.attempt == settlement.attempt);
        let Some(mine) = mine else { return ignored(&settlement) };
        let is_to_come = self.expected.contains_key(&mine.partition) || self.life.is_none();
        match self.owned.get(&mine.partition) {
            Some(owned) => match settle(owned, &settlement, mine.event) {
                Some(event) => form.events.push((mine.partition, event)),
                None => ignored(&settlement),
            },
            None if is_to_come => self.postponed.push(settlement),
            None if settlement.outcome == Outcome::Released => {}
            None => form.events.push((mine.partition, late(&settlement, mine.outbox))),
        }
    }

    /// The offset is about to pass rows in hand that are neither claimed nor paced: they are written down as waiting for their turn.
    fn keep(&self, form: &mut Form, at: Timestamp) {
        let rows: HashSet<u64> = form.events.iter().map(|(_, event)| event.row).collect();
        let mut kept = Vec::new();
        for partition in form.partitions() {
            let events = form.events.iter().filter(|(of, _)| *of == partition);
            let passes = events.map(|(_, event)| event.outbox).max().unwrap_or(-1);
            for ((_, _), row) in self.new_in_hand.range((partition, i64::MIN)..(partition, passes)) {
                if let (false, Some(hand)) = (rows.contains(row), self.hand.get(row)) {
                    kept.push((partition, hand.pace(*row, None, at)));
                }
            }
        }
        form.events.extend(kept);
    }

    /// Writes a form as one transaction, and takes in what it says.
    pub(super) fn write(&mut self, form: &Form) -> Result<(), Failed> {
        self.write_at(form, Timestamp::now())
    }

    /// The same, with another time in the marks.
    pub(super) fn write_at(&mut self, form: &Form, at: Timestamp) -> Result<(), Failed> {
        let began = boottime();
        let shared = self.shared.clone();
        let records = records(&shared, form);
        let Some(life) = self.life.take() else {
            return Err(Failed::Aborted(Error::OutOfTurn("no member of the group".to_owned())));
        };
        // Together with what is owned now.
        let identity = life.member.identity();
        if identity.is_none() && !form.partitions().is_empty() {
            self.life = Some(life);
            return Err(Failed::Group);
        }
        let mut undo: Vec<(i32, Undo)> = Vec::new();
        let mut before: Vec<(i32, i64, i64)> = Vec::new();
        let mut places: Vec<i64> = Vec::new();
        let mut marks: Vec<(i32, Mark)> = Vec::new();
        let owned = &mut self.owned;
        let written = life.transactor.write(&records, |offsets| {
            places = offsets.to_vec();
            for ((partition, event), offset) in form.events.iter().zip(offsets) {
                if let Some(owned) = owned.get_mut(partition) {
                    undo.push((*partition, owned.apply(*offset, event)));
                }
            }
            let mut list = TopicPartitionList::new();
            for partition in form.partitions() {
                let Some(owned) = owned.get_mut(&partition) else { continue };
                before.push((partition, owned.claimed_to, owned.decided_to));
                owned.claimed_to = owned.claimed_to.max(form.through.get(&partition).copied().unwrap_or(0));
                owned.decided_to = form.decided.get(&partition).copied().unwrap_or(owned.decided_to);
                let mark = owned.mark(at);
                let _ = list.add_partition_offset(&shared.names.outbox, partition, Offset::Offset(owned.claimed_to));
                if let Some(mut element) = list.find_partition(&shared.names.outbox, partition) {
                    element.set_metadata(mark.encode());
                }
                marks.push((partition, mark));
            }
            (!marks.is_empty()).then_some(list).zip(identity)
        });
        self.life = Some(life);
        match written {
            Ok(_) => {
                self.shared.workers.held_up.store(false, Ordering::Release);
                self.shared.settings.heard().reached();
                self.take_in(form, &places, &marks, began);
                Ok(())
            }
            Err(failed) => {
                if matches!(failed, Failed::Fenced(_) | Failed::Dead(_)) {
                    let events = form.events.iter().zip(&places);
                    let claims = events.filter(|((_, event), _)| matches!(event.happened, Happened::Claimed { .. }));
                    self.never_sent.extend(claims.map(|((partition, _), place)| (*partition, *place)));
                }
                for (partition, claimed_to, decided_to) in before {
                    if let Some(owned) = self.owned.get_mut(&partition) {
                        (owned.claimed_to, owned.decided_to) = (claimed_to, decided_to);
                    }
                }
                for (partition, undo) in undo.into_iter().rev() {
                    if let Some(owned) = self.owned.get_mut(&partition) {
                        let row = owned.undo(undo);
                        if self.hand.contains_key(&row) {
                            owned.hand_out(row);
                        }
                    }
                }
                Err(failed)
            }
        }
    }

    /// After a commit: leases are renewed, and what was in hand is claimed.
    fn take_in(&mut self, form: &Form, places: &[i64], marks: &[(i32, Mark)], began: Duration) {
        let good_until = began + self.shared.timing.lease;
        for (partition, mark) in marks {
            let leaving = self.is_leaving(*partition);
            let Some(owned) = self.owned.get_mut(partition) else { continue };
            owned.committed(mark);
            owned.renewed = began;
            if owned.lease.is_open() || leaving {
                owned.lease.renew(good_until);
            } else {
                owned.lease = Lease::until_unless(good_until, self.shared.workers.held_up());
            }
            let mut seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(*partition, mark.seq);
        }
        if form.pause.is_some() {
            self.follower.control.paused.clone_from(&form.pause);
        }
        if let Some(sighting) = &form.obstacle {
            self.told = sighting.obstacle().cloned();
            self.follower.control.obstacle.clone_from(&self.told);
        }
        for ((partition, event), place) in form.events.iter().zip(places) {
            self.new_in_hand.remove(&(*partition, event.outbox));
            match &event.happened {
                Happened::Claimed { .. } => {
                    let mine =
                        Mine { partition: *partition, attempt: event.attempt, outbox: event.outbox, event: *place };
                    self.mine.insert(event.row, mine);
                }
                Happened::Queued { due: None, .. } if self.hand.contains_key(&event.row) => {
                    // It stays in hand.
                    if let Some(owned) = self.owned.get_mut(partition) {
                        owned.hand_out(event.row);
                    }
                }
                _ => {
                    if self.mine.get(&event.row).is_some_and(|mine| mine.attempt <= event.attempt + 1) {
                        self.mine.remove(&event.row);
                    }
                }
            }
        }
    }

    /// What was claimed, with the lease of its partition; nothing of the tick is in hand any more.
    fn conclude(&mut self, tick: Tick) -> Vec<Claimed> {
        for (queued, _) in &tick.paced {
            self.hand.remove(&queued.message.row);
        }
        let mut claimed = Vec::with_capacity(tick.claims.len());
        for queued in tick.claims {
            let Some(hand) = self.hand.remove(&queued.message.row) else { continue };
            let is_mine = self.mine.get(&queued.message.row).is_some_and(|mine| mine.attempt == queued.attempt);
            if let (true, Some(owned)) =
                (is_mine, self.owned.get(&hand.partition).filter(|owned| owned.tenure == hand.tenure))
            {
                claimed.push(Claimed::after_commit(queued, owned.lease.clone()));
            }
        }
        claimed
    }
}

fn ignored(settlement: &Settlement) {
    let (row, attempt) = (settlement.row, settlement.attempt);
    tracing::warn!(row, attempt, "a result for a row that is not claimed is ignored");
}

fn records<'s>(shared: &'s Shared, form: &Form) -> Vec<Outgoing<'s>> {
    let mut records: Vec<Outgoing<'s>> = form
        .events
        .iter()
        .map(|(partition, event)| Outgoing {
            topic: &shared.names.outcomes,
            partition: *partition,
            key: event.row.to_string(),
            row: Some(event.row),
            attempt: event.attempt,
            schema: schema::EVENT,
            value: encode(event),
        })
        .collect();
    let mut control = |key: &str, schema, value| records.push(shared.for_control(key.to_owned(), schema, value));
    if let Some(paused) = &form.pause {
        control("paused", schema::PAUSED, encode(paused));
    }
    if let Some(sighting) = &form.obstacle {
        control("obstacle", schema::OBSTACLE, encode(&sighting.obstacle()));
    }
    records
}
