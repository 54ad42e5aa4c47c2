//! A small round of chaos, with a fixed seed.

use chaos::{Plan, Programs, Size};

#[test]
fn e2e_chaos_a_small_round_loses_nobody_and_mails_nobody_twice_under_hold() {
    let programs = Programs::built().expect("the programs");
    let plan = Plan::of(4, Size::SHORT, Some(1));
    let summary = chaos::run(&programs, plan, false).expect("a round");
    assert!(summary.violations.is_empty(), "{summary}");
    assert!(!summary.faults.is_empty(), "{summary}");
}
