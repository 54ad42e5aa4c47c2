//! How fast mails may go: token buckets for the campaign and for each recipient domain.
//!
//! Pure: time comes in as [`Moment`], nothing sleeps here. A bucket is kept as the time at which its next token is due (the generic cell rate algorithm,
//! ITU-T I.371), so that it is exact, smooth, and costs two additions a mail.

use campaign::{EmailAddress, spec::Rate};
use std::{collections::HashMap, time::Duration};

/// Nanoseconds since the run began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// Later by a duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// Earlier by a duration, but never before the run began.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What may be caught up on after a late wake-up. Half a percent of the ten seconds in which a rate is judged.
const TOLERANCE: Duration = Duration::from_millis(50);
/// Below this rate the tolerance would be a mail of its own.
const LOWEST_WITH_TOLERANCE: f64 = 2.0;

/// A rate: in any time span of `t` seconds it gives at most `rate × (t + 0.05) + 1` tokens, and at most `rate × t`, rounded up, below 2 a second.
///
/// It may change at any time. A bucket that grows keeps its tokens and gets none for what it has gained; one that shrinks gives up those of what it has
/// lost. So buckets that pass parts of one rate among each other never give more than that rate together, but for one token each.
#[derive(Debug, Clone)]
pub struct Bucket {
    interval: u64,
    tolerance: Duration,
    /// When the next token would be due if tokens were taken evenly.
    next: Moment,
}

impl Bucket {
    /// A bucket that holds one token at `now` and gives `per_second` of them; a rate of zero or less gives one a day.
    pub fn new(per_second: f64, now: Moment) -> Self {
        let (interval, tolerance) = even(per_second);
        Self { interval, tolerance, next: now }
    }

    /// The same, but without any token at `now`.
    pub fn empty(per_second: f64, now: Moment) -> Self {
        let (interval, tolerance) = even(per_second);
        Self { interval, tolerance, next: Moment(now.plus(tolerance).0.saturating_add(interval)) }
    }

    /// Changes the rate from `now` on.
    pub fn change(&mut self, per_second: f64, now: Moment) {
        let (interval, tolerance) = even(per_second);
        let tokens = self.tokens(now);
        let kept =
            if interval > self.interval { tokens * (self.interval as f64 / interval as f64).min(1.0) } else { tokens };
        // What was taken in advance stays taken.
        let kept = if tokens < 0.0 { tokens } else { kept };
        let full = now.plus(tolerance).0.saturating_add(interval) as f64;
        (self.interval, self.tolerance) = (interval, tolerance);
        self.next = moment(full - kept * interval as f64);
    }

    /// Tokens that may be used at `now`; negative: so many were taken in advance.
    fn tokens(&self, now: Moment) -> f64 {
        let next = self.next.max(now).0 as f64;
        (now.plus(self.tolerance).0 as f64 + self.interval as f64 - next) / self.interval as f64
    }

    /// When the next token may be taken: `now`, or later.
    pub fn earliest(&self, now: Moment) -> Moment {
        self.next.minus(self.tolerance).max(now)
    }

    /// Takes the next token and says when it may be used: at `now`, or later.
    pub fn take(&mut self, now: Moment) -> Moment {
        let at = self.earliest(now);
        self.next = Moment(self.next.max(now).0.saturating_add(self.interval));
        at
    }

    /// The even distance between two tokens.
    pub fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }
}

/// The distance between two tokens in nanoseconds, and what may be caught up on.
fn even(per_second: f64) -> (u64, Duration) {
    let per_second = per_second.max(1.0 / 86_400.0);
    let interval = Duration::from_secs_f64(1.0 / per_second).max(Duration::from_nanos(1));
    let tolerance = if per_second < LOWEST_WITH_TOLERANCE { Duration::ZERO } else { TOLERANCE };
    (nanos(interval), tolerance)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
fn moment(nanos: f64) -> Moment {
    Moment(nanos as u64)
}

/// How far ahead of its time a mail to a limited domain is claimed.
const HORIZON: Duration = Duration::from_millis(200);
/// How long before its slot a deferred mail comes back, so that it is claimed in time.
const LEAD: Duration = Duration::from_millis(100);
/// Domains that are remembered before idle ones are forgotten.
const REMEMBERED: usize = 10_000;

/// When a mail to some domain may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Claim it now, send it at this time or later.
    At(Moment),
    /// Its domain's budget is spent: look at it again at this time.
    NotBefore(Moment),
}

