//! Each rule of the protocol, left out: the checker then finds the way to the failure that the rule prevents. A rule whose absence goes unnoticed
//! would be one that the model doesn't hold, or that nobody needs.

use crate::model::{Action, Budget, Fault, OnUnknown, Protocol, Tick};
use crate::properties::{ACCOUNTED, CLAIMED, LEASED, ONCE, UNKNOWN_IS_FINAL};
use crate::{allow, print};
use stateright::{Checker, HasDiscoveries, Model};

/// The way to the first state found where a property doesn't hold. Two rows do: what fails among them fails among more.
fn way_to_failure(protocol: Protocol, on_unknown: OnUnknown, budget: Budget, property: &'static str) -> Vec<Action> {
    let model = Tick { protocol, on_unknown, rows: &[0, 0], batch: 2, budget };
    let checker = model.checker().finish_when(HasDiscoveries::AnyOf([property].into())).spawn_bfs().join();
    let way = checker.discovery(property).map(stateright::Path::into_actions).unwrap_or_default();
    print(&format!("{protocol:?} breaks \"{property}\": {} states, {way:?}", checker.unique_state_count()));
    way
}

#[test]
fn sending_before_the_claim_is_committed_is_caught() {
    let way = way_to_failure(Protocol::SendBeforeClaim, OnUnknown::Hold, allow(&[]), CLAIMED);
    assert!(!way.is_empty());
}

#[test]
fn sending_before_the_claim_is_committed_sends_twice_when_the_worker_dies() {
    let way = way_to_failure(Protocol::SendBeforeClaim, OnUnknown::Hold, allow(&[Fault::Crash]), ONCE);
    assert!(way.iter().any(|step| matches!(step, Action::Crash { .. })));
}

#[test]
fn sending_without_looking_at_the_lease_is_caught() {
    let way = way_to_failure(Protocol::NoLease, OnUnknown::Hold, allow(&[Fault::Slowness]), LEASED);
    assert!(!way.is_empty());
}

#[test]
fn sending_without_a_lease_sends_what_the_new_owner_has_called_unknown() {
    let way = way_to_failure(Protocol::NoLease, OnUnknown::Hold, allow(&[Fault::Freeze]), UNKNOWN_IS_FINAL);
    assert!(way.iter().any(|step| matches!(step, Action::WaitIsOver { .. })));
}

#[test]
fn a_lease_that_counts_from_the_answer_outlives_the_new_owners_wait() {
    let way = way_to_failure(Protocol::LeaseFromAnswer, OnUnknown::Hold, allow(&[Fault::Freeze]), UNKNOWN_IS_FINAL);
    assert!(way.iter().any(|step| matches!(step, Action::WaitIsOver { .. })));
}

#[test]
fn calling_a_found_claim_unknown_at_once_lets_its_owner_send_it_afterwards() {
    let way = way_to_failure(Protocol::NoWait, OnUnknown::Resend, allow(&[Fault::Freeze]), UNKNOWN_IS_FINAL);
    assert!(!way.is_empty());
}

#[test]
fn group_metadata_fetched_at_commit_lets_two_workers_send_the_same_row() {
    let way = way_to_failure(Protocol::MetadataAtCommit, OnUnknown::Hold, allow(&[Fault::Freeze]), ONCE);
    assert!(way.iter().any(|step| matches!(step, Action::EndSession { .. })));
}

#[test]
fn offsets_fetched_without_waiting_for_a_pending_commit_send_twice() {
    let way = way_to_failure(Protocol::UnstableFetch, OnUnknown::Hold, allow(&[Fault::Freeze]), ONCE);
    assert!(!way.is_empty());
}

#[test]
fn outcomes_read_only_as_far_as_they_are_visible_lose_rows() {
    let way = way_to_failure(Protocol::ReadWhatIsVisible, OnUnknown::Hold, allow(&[Fault::Crash]), ACCOUNTED);
    assert!(!way.is_empty());
}

#[test]
fn offsets_that_move_when_rows_are_settled_send_twice_after_a_crash() {
    let way = way_to_failure(Protocol::OffsetAtSettle, OnUnknown::Hold, allow(&[Fault::Crash]), ONCE);
    assert!(!way.is_empty());
}

#[test]
fn an_expired_offset_taken_as_new_mails_everybody_again() {
    let way = way_to_failure(Protocol::FreshAfterExpiry, OnUnknown::Hold, allow(&[Fault::Crash, Fault::Expiry]), ONCE);
    assert!(way.iter().any(|step| matches!(step, Action::ExpireOffset { .. })));
}

#[test]
fn a_tail_that_forgets_waiting_rows_loses_them() {
    let way = way_to_failure(
        Protocol::TailForgetsWaiting,
        OnUnknown::Hold,
        allow(&[Fault::Deferral, Fault::Crash]),
        ACCOUNTED,
    );
    assert!(way.iter().any(|step| matches!(step, Action::Defer { .. })));
}

#[test]
fn claims_that_outlive_their_tenure_are_sent_although_they_were_called_unknown() {
    let mut budget = allow(&[Fault::Freeze]);
    budget.each[Fault::Freeze as usize] = 2;
    budget.together = 2;
    let way = way_to_failure(Protocol::ClaimsOutliveTenure, OnUnknown::Resend, budget, UNKNOWN_IS_FINAL);
    assert!(!way.is_empty());
}

#[test]
fn a_claim_known_by_its_attempt_is_taken_for_one_that_was_never_sent() {
    let way = way_to_failure(Protocol::ClaimsByAttempt, OnUnknown::Hold, allow(&[Fault::Freeze, Fault::Crash]), ONCE);
    assert!(way.iter().any(|step| matches!(step, Action::TimeOut { .. })));
}
