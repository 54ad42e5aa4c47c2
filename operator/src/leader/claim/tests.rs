//! The transitions as tables, and two candidates against every kind of bad luck.

use super::*;
use crate::leader::{held, named};
use jiff::Timestamp;
use proptest::prelude::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Time of day of the candidates: it stands still, so nothing can depend on it.
fn day() -> Timestamp {
    "2027-03-01T12:00:00Z".parse().expect("a time")
}

fn lease_of(identity: &str, version: u32) -> Lease {
    let mut lease = held(named("operator"), identity, day());
    lease.metadata.resource_version = Some(version.to_string());
    lease
}

fn renewed(lease: &Lease, identity: &str) -> Lease {
    held(lease.clone(), identity, day())
}

#[test]
fn a_candidate_alone_makes_the_lease_and_leads_from_before_it_asked() {
    let mut claim = Claim::new("a".to_owned());
    assert_eq!(claim.next(Heard::Missing, seconds(100)), (Step::Create, seconds(100)));
    assert_eq!(claim.until(), Duration::ZERO);
    let lease = lease_of("a", 1);
    let next = claim.next(Heard::Written { asked: seconds(100), lease: lease.clone() }, seconds(103));
    assert_eq!(next, (Step::Replace(Box::new(lease)), seconds(102)));
    assert_eq!(claim.until(), seconds(107));
}

#[test]
fn a_lease_of_another_is_taken_when_it_was_seen_unchanged_for_its_duration_and_not_before() {
    let mut claim = Claim::new("b".to_owned());
    let lease = lease_of("a", 1);
    for now in [100, 102, 104, 106] {
        assert_eq!(claim.next(Heard::Found(lease.clone()), seconds(now)), (Step::Look, seconds(now + 2)));
    }
    assert_eq!(claim.next(Heard::Found(lease.clone()), seconds(109)), (Step::Look, seconds(110)));
    assert_eq!(claim.next(Heard::Found(lease.clone()), seconds(110)), (Step::Replace(Box::new(lease)), seconds(110)));
    assert_eq!(claim.until(), Duration::ZERO, "it doesn't lead before its write is confirmed");
}

#[test]
fn each_renewal_starts_the_wait_anew_and_a_label_of_a_stranger_does_not() {
    let mut claim = Claim::new("b".to_owned());
    let lease = lease_of("a", 1);
    claim.next(Heard::Found(lease.clone()), seconds(100));
    let later = renewed(&lease, "a");
    assert_eq!(claim.next(Heard::Found(later.clone()), seconds(109)), (Step::Look, seconds(111)));
    let mut labelled = later;
    labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    labelled.metadata.resource_version = Some("7".to_owned());
    assert_eq!(claim.next(Heard::Found(labelled.clone()), seconds(118)), (Step::Look, seconds(119)));
    let take = claim.next(Heard::Found(labelled.clone()), seconds(119));
    assert_eq!(take, (Step::Replace(Box::new(labelled)), seconds(119)), "what it writes over is what it saw last");
}

#[test]
fn who_promised_to_stay_away_for_longer_is_given_longer() {
    let mut claim = Claim::new("b".to_owned());
    let mut lease = lease_of("a", 1);
    lease.spec.get_or_insert_default().lease_duration_seconds = Some(15);
    claim.next(Heard::Found(lease.clone()), seconds(100));
    assert_eq!(claim.next(Heard::Found(lease.clone()), seconds(114)).0, Step::Look);
    assert_ne!(claim.next(Heard::Found(lease.clone()), seconds(115)).0, Step::Look);
    lease.spec.get_or_insert_default().lease_duration_seconds = Some(-1);
    claim.next(Heard::Found(lease.clone()), seconds(115));
    assert_eq!(claim.next(Heard::Found(lease), seconds(124)).0, Step::Look);
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut claim = Claim::new("b".to_owned());
    claim.next(Heard::Found(lease_of("a", 1)), seconds(100));
    let free = renewed(&lease_of("a", 1), "");
    assert_eq!(claim.next(Heard::Found(free.clone()), seconds(101)), (Step::Replace(Box::new(free)), seconds(101)));
}

