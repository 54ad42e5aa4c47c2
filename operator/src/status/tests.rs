use super::*;
use crate::lifecycle::{Account, Asked, Journal, Producer, Seen, WaitsFor, Workers, next};
use crate::observed::{Children, Kafka, References};
use crate::resource::{Kind, Named};
use campaign::Counts;
use campaign::status::ConditionType;
use journal::kafka::Survey;
use journal::{Paused, Tally};
use serde_json::json;

fn now() -> Timestamp {
    "2027-03-01T08:00:00.5Z".parse().expect("a time")
}

fn campaign(status: serde_json::Value) -> Campaign {
    serde_json::from_value(json!({
        "metadata": {"name": "offers", "namespace": "hr", "uid": "u", "generation": 3},
        "spec": {}, "status": status,
    }))
    .expect("a campaign")
}

/// 200 mails, of which 150 are done and one is unknown.
fn survey() -> Survey {
    Survey {
        pin: Some(journal::Pin {
            uid: campaign::CampaignUid(uuid::Uuid::nil()),
            contents: [].into(),
            destination: "backends".to_owned(),
            shards: 1,
        }),
        preflight: None,
        tally: Tally { published: 200, invalid: 3, ..Tally::default() },
        published: true,
        paused: None,
        suspended: None,
        obstacle: None,
        counts: Counts {
            total: 203,
            invalid: 3,
            published: 200,
            pending: 50,
            delivered: 149,
            unknown: 1,
            ..Counts::default()
        },
        in_flight: 10,
        left_behind: 0,
        waiting: 0,
        next_due: None,
        partitions: 4,
    }
}

fn seen(journal: Journal) -> Seen {
    Seen {
        asked: Asked::default(),
        held: false,
        has_references: true,
        has_leftovers: false,
        was_pinned: false,
        journal,
        producer: Producer::Absent,
        workers: Workers { exists: true, asked: 2, has_pods: true, wanted: Some(2), has_foreign_autoscaler: false },
    }
}

fn sending() -> Seen {
    let account = Account { is_as_declared: true, pinned: true, published: true, ..Account::default() };
    Seen { producer: Producer::Done, ..seen(Journal::There(account)) }
}

/// What is said of a campaign when this was observed and seen.
fn said<'a>(
    campaign: &'a Campaign,
    observed: &'a Observed,
    seen: &'a Seen,
    change: impl FnOnce(&mut Facts<'a>),
) -> MailCampaignStatus {
    // Kept for as long as the test runs.
    let decision = Box::leak(Box::new(next(seen)));
    let mut facts = Facts {
        campaign,
        valid: None,
        mistakes: &[],
        observed,
        seen,
        decision,
        failed: None,
        trouble: None,
        retry_of_input: None,
        failures: &[],
        pace: Pace { per_second: Some(49.96), done_at: Some(now()), per_worker: 50.0 },
        deletion_until: None,
        now: now(),
    };
    change(&mut facts);
    of(&facts)
}

fn there(survey: Survey) -> Observed {
    Observed { kafka: Kafka::There(Box::new(survey)), ..Observed::default() }
}

/// Status and reason of a condition.
fn of_condition(status: &MailCampaignStatus, which: ConditionType) -> (&str, &str) {
    let condition = status.condition(which).expect("all are there");
    (&condition.status, &condition.reason)
}

#[test]
fn while_mails_are_sent_the_account_and_the_pace_are_told() {
    let status = said(&campaign(json!({})), &there(survey()), &sending(), |_| {});
    let recipients = status.recipients.expect("counts");
    assert_eq!((recipients.total, recipients.delivered, recipients.in_flight, recipients.pending), (203, 149, 10, 50));
    assert_eq!(
        (status.phase, status.progress_percent, status.observed_generation),
        (Some(Phase::Sending), Some(75), Some(3))
    );
    assert_eq!(status.mails_per_second, Some(50.0));
    assert!(status.estimated_completion_time.is_some() && status.completion_time.is_none());
    assert_eq!(status.start_time.as_ref().expect("it began").0.to_string(), "2027-03-01T08:00:00Z");
    assert_eq!(of_condition(&status, ConditionType::Published), ("True", "ListPublished"));
    assert_eq!(of_condition(&status, ConditionType::Degraded), ("True", "UnknownRecipients"));
}

