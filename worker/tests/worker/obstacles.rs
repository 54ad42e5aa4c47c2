//! Backends that can't be used: a worker that stays says in the journal why nothing is sent, as long as that is so.

use crate::{
    member::{Group, until, until_counts},
    support::{Campaign, Scripted, at, nowhere, options, people, reply},
};
use campaign::{HumanDuration, spec::Retry};
use journal::{Journal, Obstacle, Share};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use testkit::{Sink, SinkOptions};
use worker::{
    Backends, Ended, Options, Stop, Until,
    backend::{Failure, Kind},
};

fn staying() -> Options {
    Options { until: Until::Stopped, ..options() }
}

/// The same, with a wait after the first failures that no test sees the end of: nothing but an obstacle is committed then.
fn patient() -> Options {
    let hour = HumanDuration(Duration::from_hours(1));
    Options { retry: Retry { initial_backoff: hour, max_backoff: hour, ..Retry::default() }, ..staying() }
}

/// What is told, once it is as wanted; half a minute at most.
async fn told(campaign: &Campaign, holds: impl Fn(Option<&Obstacle>) -> bool) -> Option<Obstacle> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let obstacle = campaign.journal.obstacle().await.expect("read");
        if holds(obstacle.as_ref()) {
            return obstacle;
        }
        assert!(Instant::now() < deadline, "not within half a minute: {obstacle:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The reason that is told.
async fn reason(campaign: &Campaign) -> String {
    told(campaign, |obstacle| obstacle.is_some()).await.expect("told").reason
}

/// Waits until the journal was asked for rows so many times more; at rest that is twice a second.
async fn asked_on(group: &Group, times: usize) {
    let asked = || group.takes.lock().expect("a lock").len();
    let before = asked();
    until("the journal is asked on", || asked() >= before + times).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_offers_no_login_is_told_until_it_offers_one() {
    let sink = Sink::start(SinkOptions::default());
    let (address, backend) = (sink.addr().to_string(), at(&sink, "relay"));
    let campaign = Campaign::to(people(20, "example.com")).await;
    let (group, stop) = (Group::new(), Stop::new());
    let run = group.start(&campaign, campaign.backend_with_login(backend), staying(), &stop).await;
    let reason = reason(&campaign).await;
    assert!(reason.starts_with(&format!("backend relay ({address}): the server offers no AUTH")), "{reason}");

    drop(sink);
    let sink = Sink::start(SinkOptions::default().listen(&address).user("ann", "secret"));
    assert_eq!(told(&campaign, |obstacle| obstacle.is_none()).await, None);
    until_counts(&campaign, |counts| counts.delivered == 20).await;
    assert_eq!((sink.count(), campaign.journal.obstacle().await.expect("read")), (20, None));
    stop.gracefully();
    run.await.expect("a task").expect("a run");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_backend_is_named_with_its_reason_and_no_recipient_is_and_it_is_written_once_a_minute() {
    let busy = |to: &str, _| Err(Failure::of_backend(Kind::NotBegun, reply(421, &format!("<{to}> not now"))));
    let campaign = Campaign::to(people(20, "example.com")).await;
    let backends = Backends::new("first", "mx.example.com:25", 2, Scripted::new(busy)).with(
        "second",
        "spare.example.com:25",
        (1, 1),
        2,
        Scripted::new(busy),
    );
    let (group, stop) = (Group::new(), Stop::new());
    let run = group.start(&campaign, backends, patient(), &stop).await;
    let expected =
        "backend first (mx.example.com:25): 421 <…> not now; backend second (spare.example.com:25): 421 <…> not now";
    assert_eq!(reason(&campaign).await, expected);
    until("all are handed back", || group.released.lock().expect("a lock").len() == 20).await;
    asked_on(&group, 1).await;
    let commits = || group.commits.lock().expect("a lock").len();
    let before = commits();
    asked_on(&group, 4).await;
    assert_eq!(commits(), before, "nothing is written in two seconds");
    stop.gracefully();
    run.await.expect("a task").expect("a run");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_is_tried_nothing_is_told() {
    let without_a_share = |group: &Group, is: bool| {
        *group.share.lock().expect("a lock") = Share { owned: if is { 0 } else { 4 }, of: 4 };
    };
    let paused = |group: &Group, is: bool| group.paused.store(is, Ordering::SeqCst);
    for hinder in [without_a_share as fn(&Group, bool), paused] {
        let (group, stop, calls) = (Group::new(), Stop::new(), AtomicUsize::new(0));
        let hindered = Arc::clone(&group);
        let backend = Scripted::new(move |_, _| {
            // With this failure the backend is left alone.
            if calls.fetch_add(1, Ordering::SeqCst) == 4 {
                hinder(&hindered, true);
            }
            Err(Failure::of_backend(Kind::NotBegun, reply(0, "connection refused")))
        });
        let campaign = Campaign::to(people(20, "example.com")).await;
        let backends = Backends::new("relay", "here", 4, backend.clone());
        let run = group.start(&campaign, backends, patient(), &stop).await;
        until("the backend is left alone", || backend.calls().len() >= 5).await;
        asked_on(&group, 4).await;
        assert_eq!(campaign.journal.obstacle().await.expect("read"), None);
        hinder(&group, false);
        assert_eq!(reason(&campaign).await, "backend relay (here): connection refused");
        stop.gracefully();
        run.await.expect("a task").expect("a run");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_takes_back_what_it_has_told_if_the_journal_lets_it_and_ends_in_time_if_not() {
    let campaign = Campaign::to(people(5, "example.com")).await;
    for (is_down, is_mute) in [(false, false), (true, false), (false, true)] {
        let (group, stop) = (Group::new(), Stop::new());
        let before = campaign.journal.obstacle().await.expect("read");
        let run = group.start(&campaign, campaign.backends(&[nowhere("relay")]), patient(), &stop).await;
        told(&campaign, |obstacle| obstacle.is_some() && obstacle != before.as_ref()).await;
        until("all are handed back", || group.released.lock().expect("a lock").len() == 5).await;
        asked_on(&group, 1).await;
        group.down.store(is_down, Ordering::SeqCst);
        group.mute.store(is_mute, Ordering::SeqCst);
        if is_down {
            until("that is noticed", || group.failed.load(Ordering::SeqCst) > 0).await;
        }
        stop.gracefully();
        let asked = Instant::now();
        assert_eq!(run.await.expect("a task").expect("a run").ended, Ended::Stopped);
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
        let left = campaign.journal.obstacle().await.expect("read");
        assert_eq!(left.is_some(), is_down || is_mute, "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_gives_up_by_itself_tells_no_obstacle() {
    let campaign = Campaign::to(people(5, "example.com")).await;
    let options = Options { obstacle_after: Duration::ZERO, ..options() };
    let finished = campaign.run(campaign.backends(&[nowhere("relay")]), options).await;
    assert!(matches!(finished.ended, Ended::NoBackend(_)), "{:?}", finished.ended);
    assert_eq!(campaign.journal.obstacle().await.expect("read"), None);
}