#[test]
fn after_a_lost_reply_it_looks_and_goes_on_from_what_it_finds() {
    let mut claim = Claim::new("a".to_owned());
    claim.next(Heard::Written { asked: seconds(100), lease: lease_of("a", 1) }, seconds(100));
    assert_eq!(claim.next(Heard::Failed, seconds(103)), (Step::Look, seconds(103) + AGAIN));
    let landed = renewed(&lease_of("a", 2), "a");
    assert_eq!(claim.next(Heard::Found(landed.clone()), seconds(104)), (Step::Replace(Box::new(landed)), seconds(104)));
    assert_eq!(claim.until(), seconds(107), "what it only saw prolongs nothing");
}

#[test]
fn who_finds_another_in_its_place_stops_leading_at_once() {
    let mut claim = Claim::new("a".to_owned());
    claim.next(Heard::Written { asked: seconds(100), lease: lease_of("a", 1) }, seconds(100));
    assert_eq!(claim.next(Heard::Conflict, seconds(102)), (Step::Look, seconds(102) + AGAIN));
    assert_eq!(claim.next(Heard::Found(lease_of("b", 2)), seconds(103)), (Step::Look, seconds(105)));
    assert_eq!(claim.until(), Duration::ZERO);
}

#[test]
fn a_lease_that_was_deleted_by_hand_is_made_anew_at_once_by_its_holder_and_later_by_others() {
    let mut holder = Claim::new("a".to_owned());
    holder.next(Heard::Written { asked: seconds(100), lease: lease_of("a", 1) }, seconds(100));
    assert_eq!(holder.next(Heard::Missing, seconds(102)), (Step::Create, seconds(102)));
    let mut other = Claim::new("b".to_owned());
    other.next(Heard::Found(lease_of("a", 1)), seconds(100));
    assert_eq!(other.next(Heard::Missing, seconds(109)), (Step::Look, seconds(111)));
    assert_eq!(other.next(Heard::Missing, seconds(118)), (Step::Look, seconds(119)));
    assert_eq!(other.next(Heard::Missing, seconds(119)), (Step::Create, seconds(119)));
    assert_eq!(holder.next(Heard::Missing, seconds(107)), (Step::Look, seconds(109)), "its time is over");
}

/// What an API server does with a step: compare and swap.
#[derive(Default)]
struct Store {
    lease: Option<Lease>,
    version: u32,
}

impl Store {
    fn take(&mut self, step: &Step, identity: &str, asked: Duration) -> Heard {
        let lease = match (step, &self.lease) {
            (Step::Look, found) => return found.clone().map_or(Heard::Missing, Heard::Found),
            (Step::Create, None) => named("operator"),
            (Step::Replace(read), Some(stands))
                if read.metadata.resource_version == stands.metadata.resource_version =>
            {
                (**read).clone()
            }
            (Step::Replace(_), None) => return Heard::Missing,
            (Step::Create | Step::Replace(_), Some(_)) => return Heard::Conflict,
        };
        self.version += 1;
        let mut lease = held(lease, identity, day());
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease.clone());
        Heard::Written { asked, lease }
    }
}

/// A replica whose clock shows something else than the other's.
struct Replica {
    identity: &'static str,
    claim: Claim,
    ahead: Duration,
    plan: (Step, Duration),
    under_way: Option<(Step, Duration, Option<Heard>)>,
}

impl Replica {
    fn new(identity: &'static str, ahead: Duration) -> Self {
        let claim = Claim::new(identity.to_owned());
        Self { identity, claim, ahead, plan: (Step::Look, Duration::ZERO), under_way: None }
    }

