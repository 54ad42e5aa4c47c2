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
        let per_second = per_second.max(1.0 / 86_400.0);
        let interval = Duration::from_secs_f64(1.0 / per_second).max(Duration::from_nanos(1));
        let tolerance = if per_second < LOWEST_WITH_TOLERANCE { Duration::ZERO } else { TOLERANCE };
        Self { interval: nanos(interval), tolerance, next: now }
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
}

#[derive(Debug)]
struct Domain {
    bucket: Bucket,
    /// Behind the last slot that was given to a deferred mail.
    tail: Moment,
}

impl Domains {
    /// Those of a campaign.
    pub fn new(rate: Option<&Rate>) -> Self {
        let per_domain = rate.and_then(|rate| rate.per_domain.as_ref());
        let named = per_domain.map(|limits| limits.domains.iter().map(|(name, rate)| (ascii(name), *rate)).collect());
        Self {
            default: per_domain.and_then(|limits| limits.default),
            named: named.unwrap_or_default(),
            met: HashMap::new(),
            forget_at: REMEMBERED,
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
        let mut new = Domain { bucket: Bucket::new(rate, now), tail: now };
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

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
    fn allowed_in_ten_seconds(rate: f64) -> usize {
        ((rate * 10.0 * 1.05) as usize).max((rate * 10.0).ceil() as usize)
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
}