/// The rates of recipient domains.
///
/// A mail whose domain is spent for the next [`HORIZON`] is given a slot of its own behind all others of its domain, so that they come back evenly at the
/// domain's rate. Slots are not tied to mails: whoever comes when there is room goes, and who finds his room taken queues again.
#[derive(Debug)]
pub struct Domains {
    default: Option<f64>,
    named: HashMap<String, f64>,
    met: HashMap<String, Domain>,
    forget_at: usize,
    /// Which part of each rate is ours.
    share: f64,
    /// When it last grew: no bucket has held a token of ours before.
    grew: Option<Moment>,
}

#[derive(Debug)]
struct Domain {
    bucket: Bucket,
    /// Behind the last slot that was given to a deferred mail.
    tail: Moment,
}

impl Domains {
    /// Those of a campaign, all ours.
    pub fn new(rate: Option<&Rate>) -> Self {
        let per_domain = rate.and_then(|rate| rate.per_domain.as_ref());
        let named = per_domain.map(|limits| limits.domains.iter().map(|(name, rate)| (ascii(name), *rate)).collect());
        Self {
            default: per_domain.and_then(|limits| limits.default),
            named: named.unwrap_or_default(),
            met: HashMap::new(),
            forget_at: REMEMBERED,
            share: 1.0,
            grew: None,
        }
    }

    /// From `now` on this part of each rate is ours (0 to 1).
    pub fn change_share(&mut self, share: f64, now: Moment) {
        if share > self.share {
            self.grew = Some(now);
        }
        self.share = share;
        for (name, domain) in &mut self.met {
            if let Some(rate) = self.named.get(name).copied().or(self.default) {
                domain.bucket.change(rate * share, now);
            }
        }
    }

    /// When a mail to `domain` (ASCII form, lower case) may go.
    pub fn slot(&mut self, domain: &str, now: Moment) -> Slot {
        if self.default.is_none() && self.named.is_empty() {
            return Slot::At(now);
        }
        if let Some(known) = self.met.get_mut(domain) {
            return known.slot(now);
        }
        let Some(rate) = self.named.get(domain).copied().or(self.default) else { return Slot::At(now) };
        self.forget_idle(now);
        let rate = rate * self.share;
        // Who had the domain before may have used what it had.
        let bucket = self.grew.map_or_else(|| Bucket::new(rate, now), |grew| Bucket::empty(rate, grew));
        let mut new = Domain { bucket, tail: now };
        let slot = new.slot(now);
        self.met.insert(domain.to_owned(), new);
        slot
    }

    /// A domain with nothing booked is as good as new. Looked for only when the number has doubled, so that it costs next to nothing a mail.
    fn forget_idle(&mut self, now: Moment) {
        if self.met.len() >= self.forget_at {
            self.met.retain(|_, domain| domain.bucket.next > now || domain.tail > now);
            self.forget_at = REMEMBERED.max(2 * self.met.len());
        }
    }
}

impl Domain {
    fn slot(&mut self, now: Moment) -> Slot {
        let at = self.bucket.earliest(now);
        if at <= now.plus(HORIZON) {
            return Slot::At(self.bucket.take(now));
        }
        let slot = self.tail.max(at);
        self.tail = slot.plus(self.bucket.interval());
        Slot::NotBefore(slot.minus(LEAD))
    }
}

