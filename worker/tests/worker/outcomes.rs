//! What a server says, and what becomes of the message.

use crate::support::{Campaign, at, counts, name, options, people};
use campaign::{Outcome, spec::OnUnknown};
use serde_json::json;
use std::{collections::HashSet, time::Duration};
use testkit::{Action, Moment, Phase, Sink, SinkOptions};
use worker::Ended;

/// A sink that does `action` in a phase, as long as `when` holds.
fn sink(phase: Phase, action: Action, when: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static) -> Sink {
    let script = move |moment: &Moment<'_>| {
        if moment.phase == phase && when(moment) { action.clone() } else { Action::Accept }
    };
    Sink::start(SinkOptions::default().script(script))
}

fn always(_: &Moment<'_>) -> bool {
    true
}

fn first_time(moment: &Moment<'_>) -> bool {
    moment.attempt == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_exactly_one_mail() {
    let sink = Sink::start(SinkOptions::default());
    let campaign = Campaign::to(people(1000, "example.com")).await;
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(1000, |counts| counts.delivered = 1000)));
    let got = sink.per_recipient();
    assert!(got.len() == 1000 && got.values().all(|count| *count == 1), "{got:?}");
    sink.assert_no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_450_is_tried_again_until_it_is_delivered() {
    let sink = sink(Phase::Rcpt, Action::reply(450, "4.2.0 later"), |moment| moment.attempt <= 2);
    let campaign = Campaign::to(people(5, "example.com")).await;
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(5, |counts| counts.delivered = 5)));
    assert!(campaign.settlements().await.iter().all(|settlement| settlement.attempt == 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_450_that_stays_is_dead_after_the_allowed_attempts() {
    let sink = sink(Phase::Rcpt, Action::reply(450, "4.2.0 later"), always);
    let campaign = Campaign::to(people(1, "example.com")).await;
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(1, |counts| counts.dead = 1)));
    let settlement = campaign.settlement().await;
    assert_eq!((settlement.attempt, settlement.backend.as_deref()), (3, Some("relay")));
    assert_eq!(settlement.outcome.reply().map(|reply| reply.code), Some(450));
    assert_eq!(sink.count_of("RCPT"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_address_is_rejected_and_nobody_else_suffers() {
    let sink = sink(Phase::Rcpt, Action::reply(550, "5.1.1 no such user"), |moment| moment.recipient.starts_with("p1"));
    let campaign = Campaign::to(people(10, "example.com")).await;
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options()).await;
    let expected = counts(10, |counts| (counts.delivered, counts.rejected) = (9, 1));
    assert_eq!((finished.ended, finished.counts), (Ended::Done, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_refused_mails_stop_the_run_and_the_rest_stays_pending() {
    let sink = sink(Phase::Rcpt, Action::reply(550, "5.7.1 blocked, see the policy"), always);
    let campaign = Campaign::to(people(300, "example.com")).await;
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options()).await;
    let Ended::Paused(reason) = finished.ended else { panic!("{:?}", finished.ended) };
    assert!(reason.contains("refused") && reason.contains("blocked, see the policy"), "{reason}");
    let counts = finished.counts;
    assert!(counts.refused >= 20 && counts.refused + counts.pending == 300, "{counts:?}");
    assert!(counts.pending > 0, "{counts:?}");
    let paused = journal::Journal::paused(&campaign.journal).await.expect("read");
    assert_eq!(paused.map(|paused| paused.reason), Some(reason));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sender_stops_the_run_at_once() {
    for (phase, code) in [(Phase::Mail, 550), (Phase::Greeting, 554), (Phase::Auth, 535)] {
        let action = Action::reply(code, "5.7.8 not you");
        let script = move |moment: &Moment<'_>| if moment.phase == phase { action.clone() } else { Action::Accept };
        let mut sink = SinkOptions::default().script(script);
        let campaign = Campaign::to(people(50, "example.com")).await;
        if phase == Phase::Auth {
            sink = sink.user("ann", "secret");
        }
        let sink = Sink::start(sink);
        let backend = at(&sink, "relay");
        let backends = match phase {
            Phase::Auth => campaign.backend_with_login(backend),
            _ => campaign.backends(&[backend]),
        };
        let finished = campaign.run(backends, options()).await;
        let Ended::Paused(reason) = finished.ended else { panic!("{phase:?}: {:?}", finished.ended) };
        assert!(reason.contains("the sender is refused") && reason.contains("not you"), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
        let counts = finished.counts;
        assert!(counts.refused >= 1 && counts.refused + counts.pending == 50, "{phase:?}: {counts:?}");
        assert!(counts.refused <= 8, "no more than were under way, {phase:?}: {counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_before_the_final_dot_costs_an_attempt_and_nothing_else() {
    for action in [Action::Drop, Action::reply(421, "4.3.2 closing")] {
        let sink = sink(Phase::Data, action, first_time);
        let campaign = Campaign::to(people(3, "example.com")).await;
        let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options()).await;
        assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(3, |counts| counts.delivered = 3)));
        assert!(sink.per_recipient().values().all(|count| *count == 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_hold_a_connection_lost_after_the_final_dot_is_unknown_and_nobody_gets_it_twice() {
    let sink = sink(Phase::FinalDot, Action::RecordAndDrop, first_time);
    let campaign = Campaign::to(people(3, "example.com")).await;
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(3, |counts| counts.unknown = 3)));
    assert_eq!(sink.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_resend_it_is_sent_again_with_the_same_message_id() {
    let sink = sink(Phase::FinalDot, Action::RecordAndDrop, first_time);
    let campaign = Campaign::to(people(3, "example.com")).await;
    let options = worker::Options { on_unknown: OnUnknown::Resend, ..options() };
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(3, |counts| counts.delivered = 3)));
    let ids: HashSet<_> = sink.received().into_iter().map(|mail| (mail.to, mail.message_id)).collect();
    assert_eq!((sink.count(), ids.len()), (6, 3), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_the_final_dot_is_unknown_when_its_time_is_up() {
    let sink = sink(Phase::FinalDot, Action::Stall, always);
    let campaign = Campaign::to(people(2, "example.com")).await;
    let mut backend = at(&sink, "relay");
    backend["smtp"]["timeouts"] = json!({"finalDot": "200ms"});
    let finished = campaign.run(campaign.backends(&[backend]), options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(2, |counts| counts.unknown = 2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_can_not_be_made_is_dead_with_the_reason_and_reaches_nobody() {
    let sink = Sink::start(SinkOptions::default());
    let campaign = Campaign::to(people(2, "example.com")).await.with_subject("{{ Nmae }}");
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(2, |counts| counts.dead = 2)));
    for settlement in campaign.settlements().await {
        let Outcome::Dead { reply } = settlement.outcome else { panic!("{}", name(&settlement.outcome)) };
        assert!(reply.code == 0 && reply.text.contains("Nmae"), "{reply:?}");
    }
    assert_eq!(sink.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_too_old_to_be_tried_again_is_dead_before_its_attempts_are_used_up() {
    let sink = sink(Phase::Rcpt, Action::reply(450, "4.2.0 later"), always);
    let campaign = Campaign::to(people(1, "example.com")).await;
    let mut options = options();
    options.retry.max_attempts = 1000;
    options.retry.max_age = campaign::HumanDuration(Duration::from_millis(400));
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(1, |counts| counts.dead = 1)));
    assert!((2..100).contains(&sink.count_of("RCPT")), "{}", sink.count_of("RCPT"));
}