#[test]
fn what_was_said_keeps_its_time_as_long_as_it_holds() {
    let first = said(&campaign(json!({})), &there(survey()), &sending(), |_| {});
    let before = campaign(serde_json::to_value(&first).expect("JSON"));
    let later = "2027-03-01T09:00:00Z".parse().expect("a time");
    let done = Survey { counts: Counts { pending: 0, delivered: 199, ..survey().counts }, ..survey() };
    let second = said(&before, &there(done), &sending(), |facts| facts.now = later);
    let time =
        |status: &MailCampaignStatus, which| status.condition(which).expect("there").last_transition_time.0.to_string();
    assert_eq!(time(&second, ConditionType::Published), "2027-03-01T08:00:00Z");
    assert_eq!(second.start_time, first.start_time);
}

#[test]
fn what_does_not_change_is_said_in_the_same_words() {
    let first = said(&campaign(json!({})), &there(survey()), &sending(), |_| {});
    let before = campaign(serde_json::to_value(&first).expect("JSON"));
    let second = said(&before, &there(survey()), &sending(), |facts| {
        facts.now = "2027-03-01T10:00:00Z".parse().expect("a time");
    });
    assert_eq!(before.status.as_deref(), Some(&second));
}

#[test]
fn progress_is_rounded_down_so_that_all_means_all() {
    let counts = |delivered| RecipientCounts {
        published: 1000,
        delivered,
        pending: 1000 - delivered,
        ..RecipientCounts::default()
    };
    assert_eq!([0, 9, 10, 999, 1000].map(|delivered| percent(&counts(delivered))), [0, 0, 1, 99, 100].map(Some));
    assert_eq!(percent(&RecipientCounts::default()), None);
}

