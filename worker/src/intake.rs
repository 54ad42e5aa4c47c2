//! What is claimed next, and when each claimed mail may go.
//!
//! Claims are made a little ahead of their time, because a commit takes a while, and are kept here until the rate lets them go: so the rate holds
//! whatever the journal's pace is. Domains that are spent are not claimed at all but deferred, so that they stand in nobody's way.

use crate::pacing::{Bucket, Domains, Moment, Slot};
use campaign::spec::Rate;
use journal::{Claimed, Queued};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// How far ahead of its time a mail is claimed when the campaign has a rate.
const AHEAD: Duration = Duration::from_millis(500);
/// Mails are let go in groups of this length, so that a high rate doesn't need a timer a mail.
const GROUP: Duration = Duration::from_millis(5);

/// Chooses what is claimed, and keeps it until it may go.
pub(crate) struct Intake {
    campaign: Option<Campaign>,
    domains: Domains,
    /// When each mail may go that is about to be claimed, by row.
    slots: HashMap<u64, Moment>,
    /// Claimed mails by the time from which their domain lets them go; those of one time in the order they came.
    stock: BTreeMap<(Moment, u64), Claimed>,
    came: u64,
}

struct Campaign {
    bucket: Bucket,
    /// Claims held ready.
    stock: usize,
    /// The next group goes now or later.
    next_group: Moment,
}

/// Queued mails, sorted by what is to happen to them.
#[derive(Default)]
pub(crate) struct Sorted {
    pub(crate) claims: Vec<Queued>,
    pub(crate) paced: Vec<(Queued, Moment)>,
}

impl Intake {
    pub(crate) fn new(rate: Option<&Rate>, now: Moment) -> Self {
        let campaign = rate.and_then(|rate| rate.per_second).map(|per_second| Campaign {
            bucket: Bucket::new(per_second, now),
            stock: whole(per_second * AHEAD.as_secs_f64()).max(1),
            next_group: now,
        });
        Self { campaign, domains: Domains::new(rate), slots: HashMap::new(), stock: BTreeMap::new(), came: 0 }
    }

    /// How many mails to claim, with `sending` on their way and `most` allowed in all.
    pub(crate) fn wanted(&self, sending: usize, most: usize) -> usize {
        let free = most.saturating_sub(sending + self.stock.len());
        match &self.campaign {
            Some(campaign) => free.min(campaign.stock.saturating_sub(self.stock.len())),
            None => free,
        }
    }

    /// Sorts queued mails into those to claim and those whose domain is spent.
    pub(crate) fn sort(&mut self, queued: Vec<Queued>, now: Moment, into: &mut Sorted) {
        for mail in queued {
            match self.domains.slot(mail.message.recipient.ascii_domain(), now) {
                Slot::At(at) => {
                    if at > now {
                        self.slots.insert(mail.message.row, at);
                    }
                    into.claims.push(mail);
                }
                Slot::NotBefore(due) => into.paced.push((mail, due)),
            }
        }
    }

    /// Takes in what was claimed, and gives out what may go now.
    pub(crate) fn accept(&mut self, claimed: Vec<Claimed>, now: Moment) -> Vec<Claimed> {
        if self.campaign.is_none() && self.slots.is_empty() && self.stock.is_empty() {
            return claimed;
        }
        for mail in claimed {
            let at = self.slots.remove(&mail.message().row).unwrap_or(now);
            self.came += 1;
            self.stock.insert((at, self.came), mail);
        }
        // What was sorted and not claimed has lost its slot.
        self.slots.clear();
        self.release(now)
    }

    /// Mails that may go now.
    pub(crate) fn release(&mut self, now: Moment) -> Vec<Claimed> {
        if self.campaign.as_ref().is_some_and(|campaign| campaign.next_group > now) {
            return Vec::new();
        }
        let mut free = Vec::new();
        while let Some(first) = self.stock.first_entry() {
            if first.key().0 > now {
                break;
            }
            if let Some(campaign) = &mut self.campaign {
                if campaign.bucket.earliest(now) > now {
                    break;
                }
                campaign.bucket.take(now);
            }
            free.push(first.remove());
        }
        if let (Some(campaign), false) = (&mut self.campaign, free.is_empty()) {
            campaign.next_group = now.plus(GROUP);
        }
        free
    }

    /// When [`Intake::release`] has something to give, as far as is known.
    pub(crate) fn next_release(&self, now: Moment) -> Option<Moment> {
        let ((from, _), _) = self.stock.first_key_value()?;
        let campaign = self.campaign.as_ref().map(|campaign| campaign.bucket.earliest(now).max(campaign.next_group));
        Some(campaign.map_or(*from, |at| at.max(*from)))
    }

    /// Takes out everything that was claimed and has not gone.
    pub(crate) fn drain(&mut self) -> Vec<Claimed> {
        std::mem::take(&mut self.stock).into_values().collect()
    }

    /// Mails claimed that have not gone.
    pub(crate) fn held(&self) -> usize {
        self.stock.len()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
fn whole(number: f64) -> usize {
    number as usize
}
