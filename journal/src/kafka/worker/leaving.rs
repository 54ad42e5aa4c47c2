//! Partitions come and go: what is done about it.

use super::actor::Actor;
use super::form::{Form, orphan};
use super::member::Change;
use crate::Error;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How much longer than for replies a partition is kept, so that what was cut off can be settled.
const SETTLING: Duration = Duration::from_millis(700);

/// Partitions that the group wants back.
#[derive(Debug)]
pub(super) struct Leaving {
    partitions: Vec<i32>,
    since: Instant,
}

impl Actor {
    /// Does what the group says.
    pub(super) fn heed(&mut self, change: Change) -> Result<(), Error> {
        match change {
            Change::Gained(partitions) => {
                if let Some(life) = &self.life {
                    life.member.take(&partitions)?;
                }
                for partition in partitions {
                    self.tenures += 1;
                    self.expected.insert(partition, self.tenures);
                    self.aside.ask_partition(partition, self.tenures);
                }
                self.aside.ask_all();
            }
            Change::Wanted(partitions) => {
                tracing::info!(?partitions, "partitions are wanted back; finishing what was begun");
                for partition in &partitions {
                    self.expected.remove(partition);
                    self.fetcher.end(*partition);
                    if let Some(owned) = self.owned.get(partition) {
                        owned.lease.close_begin();
                    }
                }
                self.leaving.push(Leaving { partitions, since: Instant::now() });
            }
            Change::Lost(partitions) => {
                tracing::warn!(?partitions, "partitions were taken away; what was under way there is cut off");
                self.drop_partitions(&partitions);
                self.leaving.retain(|leaving| leaving.partitions != partitions);
                if let Some(life) = &self.life {
                    life.member.give(&partitions)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a partition is being given away.
    pub(super) fn is_leaving(&self, partition: i32) -> bool {
        self.leaving.iter().any(|leaving| leaving.partitions.contains(&partition))
    }

    /// Gives away what is settled, step by step what is not.
    pub(super) fn go_on_leaving(&mut self) -> Result<(), Error> {
        let timing = self.shared.timing;
        let mut done = Vec::new();
        for leaving in &self.leaving {
            let waited = leaving.since.elapsed();
            let mine = || leaving.partitions.iter().filter_map(|partition| self.owned.get(partition));
            for owned in mine() {
                if waited >= timing.final_dot {
                    owned.lease.close_finish();
                }
                if waited >= timing.reply {
                    owned.lease.close_reply();
                }
            }
            if waited >= timing.reply + SETTLING || mine().all(|owned| owned.claims() == 0) {
                done.push(leaving.partitions.clone());
            }
        }
        for partitions in done {
            self.settle_rest(&partitions);
            self.drop_partitions(&partitions);
            self.leaving.retain(|leaving| leaving.partitions != partitions);
            if let Some(life) = &self.life {
                life.member.give(&partitions)?;
            }
        }
        Ok(())
    }

    /// What is still claimed of partitions that are given away, and can't be sent any more, is unknown.
    fn settle_rest(&mut self, partitions: &[i32]) {
        let (now, policy) = (self.now(), self.options.on_unknown);
        let mut form = Form::default();
        for partition in partitions {
            let Some(owned) = self.owned.get(partition) else { continue };
            owned.lease.close_reply();
            for row in owned.claimed_rows() {
                let event = owned.get(row).and_then(|open| orphan(row, open, policy, now, now));
                form.events.extend(event.map(|event| (*partition, event)));
            }
        }
        if !form.is_empty()
            && let Err(failed) = self.write(&form)
        {
            tracing::warn!(error = %failed.into_error(), "what was under way is left to the next owner");
        }
    }

    fn drop_partitions(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.expected.remove(partition);
            self.fetcher.end(*partition);
            self.new_in_hand.retain(|(of, _), _| of != partition);
            self.broken.retain(|broken| broken.partition != *partition);
            if let Some(owned) = self.owned.remove(partition) {
                owned.lease.close_reply();
            }
        }
    }

    /// This life is over: everything is lost, and a new one begins with the next turn.
    pub(super) fn end_life(&mut self) {
        let partitions: BTreeSet<i32> = self.owned.keys().chain(self.expected.keys()).copied().collect();
        let partitions: Vec<i32> = partitions.into_iter().collect();
        self.drop_partitions(&partitions);
        self.leaving.clear();
        self.life = None;
    }

    /// Leaves for good: nothing is sent any more, and that is said.
    pub(super) fn leave(&mut self) {
        self.close_leases();
        self.housekeep();
        let with_claims = self.owned.iter().filter(|(_, owned)| owned.claims() > 0);
        let form = Form { touch: with_claims.map(|(partition, _)| *partition).collect(), ..Form::default() };
        if !form.is_empty() {
            // A mark of the year 1970 says that its owner has gone in order, and sends nothing more.
            let said = self.write_at(&form, jiff::Timestamp::UNIX_EPOCH);
            if let Err(failed) = said {
                tracing::warn!(error = %failed.into_error(), "leaving without a word; the next owner waits for the lease to run out");
            }
        }
        self.owned.clear();
        self.life = None;
    }
}