/// The form in which recipients' domains are compared.
fn ascii(domain: &str) -> String {
    EmailAddress::parse(&format!("x@{domain}"))
        .map_or_else(|_| domain.to_ascii_lowercase(), |address| address.ascii_domain().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use campaign::spec::PerDomain;
    use proptest::prelude::*;
    use std::collections::BinaryHeap;

    const SECOND: u64 = 1_000_000_000;

    /// The most mails in any half-open window of ten seconds.
    fn most_in_ten_seconds(times: &[Moment]) -> usize {
        let mut from = 0;
        (0..times.len())
            .map(|to| {
                while times[to].0 - times[from].0 >= 10 * SECOND {
                    from += 1;
                }
                to - from + 1
            })
            .max()
            .unwrap_or(0)
    }

    /// The budget and 5 %, to the next whole mail.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
    fn allowed_in_ten_seconds(rate: f64) -> usize {
        (rate * 10.0 * 1.05).ceil() as usize
    }

    proptest! {
        #[test]
        fn a_bucket_never_gives_more_than_its_rate_and_gives_it_while_there_is_work(
            rate in prop_oneof![0.2..5.0_f64, 5.0..200.0_f64, 200.0..20_000.0_f64],
            late in proptest::collection::vec(0_u64..30_000_000, 1..50),
        ) {
            let mut bucket = Bucket::new(rate, Moment(0));
            let (mut now, mut times) = (Moment(0), Vec::new());
            for wake in 0.. {
                now = Moment(bucket.earliest(now).0 + late[wake % late.len()]);
                if now.0 >= 30 * SECOND {
                    break;
                }
                while bucket.earliest(now) <= now {
                    times.push(bucket.take(now));
                }
            }
            let most = most_in_ten_seconds(&times);
            prop_assert!(most <= allowed_in_ten_seconds(rate), "{most} in ten seconds at {rate} a second");
            if rate >= 2.0 {
                prop_assert!(times.len() as f64 >= rate * 30.0 * 0.95 - 1.0, "{} in 30 s at {rate} a second", times.len());
            }
        }
    }

    #[test]
    fn a_late_wake_up_loses_nothing_and_a_long_pause_earns_nothing() {
        let mut bucket = Bucket::new(100.0, Moment(0));
        let burst = |bucket: &mut Bucket, now| {
            std::iter::from_fn(|| (bucket.earliest(now) <= now).then(|| bucket.take(now))).count()
        };
        assert_eq!(burst(&mut bucket, Moment(0)), 6);
        assert_eq!(burst(&mut bucket, Moment(40_000_000)), 4);
        assert_eq!(burst(&mut bucket, Moment(60 * SECOND)), 6);
    }

    fn limits(default: Option<f64>, named: &[(&str, f64)]) -> Domains {
        let domains = named.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect();
        Domains::new(Some(&Rate { per_second: None, per_domain: Some(PerDomain { default, domains }) }))
    }

    #[test]
    fn a_domain_without_a_rate_is_never_held_up() {
        let mut domains = limits(None, &[("slow.test", 1.0)]);
        assert!((0..1000).all(|_| domains.slot("fast.test", Moment(5)) == Slot::At(Moment(5))));
        let slots: Vec<_> = (0..3).map(|_| domains.slot("slow.test", Moment(5))).collect();
        assert!(matches!(slots[..], [Slot::At(Moment(5)), Slot::NotBefore(_), Slot::NotBefore(_)]), "{slots:?}");
    }

    #[test]
    fn a_domain_is_named_in_any_case_and_script() {
        let mut domains = limits(None, &[("EXAMPLE.com", 1.0), ("bücher.example", 1.0)]);
        for domain in ["example.com", "xn--bcher-kva.example"] {
            assert_eq!(domains.slot(domain, Moment(0)), Slot::At(Moment(0)));
            assert!(matches!(domains.slot(domain, Moment(0)), Slot::NotBefore(_)), "{domain}");
        }
    }

    /// Plays the journal: rows of one domain, all there at once, looked at again when their time has come, in ticks of uneven length.
    fn play(rate: f64, rows: usize, ticks: &[u64]) -> (Vec<Moment>, usize) {
        let mut domains = limits(Some(rate), &[]);
        let (mut waiting, mut deferrals, mut sent) = (BinaryHeap::new(), 0, Vec::new());
        let mut new = rows;
        let mut now = Moment(0);
        for tick in 0.. {
            if sent.len() == rows {
                break;
            }
            let due: Vec<_> = std::iter::from_fn(|| {
                waiting.peek().is_some_and(|std::cmp::Reverse(due)| *due <= now).then(|| waiting.pop()).flatten()
            })
            .collect();
            let fresh = new.min(1000);
            new -= fresh;
            for _ in 0..due.len() + fresh {
                match domains.slot("example.com", now) {
                    Slot::At(at) => sent.push(at),
                    Slot::NotBefore(due) => {
                        deferrals += 1;
                        waiting.push(std::cmp::Reverse(due));
                    }
                }
            }
            now = Moment(now.0 + ticks[tick % ticks.len()]);
        }
        sent.sort_unstable();
        (sent, deferrals)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_spent_domain_comes_back_at_its_rate_and_is_not_deferred_over_and_over(
            rate in prop_oneof![0.5..5.0_f64, 5.0..100.0_f64, 100.0..1000.0_f64],
            ticks in proptest::collection::vec(20_000_000_u64..120_000_000, 1..40),
        ) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
            let rows = (rate * 40.0) as usize;
            let (sent, deferrals) = play(rate, rows, &ticks);
            let most = most_in_ten_seconds(&sent);
            prop_assert!(most <= allowed_in_ten_seconds(rate), "{most} in ten seconds at {rate} a second");
            let took = sent[rows - 1].0 as f64 / SECOND as f64;
            prop_assert!(took <= 40.0 * 1.05 + 2.0 / rate, "{rows} rows at {rate} a second took {took} s");
            prop_assert!(deferrals <= 2 * rows, "{deferrals} deferrals of {rows} rows");
        }
    }

    #[test]
    fn idle_domains_are_forgotten() {
        let mut domains = limits(Some(10.0), &[]);
        for number in 0..50_000_u64 {
            domains.slot(&format!("d{number}.test"), Moment(number * 1_000_000));
        }
        assert!(domains.met.len() <= 2 * REMEMBERED, "{}", domains.met.len());
    }

    /// Two workers that pass parts of a campaign among each other: at each change one gives up before the other gains, as with partitions.
    fn shares(steps: &[(u64, u32)]) -> Vec<(Moment, [u32; 2])> {
        let mut at = 0;
        let moments = steps.iter().map(|(after, first)| {
            at += after;
            (Moment(at), [*first, OF - first])
        });
        moments.collect()
    }

    const OF: u32 = 4;

    /// When tokens were taken from the two buckets, which are never left any; the earliest first.
    fn passed_around(rate: f64, shares: &[(Moment, [u32; 2])], end: Moment) -> Vec<Moment> {
        let part = |owned: u32| rate * f64::from(owned) / f64::from(OF);
        let mut buckets = [Bucket::new(rate, Moment(0)), Bucket::empty(0.0, Moment(0))];
        let (mut owned, mut now, mut times) = ([OF, 0], Moment(0), Vec::new());
        let ends = shares.iter().map(|(at, wanted)| (*at, Some(*wanted))).chain([(end, None)]);
        for (until, wanted) in ends {
            loop {
                let next = buckets.iter().zip(owned).filter(|(_, owned)| *owned > 0);
                let Some(next) = next.map(|(bucket, _)| bucket.earliest(now)).min().filter(|next| *next < until) else {
                    break;
                };
                now = now.max(next);
                for (bucket, _) in buckets.iter_mut().zip(owned).filter(|(_, owned)| *owned > 0) {
                    while bucket.earliest(now) <= now {
                        times.push(bucket.take(now));
                    }
                }
            }
            now = now.max(until);
            let Some(wanted) = wanted else { break };
            for grows in [false, true] {
                for (index, bucket) in
                    buckets.iter_mut().enumerate().filter(|(index, _)| (wanted[*index] > owned[*index]) == grows)
                {
                    bucket.change(part(wanted[index]), now);
                }
            }
            owned = wanted;
        }
        times
    }

    proptest! {
        #[test]
        fn workers_that_pass_shares_around_keep_the_rate_together_and_use_it(
            rate in prop_oneof![1.0..20.0_f64, 20.0..2_000.0_f64],
            steps in proptest::collection::vec((0_u64..1_500_000_000, 0_u32..=OF), 1..30),
        ) {
            let end = Moment(20 * SECOND);
            let shares: Vec<_> = shares(&steps).into_iter().filter(|(at, _)| *at < end).collect();
            let times = passed_around(rate, &shares, end);
            for (from, start) in times.iter().enumerate() {
                let second = times[from..].iter().take_while(|time| time.0 < start.0 + SECOND).count();
                // One token for each worker, and one for the edges of the second.
                prop_assert!(second as f64 <= rate * 1.05 + 3.0, "{second} in one second at {rate}");
            }
        }
    }

    #[test]
    fn a_share_that_is_gained_brings_no_token_and_one_that_is_lost_takes_its_own_along() {
        let idle = Moment(60 * SECOND);
        let burst = |bucket: &mut Bucket| {
            std::iter::from_fn(|| (bucket.earliest(idle) <= idle).then(|| bucket.take(idle))).count()
        };
        let full = Bucket::new(1000.0, Moment(0));
        let count = |change: &dyn Fn(&mut Bucket)| {
            let mut bucket = full.clone();
            change(&mut bucket);
            burst(&mut bucket)
        };
        assert_eq!(count(&|_| ()), 51);
        assert_eq!(count(&|bucket| bucket.change(4000.0, idle)), 51);
        assert_eq!(count(&|bucket| bucket.change(500.0, idle)), 25);
        assert_eq!(count(&|bucket| bucket.change(0.0, idle)), 0);
        assert_eq!(count(&|bucket| (bucket.change(0.0, idle), bucket.change(1000.0, idle)).1), 0);
        assert_eq!(burst(&mut Bucket::empty(1000.0, idle)), 0);
    }

    #[test]
    fn a_share_that_stays_gives_its_part_of_the_rate() {
        let mut bucket = Bucket::empty(0.0, Moment(0));
        bucket.change(25.0, Moment(SECOND));
        let mut times = Vec::new();
        while bucket.earliest(Moment(0)) < Moment(11 * SECOND) {
            let now = bucket.earliest(Moment(SECOND));
            times.push(bucket.take(now));
        }
        assert!((249..=252).contains(&times.len()), "{}", times.len());
        // At a rate of zero it has gained the day's part of a token.
        assert!(times[0] >= Moment(SECOND + SECOND / 25 - SECOND / 1000), "{:?}", times[0]);
    }

    #[test]
    fn a_domain_that_another_had_before_starts_without_a_token_however_late_it_is_met() {
        let mut domains = limits(Some(2.0), &[]);
        domains.change_share(0.0, Moment(0));
        domains.change_share(0.5, Moment(10 * SECOND));
        assert!(matches!(domains.slot("example.com", Moment(10 * SECOND + 1)), Slot::NotBefore(_)));
        assert_eq!(domains.slot("example.net", Moment(11 * SECOND)), Slot::At(Moment(11 * SECOND)));
        assert!(matches!(domains.slot("example.net", Moment(11 * SECOND + 1)), Slot::NotBefore(_)));
        // What it has when it grows again is all it has.
        domains.change_share(1.0, Moment(60 * SECOND));
        assert_eq!(domains.slot("example.net", Moment(60 * SECOND)), Slot::At(Moment(60 * SECOND)));
        assert!(matches!(domains.slot("example.net", Moment(60 * SECOND)), Slot::NotBefore(_)));
    }
}
