//! What happens when in a round: a function of its seed. Pure.

use campaign::spec::OnUnknown;
use std::time::Duration;

/// Numbers that look random and are the same for the same seed (SplitMix64: Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`; 0 for a limit of 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }

    /// A duration of so many milliseconds, the upper bound excluded.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to.saturating_sub(from)))
    }
}

/// Something goes wrong. Workers, shards and brokers count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL to a worker; another takes its place.
    KillWorker {
        /// Which.
        worker: usize,
        /// When the other starts.
        back_after: Duration,
    },
    /// SIGSTOP to a worker, and SIGCONT later.
    FreezeWorker {
        /// Which.
        worker: usize,
        /// For how long.
        time: Duration,
    },
    /// SIGTERM to a worker, and another at once.
    ReplaceWorker {
        /// Which.
        worker: usize,
    },
    /// SIGKILL to a producer; started again.
    KillProducer {
        /// Of which shard.
        shard: usize,
        /// When it starts again.
        back_after: Duration,
    },
    /// SIGSTOP to a producer while another takes its shard, and SIGCONT later.
    FreezeProducer {
        /// Of which shard.
        shard: usize,
        /// For how long.
        time: Duration,
    },
    /// SIGTERM to a broker, and a new start when it has ended.
    RestartBroker {
        /// Which.
        broker: usize,
    },
    /// SIGKILL to a broker, and a new start.
    KillBroker {
        /// Which.
        broker: usize,
    },
}

impl Fault {
    /// Whether it counts from the start of the round, and not from the first mails.
    pub(crate) fn is_early(&self) -> bool {
        matches!(self, Self::KillProducer { .. } | Self::FreezeProducer { .. })
    }

    /// Its kind, for a summary.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::KillWorker { .. } => "worker killed",
            Self::FreezeWorker { .. } => "worker frozen",
            Self::ReplaceWorker { .. } => "worker replaced",
            Self::KillProducer { .. } => "producer killed",
            Self::FreezeProducer { .. } => "producer frozen",
            Self::RestartBroker { .. } => "broker restarted",
            Self::KillBroker { .. } => "broker killed",
        }
    }
}

/// A fault, and when it happens: those of producers after the start of the round, the others after the first mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed {
    /// When.
    pub at: Duration,
    /// What.
    pub fault: Fault,
}

/// How large a round is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rows of the list.
    pub rows: u64,
    /// Faults happen for so long.
    pub faults_for: Duration,
    /// The mail servers take so long for a mail, in milliseconds.
    pub reply_after: (u64, u64),
}

impl Size {
    /// Both shards have rows, and sending takes about as long as the faults do.
    pub const LONG: Self = Self { rows: 13_000, faults_for: Duration::from_secs(35), reply_after: (5, 55) };
    /// For continuous integration.
    pub const SHORT: Self = Self { rows: 3_000, faults_for: Duration::from_secs(12), reply_after: (5, 95) };
}

/// A round.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it was made of; the same seed makes the same plan.
    pub seed: u64,
    /// What becomes of claims whose owner is gone.
    pub on_unknown: OnUnknown,
    /// 1 or 3.
    pub brokers: u16,
    /// Rows of the list.
    pub rows: u64,
    /// Workers that are to run.
    pub workers: usize,
    /// Shards of the list, each with a producer.
    pub shards: usize,
    /// When each shard's producer first starts.
    pub producers_start: Vec<Duration>,
    /// What happens, in order: after the start of the round to producers, after the first mails to the others.
    pub faults: Vec<Timed>,
    /// The mail servers take so long for a mail, in milliseconds.
    pub reply_after: (u64, u64),
}

/// A broker has time to come back before the next one goes.
const BETWEEN_BROKERS: Duration = Duration::from_secs(10);

