//! The number of workers: the rules as tables, and what holds for any demand.

use super::*;
use proptest::prelude::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Open, without a rate, up to ten workers.
fn demand(due: u64) -> Demand {
    Demand {
        due,
        in_flight: 0,
        next_due_in: None,
        is_open: true,
        opens_in: None,
        rate_per_second: None,
        capacity_per_worker: CAPACITY,
        min: 1,
        max: 10,
        partitions: 12,
    }
}

#[test]
fn the_target_is_the_work_of_thirty_seconds() {
    assert_eq!(TARGET, whole(CAPACITY * 30.0));
}

#[test]
fn what_may_not_leave_now_is_no_backlog() {
    assert_eq!(sendable_backlog(&demand(4_000)), 4_000);
    assert_eq!(sendable_backlog(&Demand { is_open: false, opens_in: Some(seconds(1)), ..demand(4_000) }), 0);
    let retries_later = Demand { next_due_in: Some(seconds(1)), ..demand(0) };
    assert_eq!(sendable_backlog(&retries_later), 0);
}

#[test]
fn the_rate_bounds_what_is_asked_for() {
    for (rate, workers) in [(150.0, 3), (151.0, 4), (1.0, 1), (0.1, 1), (f64::INFINITY, 10)] {
        let demand = Demand { rate_per_second: Some(rate), ..demand(1_000_000) };
        assert_eq!(replicas(&demand, 0), workers, "{rate}");
        assert_eq!(replicas(&demand, 10), workers, "{rate}");
    }
}

#[test]
fn slow_workers_are_more_and_fast_ones_fewer_for_the_same_backlog() {
    for (capacity, workers) in [(50.0, 2), (25.0, 4), (100.0, 1), (1.0, 10), (0.0, 2), (f64::NAN, 2)] {
        assert_eq!(replicas(&Demand { capacity_per_worker: capacity, ..demand(3_000) }, 0), workers, "{capacity}");
    }
}

#[test]
fn a_backlog_that_goes_up_and_down_around_a_border_moves_nobody() {
    let mut current = 0;
    let changes = (0..100).filter(|tick| {
        let before = current;
        current = replicas(&demand(if tick % 2 == 0 { 4_600 } else { 4_400 }), current);
        before != current
    });
    assert_eq!(changes.count(), 1);
    assert_eq!(current, 4);
}

#[test]
fn a_campaign_that_is_sent_out_loses_its_workers_by_halves() {
    let mut seen = vec![0];
    for due in (0..=15_000_u64).rev().step_by(50) {
        let next = replicas(&demand(due), seen[seen.len() - 1]);
        if seen.last() != Some(&next) {
            seen.push(next);
        }
    }
    assert_eq!(seen, [0, 10, 5, 2, 1, 0]);
}

#[test]
fn who_has_nothing_to_do_for_long_goes_and_comes_back_before_there_is_something_to_do() {
    let waits = |due_in: u64| Demand { next_due_in: Some(seconds(due_in)), min: 2, ..demand(0) };
    let closed = |opens_in: u64| Demand { is_open: false, opens_in: Some(seconds(opens_in)), min: 2, ..demand(9_000) };
    for demand in [waits, closed] {
        for (passes, from_none, from_eight) in [(301, 0, 0), (300, 0, 2), (31, 0, 2), (30, 2, 2), (1, 2, 2)] {
            let demand = demand(passes);
            assert_eq!((replicas(&demand, 0), replicas(&demand, 8)), (from_none, from_eight), "{demand:?}");
        }
    }
    let opens_before_the_retry = Demand { next_due_in: Some(seconds(600)), due: 0, ..closed(10) };
    assert_eq!(replicas(&opens_before_the_retry, 1), 0, "the later of the two counts");
}

#[test]
fn at_the_end_and_while_suspended_there_is_nobody() {
    assert_eq!(replicas(&demand(0), 7), 0);
    assert_eq!(replicas(&Demand { is_open: false, ..demand(9_000) }, 7), 0);
}

#[test]
fn somebody_stays_while_claims_have_no_end() {
    assert_eq!(replicas(&Demand { in_flight: 3, ..demand(0) }, 7), 1);
    assert_eq!(replicas(&Demand { in_flight: 3, is_open: false, ..demand(9) }, 7), 1);
    assert_eq!(replicas(&Demand { in_flight: 3, is_open: false, ..demand(9) }, 0), 0, "nobody is made for them");
}

fn any_demand() -> impl Strategy<Value = Demand> {
    let soon = || proptest::option::of((0_u64..900).prop_map(seconds));
    let of_cluster = (0_u32..20, 1_u32..40, 1_u32..40, proptest::option::of(0.01_f64..5_000.0), 0.1_f64..500.0);
    (0_u64..200_000, 0_u64..3, soon(), any::<bool>(), soon(), of_cluster).prop_map(
        |(
            due,
            in_flight,
            next_due_in,
            is_open,
            opens_in,
            (min, max, partitions, rate_per_second, capacity_per_worker),
        )| Demand {
            due,
            in_flight,
            next_due_in,
            is_open,
            opens_in,
            rate_per_second,
            capacity_per_worker,
            min: min.min(max),
            max,
            partitions,
        },
    )
}

proptest! {
    #[test]
    fn more_that_is_due_never_means_fewer_workers(demand in any_demand(), more in 0_u64..200_000, current in 0_u32..40) {
        let later = Demand { due: demand.due + more, ..demand };
        prop_assert!(sendable_backlog(&demand) <= sendable_backlog(&later));
        prop_assert!(replicas(&demand, current) <= replicas(&later, current));
    }

    #[test]
    fn there_are_never_more_workers_than_could_help(demand in any_demand(), current in 0_u32..40) {
        let replicas = replicas(&demand, current);
        prop_assert!(replicas <= demand.max && replicas <= demand.partitions);
        if let Some(rate) = demand.rate_per_second {
            let by_rate = (rate / demand.capacity_per_worker).ceil().max(1.0);
            prop_assert!(f64::from(replicas) <= by_rate.max(f64::from(demand.min)));
            prop_assert!(sendable_backlog(&demand).div_ceil(TARGET) as f64 <= by_rate);
        }
    }

    #[test]
    fn while_something_is_due_and_may_leave_there_are_enough(demand in any_demand(), current in 0_u32..40) {
        if demand.is_open && demand.due > 0 {
            let least = demand.min.max(1).min(demand.max).min(demand.partitions);
            prop_assert!(replicas(&demand, current) >= least);
        }
    }

    #[test]
    fn while_closed_nothing_is_asked_for(demand in any_demand(), current in 0_u32..40) {
        let closed = Demand { is_open: false, opens_in: None, in_flight: 0, ..demand };
        prop_assert_eq!((sendable_backlog(&closed), replicas(&closed, current)), (0, 0));
    }

    /// What was set is kept when the same is asked again.
    #[test]
    fn the_number_settles_at_once(demand in any_demand(), current in 0_u32..40) {
        let once = replicas(&demand, current);
        prop_assert_eq!(replicas(&demand, once), once);
    }
}