#[test]
fn each_wait_is_told_with_a_reason_and_what_to_do() {
    let missing = vec![Named { kind: Kind::ConfigMap, name: "list".to_owned() }];
    let paused = Survey {
        paused: Some(Paused {
            reason: "relay: 554 blocked".to_owned(),
            at: "2027-03-01T07:00:00Z".parse().expect("a time"),
        }),
        ..survey()
    };
    let none = Observed::default();
    let with_kafka = |kafka| Observed { kafka, ..Observed::default() };
    let account = Account { is_as_declared: true, pinned: true, published: true, ..Account::default() };
    let table = [
        (
            Observed { references: References { missing, ..References::default() }, ..none.clone() },
            Seen { has_references: false, ..seen(Journal::Absent { already_sent: false }) },
            ("Pending", "ReferenceNotFound", "ConfigMap list"),
        ),
        (
            with_kafka(Kafka::Silent { why: "a:1 refused".to_owned(), last: None }),
            seen(Journal::Silent(None)),
            ("Pending", "KafkaUnavailable", "a:1 refused"),
        ),
        (
            with_kafka(Kafka::Absent { sent: vec!["abc".to_owned()] }),
            seen(Journal::Absent { already_sent: true }),
            ("Failed", "AlreadySent", "kubectl annotate mc offers -n hr --overwrite mailcampaign.io/send-again=abc"),
        ),
        (
            with_kafka(Kafka::Gone { why: "the topic x is gone".to_owned() }),
            seen(Journal::Gone),
            ("Failed", "TopicsGone", "the topic x is gone"),
        ),
        (
            there(paused),
            seen(Journal::There(Account { paused: true, ..account })),
            ("Paused", "Paused", "mailcampaign.io/resume=2027-03-01T07:00:00Z"),
        ),
        (
            there(survey()),
            Seen { asked: Asked { suspend: true, ..Asked::default() }, ..seen(Journal::There(account)) },
            ("Paused", "Suspended", "spec.suspend"),
        ),
        (
            Observed { leftovers: vec!["Job offers-producer".to_owned()], ..none },
            Seen { has_leftovers: true, ..seen(Journal::Absent { already_sent: false }) },
            ("Pending", "LeftoversOfAnother", "Job offers-producer"),
        ),
    ];
    for (observed, seen, (phase, reason, words)) in table {
        let status = said(&campaign(json!({})), &observed, &seen, |_| {});
        assert_eq!(status.phase.map(Phase::name), Some(phase), "{reason}");
        assert_eq!(of_condition(&status, ConditionType::Progressing), ("False", reason));
        let message = &status.condition(ConditionType::Progressing).expect("there").message;
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_mistake_is_told_with_its_place_and_many_are_cut() {
    let mistakes: Vec<Mistake> =
        (0..12).map(|number| Mistake::new(format!("spec.field{number}"), "is wrong")).collect();
    let seen = Seen { asked: Asked { is_invalid: true, ..Asked::default() }, ..seen(Journal::Silent(None)) };
    let status = said(&campaign(json!({})), &Observed::default(), &seen, |facts| facts.mistakes = &mistakes);
    let message = &status.condition(ConditionType::Progressing).expect("there").message;
    assert!(message.contains("spec.field0: is wrong") && message.ends_with("and 2 more"), "{message}");
}

#[test]
fn what_was_pinned_stays_validated_when_the_resource_comes_to_break_a_rule() {
    let first = said(&campaign(json!({})), &there(survey()), &sending(), |_| {});
    let before = campaign(serde_json::to_value(&first).expect("JSON"));
    let mistakes = [Mistake::new("spec.delivery.window.timeZone", "there is no such time zone")];
    let asked = Asked { is_invalid: true, ..Asked::default() };
    for (observed, journal) in [
        (there(survey()), sending().journal),
        (
            Observed { kafka: Kafka::Silent { why: "refused".to_owned(), last: None }, ..Observed::default() },
            Journal::Silent(None),
        ),
    ] {
        let status = said(&before, &observed, &Seen { asked, ..seen(journal) }, |facts| facts.mistakes = &mistakes);
        assert_eq!(of_condition(&status, ConditionType::Validated), ("True", "ContentPinned"));
        assert_eq!(of_condition(&status, ConditionType::Progressing), ("False", "InvalidSpec"));
        assert_eq!(of_condition(&status, ConditionType::Degraded), ("True", "InvalidSpec"));
        assert_eq!(status.recipients.expect("counts").delivered, 149);
    }
}

#[test]
fn topics_that_somebody_made_anew_are_told() {
    let empty = Survey { pin: None, published: false, counts: Counts::default(), in_flight: 0, ..survey() };
    let account = Account { is_as_declared: true, ..Account::default() };
    let seen = Seen { was_pinned: true, ..seen(Journal::There(account)) };
    let status = said(&campaign(json!({})), &there(empty), &seen, |_| {});
    for which in [ConditionType::TopicsReady, ConditionType::Progressing] {
        assert_eq!(of_condition(&status, which), ("False", "TopicsGone"));
        assert!(status.condition(which).expect("there").message.contains("are empty"));
    }
}

#[test]
fn when_bad_input_is_looked_at_again_is_told() {
    let trouble = Trouble { reason: "BadInput", message: "list.csv, row 2".to_owned(), lasting: true };
    let account = Account { is_as_declared: true, ..Account::default() };
    let seen = Seen { producer: Producer::Failed { may_retry: false }, ..seen(Journal::There(account)) };
    let observed = there(Survey { pin: None, published: false, ..survey() });
    let message = |after| {
        let status = said(&campaign(json!({})), &observed, &seen, |facts| {
            (facts.trouble, facts.retry_of_input) = (Some(&trouble), after);
        });
        status.condition(ConditionType::Progressing).expect("there").message.clone()
    };
    assert_eq!(message(None), "list.csv, row 2");
    assert_eq!(message(Some(SignedDuration::from_mins(5))), "list.csv, row 2; it is tried again every 5 minutes");
}

#[test]
fn a_pod_that_does_not_run_is_told_where_it_matters() {
    let trouble = Trouble { reason: "ImagePullFailed", message: "can't be pulled".to_owned(), lasting: false };
    let observed = Observed { children: Children::default(), ..there(survey()) };
    let status = said(&campaign(json!({})), &observed, &sending(), |facts| facts.trouble = Some(&trouble));
    assert_eq!(of_condition(&status, ConditionType::Degraded), ("True", "ImagePullFailed"));
}

#[test]
fn mails_that_nobody_knows_of_are_told_also_when_something_else_was_worse_at_the_end() {
    let done = || Survey {
        counts: Counts { total: 200, published: 200, delivered: 198, unknown: 2, ..Counts::default() },
        in_flight: 0,
        ..survey()
    };
    let account = Account { is_as_declared: true, pinned: true, published: true, ended: true, ..Account::default() };
    let seen = Seen { workers: Workers { wanted: Some(0), ..Workers::default() }, ..seen(Journal::There(account)) };
    let trouble = Trouble { reason: "WorkerFailed", message: "killed".to_owned(), lasting: false };
    let first = said(&campaign(json!({})), &there(done()), &seen, |facts| facts.trouble = Some(&trouble));
    assert_eq!(of_condition(&first, ConditionType::Degraded), ("True", "WorkerFailed"));
    let before = campaign(serde_json::to_value(&first).expect("JSON"));
    let later = said(&before, &Observed::default(), &seen, |_| {});
    assert_eq!(of_condition(&later, ConditionType::Degraded), ("True", "UnknownRecipients"));
    let message = &later.condition(ConditionType::Degraded).expect("there").message;
    assert!(message.starts_with("of 2 mails nobody knows"), "{message}");
}

#[test]
fn that_no_backend_takes_mails_is_told_as_long_as_a_worker_says_so() {
    let reason = "backend relay (mx.example.com:587): the server offers no AUTH";
    let told = |seconds: i64| {
        let at = now() - jiff::SignedDuration::from_secs(seconds);
        let obstacle = Some(journal::Obstacle { reason: reason.to_owned(), at });
        said(&campaign(json!({})), &there(Survey { obstacle, ..survey() }), &sending(), |_| {})
    };
    let fresh = told(100);
    assert_eq!(of_condition(&fresh, ConditionType::Degraded), ("True", "NoBackend"));
    assert_eq!(of_condition(&fresh, ConditionType::Progressing), ("False", "NoBackend"));
    let message = &fresh.condition(ConditionType::Degraded).expect("there").message;
    assert!(message.contains(reason) && message.contains("spec.delivery.backends"), "{message}");
    let old = told(200);
    assert_eq!(of_condition(&old, ConditionType::Degraded), ("True", "UnknownRecipients"));
    assert_eq!(of_condition(&old, ConditionType::Progressing), ("True", "Sending"));
}

#[test]
fn the_end_is_told_and_stays_told_when_nobody_asks_any_more() {
    let done = Survey {
        counts: Counts { total: 200, published: 200, delivered: 200, ..Counts::default() },
        in_flight: 0,
        ..survey()
    };
    let account = Account { is_as_declared: true, pinned: true, published: true, ended: true, ..Account::default() };
    let seen = Seen { workers: Workers { wanted: Some(0), ..Workers::default() }, ..seen(Journal::There(account)) };
    assert_eq!(next(&seen).waits_for, WaitsFor::Nothing);
    let first = said(&campaign(json!({})), &there(done), &seen, |_| {});
    assert_eq!((first.phase, first.progress_percent), (Some(Phase::Completed), Some(100)));
    assert_eq!(first.condition(ConditionType::Complete).expect("there").message, "200 delivered");
    assert!(first.mails_per_second.is_none() && first.completion_time.is_some());
    let before = campaign(serde_json::to_value(&first).expect("JSON"));
    let second = said(&before, &Observed::default(), &seen, |_| {});
    assert_eq!(Some(&second), before.status.as_deref());
}
