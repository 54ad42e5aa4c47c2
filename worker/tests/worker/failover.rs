//! Several backends, some of them broken.

use crate::support::{Campaign, Scripted, at, counts, nowhere, options, people, placed, reply};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use testkit::{Action, Phase, Sink, SinkOptions};
use worker::{
    Backends, Ended, Progress, Stop,
    backend::{Failure, Kind},
};

fn refused() -> Failure {
    Failure::of_backend(Kind::NotBegun, reply(0, "connection refused"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_can_not_be_reached_is_passed_over_at_once() {
    let sink = Sink::start(SinkOptions::default());
    let campaign = Campaign::to(people(200, "example.com")).await;
    let backends = campaign.backends(&[placed(nowhere("first"), 0, 1), placed(at(&sink, "second"), 1, 1)]);
    let finished = campaign.run(backends, options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(200, |counts| counts.delivered = 200)));
    let settlements = campaign.settlements().await;
    assert!(
        settlements.iter().all(|settlement| settlement.attempt == 1 && settlement.backend.as_deref() == Some("second"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_drops_every_mail_before_its_final_dot_loses_them_to_the_next_within_the_attempt() {
    let script = |moment: &testkit::Moment<'_>| if moment.phase == Phase::Data { Action::Drop } else { Action::Accept };
    let (bad, good) = (Sink::start(SinkOptions::default().script(script)), Sink::start(SinkOptions::default()));
    let campaign = Campaign::to(people(20, "example.com")).await;
    let backends = campaign.backends(&[placed(at(&bad, "bad"), 0, 1), placed(at(&good, "good"), 1, 1)]);
    let finished = campaign.run(backends, options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(20, |counts| counts.delivered = 20)));
    assert!(campaign.settlements().await.iter().all(|settlement| settlement.attempt == 1));
    assert!(good.per_recipient().values().all(|count| *count == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lower_priority_gets_everything_and_equals_share_by_weight() {
    let sinks = [(); 3].map(|()| Sink::start(SinkOptions::default()));
    let campaign = Campaign::to(people(400, "example.com")).await;
    let backends = campaign.backends(&[
        placed(at(&sinks[0], "three"), 0, 3),
        placed(at(&sinks[1], "one"), 0, 1),
        placed(at(&sinks[2], "spare"), 1, 1),
    ]);
    campaign.run(backends, options()).await;
    let got: Vec<_> = sinks.iter().map(Sink::count).collect();
    assert!((295..=305).contains(&got[0]) && got[0] + got[1] == 400 && got[2] == 0, "{got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_closes_again_when_the_backend_is_back_and_no_attempt_is_lost() {
    let calls = Arc::new(AtomicU32::new(0));
    let script = {
        let calls = Arc::clone(&calls);
        move |_: &str, _| if calls.fetch_add(1, Ordering::SeqCst) < 30 { Err(refused()) } else { Ok(reply(250, "ok")) }
    };
    let campaign = Campaign::to(people(50, "example.com")).await;
    let mut options = options();
    options.retry.max_attempts = 100;
    options.retry.initial_backoff = campaign::HumanDuration(Duration::from_millis(5));
    options.retry.max_backoff = campaign::HumanDuration(Duration::from_millis(10));
    let finished = campaign.run(Backends::new("relay", "here", 4, Scripted::new(script)), options).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(50, |counts| counts.delivered = 50)));
    assert!(campaign.settlements().await.iter().all(|settlement| settlement.attempt == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_backend_can_be_reached_the_run_says_which_and_why_and_nothing_is_lost() {
    let campaign = Campaign::to(people(50, "example.com")).await;
    let backend = nowhere("relay");
    let address = format!("127.0.0.1:{}", backend["smtp"]["port"]);
    let finished = campaign.run(campaign.backends(&[backend]), options()).await;
    let Ended::NoBackend(reason) = finished.ended else { panic!("{:?}", finished.ended) };
    assert!(reason.contains("relay") && reason.contains(&address) && reason.contains("refused"), "{reason}");
    assert!(reason.contains("3 times"), "{reason}");
    assert_eq!(finished.counts, counts(50, |counts| counts.pending = 50));

    let sink = Sink::start(SinkOptions::default());
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options()).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(50, |counts| counts.delivered = 50)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_exist_is_told_apart_from_a_refused_connection() {
    let campaign = Campaign::to(people(1, "example.com")).await;
    let backend = json!({"name": "relay", "smtp": {"host": "no-such-host.test", "port": 25, "tls": "None"}});
    let mut options = options();
    options.retry.max_attempts = 1;
    let finished = campaign.run(campaign.backends(&[backend]), options).await;
    let Ended::NoBackend(reason) = finished.ended else { panic!("{:?}", finished.ended) };
    assert!(
        reason.contains("no-such-host.test:25") && reason.contains("name") && !reason.contains("refused"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_can_not_be_written_ends_the_run_without_waiting_for_it() {
    let campaign = Campaign::to(people(20, "example.com")).await;
    let file = campaign.folder.path().join("file");
    std::fs::write(&file, "in the way").expect("written");
    let mut options = options();
    options.retry = campaign::spec::Retry::default();
    let finished = campaign.run(Backends::outbox(&file), options).await;
    let Ended::NoBackend(reason) = finished.ended else { panic!("{:?}", finished.ended) };
    assert!(reason.contains("outbox") && reason.contains(&*file.to_string_lossy()), "{reason}");
    assert_eq!(finished.counts, counts(20, |counts| counts.pending = 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_reported_while_it_lasts() {
    let working = Arc::new(AtomicBool::new(false));
    let script = {
        let working = Arc::clone(&working);
        move |_: &str, _| if working.load(Ordering::SeqCst) { Ok(reply(250, "ok")) } else { Err(refused()) }
    };
    let campaign = Campaign::to(people(5, "example.com")).await;
    let mut options = options();
    options.retry.max_attempts = 1000;
    let (progress, mut seen) = tokio::sync::watch::channel(Progress::default());
    let backends = Backends::new("relay", "mx.example.com:25", 2, Scripted::new(script));
    let run = tokio::spawn(campaign.start(backends, options, &Stop::new(), progress).await);
    let trouble = seen.wait_for(|progress| !progress.troubles.is_empty()).await.expect("a report").troubles[0].clone();
    assert_eq!(
        (&*trouble.backend, &*trouble.address, &*trouble.reason),
        ("relay", "mx.example.com:25", "connection refused")
    );
    assert!(trouble.failures >= 5);
    working.store(true, Ordering::SeqCst);
    let finished = run.await.expect("a task").expect("a run");
    assert_eq!(finished.counts.delivered, 5);
    assert_eq!(seen.borrow().troubles, []);
}
