//! A model of the tick protocol (`docs/protocol.md`), explored by a model checker: two workers, three rows, and everything that can go wrong between any
//! two steps. Pure: no Kafka, no clock. Time is events whose order is bounded by the one thing that is known of it: a lease is shorter than the wait
//! of a new owner.

mod broker;
mod canonical;
mod effects;
mod endings;
mod model;
mod mutations;
mod possible;
mod properties;
mod worker;

use model::{Budget, Fault, OnUnknown, Protocol, Tick};
use stateright::{Checker, Model};
use std::time::Instant;

/// Each of the given faults may happen once, and all of them.
fn allow(faults: &[Fault]) -> Budget {
    let mut budget = Budget { each: [0; 8], together: 0 };
    for fault in faults {
        budget.each[*fault as usize] += 1;
        budget.together += 1;
    }
    budget
}

#[expect(clippy::print_stdout, reason = "how much was explored is what one wants to see of a model checker")]
fn print(line: &str) {
    println!("{line}");
}

/// Explores everything within the bounds, and shows the way to what went wrong.
fn check(on_unknown: OnUnknown, rows: &'static [usize], budget: Budget, least_states: usize) {
    let begun = Instant::now();
    let scene =
        format!("{on_unknown:?}, partitions of the rows {rows:?}, {} faults of {:?}", budget.together, budget.each);
    let checker =
        Tick { protocol: Protocol::Sound, on_unknown, rows, batch: 2, budget }.checker().symmetry().spawn_dfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    print(&format!("{scene}: {states} states, {depth} steps deep, {:.1} s", begun.elapsed().as_secs_f64()));
    for property in checker.model().properties() {
        let found = checker.discovery(property.name).map(stateright::Path::into_actions);
        if property.expectation.discovery_is_failure() {
            assert!(found.is_none(), "{scene}: \"{}\" doesn't hold after {found:#?}", property.name);
        } else {
            assert!(found.is_some(), "{scene}: \"{}\" is never reached", property.name);
        }
    }
    assert!(states >= least_states, "{scene}: only {states} states, at least {least_states} were expected");
}

/// What befalls workers, groups and offsets.
const HARD: [Fault; 4] = [Fault::Crash, Fault::Freeze, Fault::Rebalance, Fault::Expiry];
/// That, and what befalls single mails.
const ALL: [Fault; 8] = [
    Fault::Crash,
    Fault::Freeze,
    Fault::Rebalance,
    Fault::Slowness,
    Fault::LostReply,
    Fault::Deferral,
    Fault::Expiry,
    Fault::NoAnswer,
];

fn any(together: u8, faults: &[Fault]) -> Budget {
    Budget { together, ..allow(faults) }
}

#[test]
fn under_hold_no_row_is_sent_twice_and_none_is_lost() {
    check(OnUnknown::Hold, &[0, 0, 0], any(2, &HARD), 500_000);
}

#[test]
fn under_hold_it_is_so_too_when_single_mails_go_wrong() {
    check(OnUnknown::Hold, &[0, 0, 0], any(1, &ALL), 50_000);
    check(OnUnknown::Hold, &[0, 0], any(2, &ALL), 50_000);
}

#[test]
fn under_resend_only_unknown_rows_are_sent_twice_and_none_is_lost() {
    check(OnUnknown::Resend, &[0, 0, 0], any(1, &[Fault::Crash, Fault::Rebalance]), 50_000);
    check(OnUnknown::Resend, &[0, 0], any(2, &HARD), 100_000);
}

#[test]
fn it_is_so_too_when_a_tick_covers_two_partitions() {
    check(OnUnknown::Hold, &[0, 1], any(1, &ALL), 50_000);
    check(OnUnknown::Resend, &[0, 1], any(1, &[Fault::Crash, Fault::Rebalance]), 10_000);
}

#[test]
fn every_way_comes_to_an_end() {
    let scenes = [
        (OnUnknown::Hold, &[0, 0, 0][..], any(1, &ALL)),
        (OnUnknown::Resend, &[0, 0], any(1, &ALL)),
        (OnUnknown::Hold, &[0, 1], any(1, &HARD)),
    ];
    for (on_unknown, rows, budget) in scenes {
        let (circle, states) = endings::circle(&Tick { protocol: Protocol::Sound, on_unknown, rows, batch: 2, budget });
        assert!(circle.is_none(), "goes on for ever: {circle:#?}");
        assert!(states > 10_000, "only {states} states");
    }
}
