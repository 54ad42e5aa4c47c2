//! What is claimed next, and when each claimed mail may go.
//!
//! Claims are made a little ahead of their time, because a commit takes a while, and are kept here until the rate lets them go: so the rate holds
//! whatever the journal's pace is. Domains that are spent are not claimed at all but deferred, so that they stand in nobody's way.

use crate::pacing::{Bucket, Domains, Moment, Slot};
use campaign::spec::Rate;
use journal::{Claimed, Queued, Share};
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
    share: Share,
}

struct Campaign {
    /// All workers together.
    per_second: f64,
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
    /// For a worker that is alone and owns everything.
    pub(crate) fn new(rate: Option<&Rate>, now: Moment) -> Self {
        let campaign = rate.and_then(|rate| rate.per_second).map(|per_second| Campaign {
            per_second,
            bucket: Bucket::new(per_second, now),
            stock: most_in_stock(per_second),
            next_group: now,
        });
        Self {
            campaign,
            domains: Domains::new(rate),
            slots: HashMap::new(),
            stock: BTreeMap::new(),
            came: 0,
            share: Share::WHOLE,
        }
    }

    /// The same for a worker that is one of several: it begins with nothing, and its share comes by [`Intake::change_share`].
    pub(crate) fn without_share(rate: Option<&Rate>, now: Moment) -> Self {
        let mut new = Self::new(rate, now);
        new.change_share(Share { owned: 0, of: 1 }, now);
        new
    }

    /// From `now` on this is the worker's part of the campaign, and of each rate.
    pub(crate) fn change_share(&mut self, share: Share, now: Moment) {
        if share == self.share {
            return;
        }
        self.share = share;
        if let Some(campaign) = &mut self.campaign {
            let ours = campaign.per_second * share.fraction();
            campaign.bucket.change(ours, now);
            campaign.stock = most_in_stock(ours);
        }
        self.domains.change_share(share.fraction(), now);
    }

