use super::*;

/// A campaign of which nothing has been done yet.
fn new() -> Seen {
    Seen {
        asked: Asked::default(),
        held: false,
        has_references: true,
        has_leftovers: false,
        was_pinned: false,
        journal: Journal::Absent { already_sent: false },
        producer: Producer::Absent,
        workers: Workers { wanted: Some(0), ..Workers::default() },
    }
}

fn published() -> Account {
    Account { is_as_declared: true, pinned: true, published: true, ..Account::default() }
}

/// One whose mails are being sent by three workers.
fn sending() -> Seen {
    Seen {
        was_pinned: true,
        journal: Journal::There(published()),
        producer: Producer::Done,
        workers: Workers { exists: true, asked: 3, has_pods: true, wanted: Some(3), has_foreign_autoscaler: false },
        ..new()
    }
}

fn with(seen: Seen, change: impl FnOnce(&mut Seen)) -> Seen {
    let mut seen = seen;
    change(&mut seen);
    seen
}

fn steps(seen: &Seen) -> Vec<Step> {
    next(seen).steps
}

fn ends(seen: &Seen) -> (Phase, WaitsFor) {
    let decision = next(seen);
    (decision.phase, decision.waits_for)
}

#[test]
fn a_new_campaign_gets_its_file_its_topics_and_its_producer_in_this_order() {
    assert_eq!(steps(&new()), [Step::WriteFile, Step::EnsureTopics, Step::Publish]);
    assert_eq!(ends(&new()), (Phase::Validating, WaitsFor::Producer));
}

#[test]
fn workers_start_as_soon_as_the_content_is_pinned() {
    let pinned = Account { published: false, ..published() };
    let seen = with(sending(), |seen| {
        seen.journal = Journal::There(pinned);
        seen.producer = Producer::Running { outdated: false };
        seen.workers = Workers { wanted: Some(2), ..Workers::default() };
    });
    assert_eq!(steps(&seen), [Step::WriteFile, Step::Publish, Step::Send, Step::Autoscale, Step::Scale(2)]);
    assert_eq!(next(&seen).phase, Phase::Loading);
}

#[test]
fn a_published_campaign_is_never_published_again_even_when_its_job_is_gone() {
    for producer in [Producer::Absent, Producer::Failed { may_retry: true }, Producer::Running { outdated: true }] {
        let seen = with(sending(), |seen| seen.producer = producer);
        assert!(!steps(&seen).contains(&Step::Publish), "{producer:?}");
    }
}

#[test]
fn topics_that_are_gone_are_never_made_anew_for_a_campaign_that_was_begun() {
    for (was_pinned, producer) in [(true, Producer::Absent), (false, Producer::Done)] {
        let seen = with(sending(), |seen| {
            (seen.was_pinned, seen.producer) = (was_pinned, producer);
            seen.journal = Journal::Absent { already_sent: false };
        });
        assert_eq!(ends(&seen), (Phase::Failed, WaitsFor::Topics));
        assert_eq!(steps(&seen), [Step::RemoveAutoscaler, Step::Scale(0)]);
    }
}

#[test]
fn a_campaign_whose_name_has_sent_before_waits_for_somebody_who_says_that_it_is_meant() {
    let seen = with(new(), |seen| seen.journal = Journal::Absent { already_sent: true });
    assert_eq!((steps(&seen), ends(&seen)), (vec![], (Phase::Failed, WaitsFor::SendAgain)));
}

#[test]
fn nothing_is_begun_while_something_that_pods_mount_is_missing() {
    let seen = with(new(), |seen| seen.has_references = false);
    assert_eq!((steps(&seen), ends(&seen)), (vec![], (Phase::Pending, WaitsFor::References)));
}

#[test]
fn what_sends_goes_on_while_something_that_it_has_mounted_is_missing() {
    let seen = with(sending(), |seen| seen.has_references = false);
    assert!(steps(&seen).contains(&Step::Send) && !steps(&seen).contains(&Step::Scale(0)));
}