    fn leads(&self, time: Duration) -> bool {
        time + self.ahead < self.claim.until()
    }

    /// One move of this replica or of the network.
    fn act(&mut self, what: Move, store: &mut Store, time: Duration) {
        let now = time + self.ahead;
        match (what, self.under_way.take()) {
            (Move::Ask, None) if now >= self.plan.1 => self.under_way = Some((self.plan.0.clone(), now, None)),
            (Move::Arrive, Some((step, asked, None))) => {
                let heard = store.take(&step, self.identity, asked);
                self.under_way = Some((step, asked, Some(heard)));
            }
            (Move::Reply, Some((_, _, Some(heard)))) => self.plan = self.claim.next(heard, now),
            // The call is given up. What has not arrived may still do so: here it does at once, the latest copy being dropped by compare and swap anyway.
            (Move::LoseReply, Some((step, asked, None))) => {
                store.take(&step, self.identity, asked);
                self.plan = self.claim.next(Heard::Failed, now);
            }
            (Move::LoseRequest | Move::LoseReply, Some(_)) => self.plan = self.claim.next(Heard::Failed, now),
            (_, under_way) => self.under_way = under_way,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Ask,
    Arrive,
    Reply,
    LoseReply,
    LoseRequest,
}

fn moves() -> impl Strategy<Value = Vec<(bool, Move, u64)>> {
    let kind = prop_oneof![
        6 => Just(Move::Ask), 6 => Just(Move::Arrive), 6 => Just(Move::Reply), 1 => Just(Move::LoseReply), 1 => Just(Move::LoseRequest),
    ];
    // Mostly little time passes; at times so much that a process must have been frozen.
    let passing = prop_oneof![20 => 0_u64..800, 4 => 800_u64..4_000, 1 => 4_000_u64..15_000];
    proptest::collection::vec((any::<bool>(), kind, passing), 50..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Requests and replies get lost, processes freeze at any moment, clocks show anything: never two.
    #[test]
    fn two_never_lead_at_once(moves in moves(), ahead in 0_u64..1_000_000, deleted in proptest::option::of(0_usize..400)) {
        let mut store = Store::default();
        let mut replicas = [Replica::new("a", Duration::ZERO), Replica::new("b", Duration::from_millis(ahead))];
        let mut time = seconds(1);
        for (index, (second, what, passing)) in moves.into_iter().enumerate() {
            time += Duration::from_millis(passing);
            let both_know = replicas.iter().all(|replica| replica.claim.seen.is_some());
            if deleted == Some(index) && both_know {
                store.lease = None;
            }
            replicas[usize::from(second)].act(what, &mut store, time);
            prop_assert!(!replicas.iter().all(|replica| replica.leads(time)), "both lead at {time:?}");
        }
    }
}

fn all_goes_well(replica: &mut Replica, store: &mut Store, time: Duration) {
    for what in [Move::Ask, Move::Arrive, Move::Reply] {
        replica.act(what, store, time);
    }
}

#[test]
fn when_the_leader_falls_silent_the_other_leads_within_15_s() {
    for silent_at in 0..40 {
        let mut store = Store::default();
        let mut replicas = [Replica::new("a", Duration::ZERO), Replica::new("b", seconds(77))];
        let step = Duration::from_millis(100);
        let mut time = seconds(1);
        for tick in 0..(30 * 10 + silent_at) {
            time += step;
            for (index, replica) in replicas.iter_mut().enumerate() {
                // The other comes up a moment later.
                if index == 0 || tick > 3 {
                    all_goes_well(replica, &mut store, time);
                }
            }
        }
        assert!(replicas[0].leads(time) && !replicas[1].leads(time));
        let silence = time;
        while !replicas[1].leads(time) {
            time += step;
            all_goes_well(&mut replicas[1], &mut store, time);
            assert!(time <= silence + seconds(13), "nobody leads");
        }
        assert!(!replicas[0].leads(time));
    }
}