    /// How many mails to claim, with `sending` on their way and `most` allowed in all.
    pub(crate) fn wanted(&self, sending: usize, most: usize) -> usize {
        if self.share.owned == 0 {
            return 0;
        }
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

    /// Takes out what was claimed and may not go any more: its lease is over.
    pub(crate) fn take_lapsed(&mut self) -> Vec<Claimed> {
        self.stock.extract_if(.., |_, mail| !mail.lease().may_begin()).map(|(_, mail)| mail).collect()
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

fn most_in_stock(per_second: f64) -> usize {
    whole(per_second * AHEAD.as_secs_f64()).max(1)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
fn whole(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::{CampaignUid, EmailAddress, Fields, Message, spec::OnUnknown, spec::PerDomain};
    use jiff::Timestamp;
    use journal::{Checkpoint, Entry, Journal, Pin, Publisher, Tally, Tick, Worker, WorkerOptions, embedded::Embedded};

    const SECOND: u64 = 1_000_000_000;

    /// A journal in a folder with messages to `number` people, and its worker.
    async fn worker(number: u64) -> (tempfile::TempDir, impl Worker) {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Embedded::open(folder.path()).expect("a journal");
        let uid = CampaignUid::alone("hr/offers", "list", "message", None);
        let pin = Pin { uid, contents: BTreeMap::new(), destination: "backends".to_owned(), shards: 1 };
        journal.pin(pin).await.expect("pinned");
        let message = |row| {
            let recipient = EmailAddress::parse(&format!("p{row}@d{}.test", row % 2)).expect("an address");
            Entry::Message(Message { row, recipient, fields: Fields::new() })
        };
        let tally = Tally { published: number, ..Tally::default() };
        let checkpoint = Checkpoint { next_row: number + 2, tally, done: true };
        let mut publisher = journal.publisher(0).await.expect("a publisher");
        publisher.publish((2..number + 2).map(message).collect(), checkpoint).await.expect("published");
        let options = WorkerOptions { on_unknown: OnUnknown::Hold, now: Timestamp::UNIX_EPOCH };
        (folder, journal.worker(options).await.expect("a worker"))
    }

    fn per_second(rate: f64) -> Rate {
        Rate { per_second: Some(rate), per_domain: None }
    }

    /// Lets mails go until `end`, by timers that are late by a millisecond or so, as `run` does.
    fn release_until(intake: &mut Intake, end: Moment, now: &mut Moment, gone: &mut Vec<Moment>) {
        while let Some(next) = intake.next_release(*now).filter(|next| *next < end) {
            *now = next.max(*now).plus(Duration::from_micros(1_300));
            gone.extend(intake.release(*now).iter().map(|_| *now));
        }
        *now = end.max(*now);
    }

    /// Takes, commits and releases in ticks whose commits take as many milliseconds as is given; when each mail went in 30 seconds.
    async fn play(rate: &Rate, worker: &mut impl Worker, commits: &[u64]) -> Vec<Moment> {
        let mut intake = Intake::new(Some(rate), Moment(0));
        let (mut now, mut gone) = (Moment(0), Vec::new());
        let mut commits = commits.iter().cycle();
        while now.0 < 30 * SECOND {
            let (mut sorted, epoch) = (Sorted::default(), Timestamp::UNIX_EPOCH);
            let queued = worker.take(intake.wanted(0, 10_000), epoch).await.expect("taken");
            intake.sort(queued, now, &mut sorted);
            let tick = Tick { claims: sorted.claims, at: epoch, ..Tick::default() };
            let claimed = worker.commit(tick).await.expect("committed");
            let committed = now.plus(Duration::from_millis(*commits.next().expect("endless")));
            release_until(&mut intake, committed, &mut now, &mut gone);
            gone.extend(intake.accept(claimed, now).iter().map(|_| now));
            let tick_end = now.plus(Duration::from_millis(100));
            release_until(&mut intake, tick_end, &mut now, &mut gone);
        }
        gone
    }

    fn most_in(span: u64, times: &[Moment]) -> usize {
        let from = |at: &Moment| times.iter().filter(|time| *time >= at && time.0 < at.0 + span).count();
        times.iter().map(from).max().unwrap_or(0)
    }

    #[tokio::test]
    async fn the_campaigns_rate_holds_however_long_a_commit_takes() {
        for commits in [&[5_u64, 5, 5][..], &[0, 40, 200, 5, 90]] {
            let (_folder, mut worker) = worker(3_000).await;
            let gone = play(&per_second(50.0), &mut worker, commits).await;
            let most = most_in(10 * SECOND, &gone);
            assert!(most <= 525, "{most} in ten seconds");
            assert!(gone.len() >= 1_425, "{} in thirty seconds, commits {commits:?}", gone.len());
        }
    }

    #[tokio::test]
    async fn a_slow_rate_claims_one_mail_ahead_and_no_more() {
        let (_folder, mut worker) = worker(100).await;
        let gone = play(&per_second(0.5), &mut worker, &[5]).await;
        assert_eq!(gone.len(), 16);
        assert!(gone.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_millis(1_999)), "{gone:?}");
    }

    #[tokio::test]
    async fn mails_of_a_spent_domain_are_put_off_and_the_others_are_claimed() {
        let (_folder, mut worker) = worker(100).await;
        let domains = BTreeMap::from([("d0.test".to_owned(), 1.0)]);
        let rate = Rate { per_second: None, per_domain: Some(PerDomain { default: None, domains }) };
        let mut intake = Intake::new(Some(&rate), Moment(0));
        let queued = worker.take(100, Timestamp::UNIX_EPOCH).await.expect("taken");
        let mut sorted = Sorted::default();
        intake.sort(queued, Moment(0), &mut sorted);
        assert_eq!((sorted.claims.len(), sorted.paced.len()), (51, 49));
        let due: Vec<_> = sorted.paced.iter().map(|(_, due)| due.0).collect();
        assert!(due.windows(2).all(|pair| pair[1] - pair[0] == SECOND), "{due:?}");
    }

    #[tokio::test]
    async fn two_workers_keep_the_campaigns_rate_together_while_their_shares_change() {
        let (_folder, mut worker) = worker(4_000).await;
        let rate = per_second(200.0);
        let mut intakes = [Intake::new(Some(&rate), Moment(0)), Intake::without_share(Some(&rate), Moment(0))];
        let (mut now, mut gone) = (Moment(0), Vec::new());
        // The part of the first by time, in 100 ms: there and back, in large and in small steps.
        let parts = [4_u32, 4, 2, 2, 2, 0, 0, 4, 3, 1, 1, 0, 4];
        for tick in 0..100 {
            let first = parts[tick / 3 % parts.len()];
            let mut shares = [first, 4 - first]
                .map(|owned| Share { owned, of: 4 })
                .into_iter()
                .zip(&mut intakes)
                .collect::<Vec<_>>();
            // Who loses, loses first.
            shares.sort_by_key(|(share, intake)| share.owned > intake.share.owned);
            for (share, intake) in shares {
                intake.change_share(share, now);
                if share.owned == 0 {
                    assert_eq!(intake.wanted(0, 1000), 0);
                }
            }
            for intake in &mut intakes {
                let queued = worker.take(intake.wanted(0, 10_000), Timestamp::UNIX_EPOCH).await.expect("taken");
                let mut sorted = Sorted::default();
                intake.sort(queued, now, &mut sorted);
                let tick = Tick { claims: sorted.claims, at: Timestamp::UNIX_EPOCH, ..Tick::default() };
                let claimed = worker.commit(tick).await.expect("committed");
                gone.extend(intake.accept(claimed, now).iter().map(|_| now));
            }
            let end = now.plus(Duration::from_millis(100));
            while now < end {
                now = now.plus(Duration::from_millis(2));
                for intake in &mut intakes {
                    gone.extend(intake.release(now).iter().map(|_| now));
                }
            }
        }
        let most = most_in(SECOND, &gone);
        assert!(most <= 213, "{most} in one second");
        assert!(gone.len() >= 1_500, "{} in ten seconds", gone.len());
    }

    #[tokio::test]
    async fn what_was_claimed_and_whose_lease_is_closed_is_taken_back_and_the_rest_stays() {
        let (_folder, mut worker) = worker(20).await;
        let mut intake = Intake::new(Some(&per_second(10.0)), Moment(0));
        let queued = worker.take(5, Timestamp::UNIX_EPOCH).await.expect("taken");
        let claimed = worker.commit(Tick { claims: queued, ..Tick::default() }).await.expect("committed");
        claimed[3].lease().close_begin();
        let row = claimed[3].message().row;
        assert_eq!(intake.accept(claimed, Moment(0)).len(), 1);
        let lapsed: Vec<_> = intake.take_lapsed().iter().map(|mail| mail.message().row).collect();
        assert_eq!((lapsed, intake.held()), (vec![row], 3));
    }
}