#[test]
fn bad_input_is_not_tried_again_until_it_changes() {
    let failed = |may_retry| {
        with(new(), |seen| {
            seen.journal = Journal::There(Account { is_as_declared: true, ..Account::default() });
            seen.producer = Producer::Failed { may_retry };
        })
    };
    assert_eq!(
        (steps(&failed(false)), ends(&failed(false))),
        (vec![Step::WriteFile], (Phase::Failed, WaitsFor::Content))
    );
    assert_eq!(steps(&failed(true)), [Step::WriteFile, Step::RemoveProducer]);
}

#[test]
fn a_suspension_is_written_down_and_workers_go() {
    let seen = with(sending(), |seen| {
        seen.asked.suspend = true;
        seen.workers.wanted = Some(0);
    });
    assert_eq!(steps(&seen), [Step::Suspend, Step::WriteFile, Step::Send, Step::RemoveAutoscaler, Step::Scale(0)]);
    assert_eq!(ends(&seen), (Phase::Paused, WaitsFor::Unsuspension));
    let back = with(sending(), |seen| seen.journal = Journal::There(Account { suspended: true, ..published() }));
    assert!(steps(&back).contains(&Step::Unsuspend));
}

#[test]
fn a_pause_of_the_guard_ends_only_when_a_person_says_so() {
    let paused = with(sending(), |seen| seen.journal = Journal::There(Account { paused: true, ..published() }));
    assert_eq!(ends(&paused), (Phase::Paused, WaitsFor::Resume));
    assert!(!steps(&paused).contains(&Step::Resume));
    assert!(steps(&with(paused, |seen| seen.asked.resume = true)).contains(&Step::Resume));
}

#[test]
fn at_the_end_nobody_works_and_nothing_is_deleted_but_the_autoscaler() {
    let seen = with(sending(), |seen| seen.journal = Journal::There(Account { ended: true, ..published() }));
    assert_eq!(steps(&seen), [Step::RemoveAutoscaler, Step::Scale(0)]);
    assert_eq!(ends(&seen), (Phase::Completed, WaitsFor::Nothing));
    let rests = with(seen, |seen| seen.workers.asked = 0);
    assert_eq!(steps(&rests), [Step::RemoveAutoscaler]);
}

#[test]
fn a_deletion_stops_workers_first_and_deletes_topics_only_then_and_only_if_asked() {
    let deleting = |policy| {
        with(sending(), |seen| {
            seen.held = true;
            seen.asked = Asked { deletion: Some(Deletion { let_go: false }), policy, ..Asked::default() };
        })
    };
    let first = deleting(DeletionPolicy::Delete);
    assert_eq!(steps(&first), [Step::RemoveProducer, Step::RemoveAutoscaler, Step::Scale(0)]);
    assert_eq!(ends(&first), (Phase::Deleting, WaitsFor::Pods));
    let stopped = |seen| {
        with(seen, |seen: &mut Seen| {
            seen.producer = Producer::Absent;
            seen.workers.asked = 0;
        })
    };
    assert_eq!(steps(&stopped(first.clone())), [], "pods are still there");
    let gone = |seen| with(stopped(seen), |seen: &mut Seen| seen.workers.has_pods = false);
    assert_eq!(steps(&gone(first)), [Step::DeleteTopics, Step::Release]);
    assert_eq!(steps(&gone(deleting(DeletionPolicy::Retain))), [Step::Release]);
}

#[test]
fn a_deletion_that_takes_too_long_lets_go_and_leaves_the_topics() {
    let seen = with(sending(), |seen| {
        seen.held = true;
        seen.journal = Journal::Silent(None);
        seen.asked.deletion = Some(Deletion { let_go: true });
        seen.asked.policy = DeletionPolicy::Delete;
    });
    let steps = steps(&seen);
    assert!(steps.ends_with(&[Step::Release]) && !steps.contains(&Step::DeleteTopics), "{steps:?}");
}

#[test]
fn the_finalizer_follows_the_deletion_policy() {
    let delete = with(new(), |seen| seen.asked.policy = DeletionPolicy::Delete);
    assert_eq!(steps(&delete).first(), Some(&Step::Hold));
    assert_eq!(steps(&with(new(), |seen| seen.held = true)).first(), Some(&Step::Release));
}