impl Plan {
    /// The round of a seed: `Hold` for even ones, one broker for 0 and 1 of four unless `brokers` says otherwise.
    pub fn of(seed: u64, size: Size, brokers: Option<u16>) -> Self {
        let on_unknown = if seed.is_multiple_of(2) { OnUnknown::Hold } else { OnUnknown::Resend };
        let brokers = brokers.unwrap_or(if seed % 4 < 2 { 1 } else { 3 });
        let mut random = Random::new(seed);
        let (workers, shards) = (3, 2);
        let mut faults = producer_faults(&mut random, shards);
        faults.extend(steady_faults(&mut random, workers, usize::from(brokers), size.faults_for));
        faults.sort_by_key(|timed| timed.at);
        let mut producers_start = vec![Duration::ZERO];
        producers_start.extend((1..shards).map(|_| random.millis(0, 5000)));
        let Size { rows, reply_after, .. } = size;
        Self { seed, on_unknown, brokers, rows, workers, shards, producers_start, faults, reply_after }
    }
}

/// A producer lives for seconds only: what is to go wrong with it goes wrong early.
fn producer_faults(random: &mut Random, shards: usize) -> Vec<Timed> {
    let mut faults = Vec::new();
    for shard in 0..shards {
        let mut at = random.millis(150, 1500);
        for _ in 0..random.below(4) {
            let fault = if random.below(3) == 0 {
                Fault::FreezeProducer { shard, time: random.millis(1000, 5000) }
            } else {
                Fault::KillProducer { shard, back_after: random.millis(0, 800) }
            };
            faults.push(Timed { at, fault });
            at += random.millis(300, 1800);
        }
    }
    faults
}

/// Every one to three seconds something happens to a worker or a broker.
fn steady_faults(random: &mut Random, workers: usize, brokers: usize, until: Duration) -> Vec<Timed> {
    let mut faults = Vec::new();
    let mut broker_free = Duration::ZERO;
    let mut at = random.millis(500, 3000);
    while at < until {
        let worker = index(random, workers);
        let broker = index(random, brokers);
        let mut fault = match random.below(100) {
            0..30 => Fault::KillWorker { worker, back_after: random.millis(0, 4000) },
            30..50 => Fault::FreezeWorker { worker, time: random.millis(7000, 11_000) },
            // Longer than a lease.
            50..57 => Fault::FreezeWorker { worker, time: random.millis(21_000, 26_000) },
            57..72 => Fault::ReplaceWorker { worker },
            72..86 => Fault::RestartBroker { broker },
            _ => Fault::KillBroker { broker },
        };
        if matches!(fault, Fault::RestartBroker { .. } | Fault::KillBroker { .. }) {
            if at < broker_free {
                fault = Fault::KillWorker { worker, back_after: random.millis(0, 4000) };
            } else {
                broker_free = at + BETWEEN_BROKERS;
            }
        }
        faults.push(Timed { at, fault });
        at += random.millis(1000, 3000);
    }
    faults
}

fn index(random: &mut Random, of: usize) -> usize {
    usize::try_from(random.below(of as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_makes_the_same_plan_and_another_makes_another() {
        let plan = |seed| format!("{:?}", Plan::of(seed, Size::LONG, None));
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(11));
    }

    #[test]
    fn four_seeds_in_a_row_have_both_policies_with_one_and_with_three_brokers() {
        let kinds: BTreeSet<_> = (0..4)
            .map(|seed| Plan::of(seed, Size::LONG, None))
            .map(|plan| (plan.on_unknown == OnUnknown::Hold, plan.brokers))
            .collect();
        assert_eq!(kinds.len(), 4);
    }

    #[test]
    fn every_kind_of_fault_happens_in_twenty_rounds_and_a_broker_has_time_to_come_back() {
        let mut kinds = BTreeSet::new();
        for seed in 0..20 {
            let faults = Plan::of(seed, Size::LONG, None).faults;
            assert!(faults.is_sorted_by_key(|timed| timed.at) && faults.len() >= 10, "{seed}: {}", faults.len());
            kinds.extend(faults.iter().map(|timed| timed.fault.kind()));
            let brokers: Vec<_> = faults.iter().filter(|timed| timed.fault.kind().starts_with("broker")).collect();
            assert!(brokers.windows(2).all(|pair| pair[1].at >= pair[0].at + BETWEEN_BROKERS), "{seed}");
        }
        assert_eq!(kinds.len(), 7, "{kinds:?}");
    }
}