#[test]
fn a_silent_kafka_stops_and_begins_nothing() {
    let unknown = with(new(), |seen| seen.journal = Journal::Silent(None));
    assert_eq!((steps(&unknown), ends(&unknown)), (vec![], (Phase::Pending, WaitsFor::Kafka)));
    let known = with(sending(), |seen| {
        seen.journal = Journal::Silent(Some(published()));
        seen.workers.wanted = Some(0);
    });
    assert_eq!(steps(&known), [Step::WriteFile, Step::Send]);
    assert_eq!(ends(&known), (Phase::Sending, WaitsFor::Kafka));
}

#[test]
fn what_another_autoscaler_decides_is_left_to_it_alone() {
    let seen = with(sending(), |seen| (seen.workers.wanted, seen.workers.has_foreign_autoscaler) = (None, true));
    assert_eq!(steps(&seen), [Step::WriteFile, Step::Send, Step::RemoveAutoscaler]);
    let from_none = with(seen, |seen| (seen.workers.wanted, seen.workers.asked) = (Some(2), 0));
    assert_eq!(steps(&from_none), [Step::WriteFile, Step::Send, Step::RemoveAutoscaler, Step::Scale(2)]);
}

#[test]
fn a_resource_that_breaks_a_rule_changes_nothing_but_that_it_can_be_suspended() {
    let seen = with(sending(), |seen| seen.asked.is_invalid = true);
    assert_eq!((steps(&seen), ends(&seen)), (vec![], (Phase::Failed, WaitsFor::ValidSpec)));
    let suspended = with(seen, |seen| seen.asked.suspend = true);
    assert_eq!(steps(&suspended), [Step::Suspend, Step::RemoveAutoscaler, Step::Scale(0)]);
}

#[test]
fn a_suspension_is_written_down_before_everything_that_may_fail_or_is_missing() {
    let under_way = Account { published: false, is_as_declared: false, ..published() };
    let seen = with(sending(), |seen| {
        seen.asked.suspend = true;
        seen.journal = Journal::There(under_way);
        seen.producer = Producer::Running { outdated: false };
        seen.workers.wanted = Some(0);
    });
    let all = steps(&seen);
    assert_eq!((all.first(), all.last()), (Some(&Step::Suspend), Some(&Step::EnsureTopics)));
    assert_eq!(ends(&seen), (Phase::Paused, WaitsFor::Unsuspension));
    let missing = with(seen, |seen| seen.has_references = false);
    assert_eq!(steps(&missing), [Step::Suspend, Step::RemoveAutoscaler, Step::Scale(0)]);
    assert_eq!(ends(&missing), (Phase::Paused, WaitsFor::Unsuspension));
    let silent = with(missing, |seen| seen.journal = Journal::Silent(Some(under_way)));
    assert_eq!(steps(&silent), [Step::RemoveAutoscaler, Step::Scale(0)]);
}

#[test]
fn a_campaign_that_was_begun_is_not_begun_anew_in_topics_that_are_empty() {
    let empty = Journal::There(Account { is_as_declared: true, ..Account::default() });
    let seen = with(sending(), |seen| (seen.journal, seen.producer) = (empty, Producer::Running { outdated: false }));
    assert_eq!(steps(&seen), [Step::RemoveProducer, Step::RemoveAutoscaler, Step::Scale(0)]);
    assert_eq!(ends(&seen), (Phase::Failed, WaitsFor::Topics));
}

#[test]
fn nothing_is_made_beside_what_an_earlier_campaign_of_the_name_has_left() {
    let seen = with(new(), |seen| seen.has_leftovers = true);
    assert_eq!((steps(&seen), ends(&seen)), (vec![], (Phase::Pending, WaitsFor::Leftovers)));
}

#[test]
fn of_a_new_campaign_among_many_only_the_file_is_made_at_first() {
    let decision =
        |steps: &[Step]| Decision { phase: Phase::Validating, waits_for: WaitsFor::Producer, steps: steps.to_vec() };
    let all = [Step::Hold, Step::WriteFile, Step::EnsureTopics, Step::Publish];
    assert_eq!(decision(&all).steps_for_now(true), &all[..2]);
    assert_eq!(decision(&all).steps_for_now(false), all);
    let without = [Step::Suspend, Step::Scale(0)];
    assert_eq!(decision(&without).steps_for_now(true), without);
}
