//! One worker of several: it stays, obeys its leases and its share, and waits for better times.

use crate::{
    member::{Group, until, until_counts},
    support::{Campaign, Scripted, at, counts, options, people, reply},
};
use campaign::spec::Rate;
use journal::{Command, Error, Journal, Share};
use prometheus::{Registry, TextEncoder};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use testkit::{Action, Moment, Phase, Sink, SinkOptions};
use worker::{
    Backends, Ended, Grace, Metrics, Options, Stop, Until,
    backend::{Failure, Kind},
};

fn staying() -> Options {
    Options { until: Until::Stopped, ..options() }
}

fn one(backend: &Scripted) -> Backends {
    Backends::new("relay", "here", 4, backend.clone())
}

/// A flag for a backend's script.
fn flag() -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    (Arc::clone(&flag), flag)
}

/// The sum of a metric over its labels; those whose line has the text.
fn value(registry: &Registry, name: &str, with: &str) -> f64 {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(with));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

fn each_got_one(sink: &Sink, number: usize) {
    let got = sink.per_recipient();
    assert!(got.len() == number && got.values().all(|count| *count == 1), "{got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_begun_when_its_lease_is_closed_is_handed_back_at_once_and_sent_once() {
    let script = |moment: &Moment<'_>| {
        if moment.phase == Phase::FinalDot { Action::RecordAndStall } else { Action::Accept }
    };
    let sink = Sink::start(SinkOptions::default().script(script));
    let campaign = Campaign::to(people(50, "example.com")).await;
    let (group, stop) = (Group::new(), Stop::new());
    let run = group.start(&campaign, campaign.backends(&[at(&sink, "relay")]), staying(), &stop).await;
    until("four mails wait for their reply", || sink.count_of(".") == 4).await;
    group.take_leases().values().for_each(journal::Lease::close_begin);
    let closed = Instant::now();
    // Eight lanes may have begun theirs.
    until("the others are handed back", || group.released.lock().expect("a lock").len() >= 42).await;
    assert!(closed.elapsed() < Duration::from_secs(2), "{:?}", closed.elapsed());
    sink.release();
    until_counts(&campaign, |counts| counts.delivered == 50).await;
    stop.gracefully();
    assert_eq!(run.await.expect("a task").expect("a run").ended, Ended::Stopped);
    each_got_one(&sink, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_whose_lease_is_closed_before_its_final_dot_is_cut_and_handed_back() {
    let stalls = AtomicU32::new(4);
    let script = move |moment: &Moment<'_>| {
        let stall = moment.phase == Phase::Rcpt
            && stalls.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if stall { Action::Stall } else { Action::Accept }
    };
    let sink = Sink::start(SinkOptions::default().script(script));
    let campaign = Campaign::to(people(20, "example.com")).await;
    let (group, stop) = (Group::new(), Stop::new());
    let run = group.start(&campaign, campaign.backends(&[at(&sink, "relay")]), staying(), &stop).await;
    until("four mails are held up", || sink.count_of("RCPT") == 4).await;
    group.take_leases().values().for_each(journal::Lease::close_finish);
    until("the leases are obeyed", || group.released.lock().expect("a lock").len() >= 4).await;
    sink.release();
    until_counts(&campaign, |counts| counts.delivered == 20).await;
    stop.gracefully();
    run.await.expect("a task").expect("a run");
    each_got_one(&sink, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_share_wants_nothing_and_begins_when_it_gets_one() {
    let campaign = Campaign::to(people(20, "example.com")).await;
    let backend = Scripted::that_takes_everything();
    let (group, stop) = (Group::new(), Stop::new());
    *group.share.lock().expect("a lock") = Share { owned: 0, of: 4 };
    let run = group.start(&campaign, one(&backend), staying(), &stop).await;
    until("the journal is asked all the same", || group.takes.lock().expect("a lock").len() >= 2).await;
    assert!(group.takes.lock().expect("a lock").iter().all(|(_, max)| *max == 0));
    *group.share.lock().expect("a lock") = Share { owned: 4, of: 4 };
    until_counts(&campaign, |counts| counts.delivered == 20).await;
    stop.gracefully();
    run.await.expect("a task").expect("a run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stays_pauses_for_a_refused_sender_and_goes_on_when_it_is_resumed() {
    let (mended, flag) = flag();
    let refused = || Failure::of_mail(Kind::SenderRefused, reply(535, "no such user"));
    let backend =
        Scripted::new(move |_, _| if flag.load(Ordering::SeqCst) { Ok(reply(250, "queued")) } else { Err(refused()) });
    let campaign = Campaign::to(people(50, "example.com")).await;
    let (group, stop, registry) = (Group::new(), Stop::new(), Registry::new());
    let metrics = Metrics::new(&registry).expect("registered");
    let run = group.start(&campaign, one(&backend), Options { metrics, ..staying() }, &stop).await;
    until_counts(&campaign, |counts| counts.refused > 0 && counts.refused + counts.pending == 50).await;
    until("the pause is told", || value(&registry, "mailcampaign_paused", "").to_bits() == 1_f64.to_bits()).await;
    let tried = backend.calls().len();
    assert!(tried <= 8, "{tried} tried though the first was refused");
    // It has been asked often enough since to have sent something.
    let asked = group.takes.lock().expect("a lock").len();
    until("the journal is asked on", || group.takes.lock().expect("a lock").len() > asked + 3).await;
    assert_eq!((backend.calls().len(), run.is_finished()), (tried, false));
    mended.store(true, Ordering::SeqCst);
    campaign.journal.command(Command::Resume).await.expect("resumed");
    until_counts(&campaign, |counts| counts.delivered == 50).await;
    stop.gracefully();
    let finished = run.await.expect("a task").expect("a run");
    assert_eq!((finished.ended, finished.counts), (Ended::Stopped, counts(50, |counts| counts.delivered = 50)));
    assert!(value(&registry, "mailcampaign_mails_total", "outcome=\"delivered\"") >= 50.0);
    assert!(value(&registry, "mailcampaign_mails_total", "outcome=\"refused\"") >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stays_idles_when_all_is_done_and_takes_up_what_is_queued_again() {
    let (mended, flag) = flag();
    let unsendable = || Failure::of_mail(Kind::Unsendable, reply(0, "too large"));
    let backend = Scripted::new(
        move |_, _| if flag.load(Ordering::SeqCst) { Ok(reply(250, "queued")) } else { Err(unsendable()) },
    );
    let campaign = Campaign::to(people(3, "example.com")).await;
    let (group, stop) = (Group::new(), Stop::new());
    let run = group.start(&campaign, one(&backend), staying(), &stop).await;
    until_counts(&campaign, |counts| counts.dead == 3).await;
    let at_rest = || {
        let takes = group.takes.lock().expect("a lock");
        takes.len() > 3
            && takes[takes.len() - 3..].windows(2).all(|two| two[1].0 - two[0].0 >= Duration::from_millis(450))
    };
    until("it wakes up twice a second", at_rest).await;
    let commits = group.commits.lock().expect("a lock").len();
    mended.store(true, Ordering::SeqCst);
    campaign.journal.command(Command::ReplayDead { code: None }).await.expect("queued again");
    let queued = Instant::now();
    until_counts(&campaign, |counts| counts.delivered == 3).await;
    assert!(queued.elapsed() < Duration::from_secs(2), "{:?}", queued.elapsed());
    assert!(!run.is_finished() && commits <= 4, "{commits}");
    stop.gracefully();
    assert_eq!(run.await.expect("a task").expect("a run").ended, Ended::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stays_tries_its_backends_for_ever_and_burns_no_attempts() {
    let (mended, flag) = flag();
    let nowhere = || Failure::of_backend(Kind::NotBegun, reply(0, "connection refused"));
    let backend =
        Scripted::new(move |_, _| if flag.load(Ordering::SeqCst) { Ok(reply(250, "queued")) } else { Err(nowhere()) });
    let campaign = Campaign::to(people(20, "example.com")).await;
    let (group, stop, registry) = (Group::new(), Stop::new(), Registry::new());
    let metrics = Metrics::new(&registry).expect("registered");
    let run = group.start(&campaign, one(&backend), Options { metrics, ..staying() }, &stop).await;
    // Far more probes than the three after which a run that is to be done gives up.
    until("it is probed again and again", || backend.calls().len() >= 20).await;
    assert!(!run.is_finished());
    until("the breaker is told", || value(&registry, "mailcampaign_breaker_state", "relay") >= 1.0).await;
    mended.store(true, Ordering::SeqCst);
    until_counts(&campaign, |counts| counts.delivered == 20).await;
    stop.gracefully();
    run.await.expect("a task").expect("a run");
    assert!(campaign.settlements().await.iter().all(|settlement| settlement.attempt == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_journal_is_away_nothing_is_begun_and_its_results_are_written_when_it_is_back() {
    let campaign = Campaign::to(people(50, "example.com")).await;
    let (group, stop, registry) = (Group::new(), Stop::new(), Registry::new());
    let (away, calls) = (Arc::clone(&group), AtomicU32::new(0));
    let backend = Scripted::new(move |_, _| {
        if calls.fetch_add(1, Ordering::SeqCst) == 4 {
            away.down.store(true, Ordering::SeqCst);
        }
        Ok(reply(250, "queued"))
    });
    // Half a second's worth is claimed ahead.
    let rate = Some(Rate { per_second: Some(50.0), per_domain: None });
    let options = Options { rate, metrics: Metrics::new(&registry).expect("registered"), ..staying() };
    let ready = options.health.ready();
    let run = group.start(&campaign, one(&backend), options, &stop).await;
    until("it is not ready", || ready.check().is_err_and(|why| why.contains("can't be reached"))).await;
    until("it tries again", || group.failed.load(Ordering::SeqCst) >= 2).await;
    let sent = backend.calls().len();
    assert!(sent < 25, "{sent} though the journal was away");
    until("it tries again", || group.failed.load(Ordering::SeqCst) >= 4).await;
    assert_eq!(backend.calls().len(), sent, "nothing is begun");
    assert_eq!(value(&registry, "mailcampaign_journal_reachable", "").to_bits(), 0_f64.to_bits());
    group.down.store(false, Ordering::SeqCst);
    until_counts(&campaign, |counts| counts.delivered == 50).await;
    assert_eq!(ready.check(), Ok(()));
    stop.gracefully();
    run.await.expect("a task").expect("a run");
    assert_eq!(backend.calls().len(), 50, "nobody twice");
    assert!(value(&registry, "mailcampaign_journal_errors_total", "") >= 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_does_not_answer_holds_the_sending_up_and_a_stop_is_obeyed_all_the_same() {
    let campaign = Campaign::to(people(50, "example.com")).await;
    let (group, stop) = (Group::new(), Stop::new());
    let (silent, calls) = (Arc::clone(&group), AtomicU32::new(0));
    let backend = Scripted::new(move |_, _| {
        if calls.fetch_add(1, Ordering::SeqCst) == 4 {
            silent.hangs.store(true, Ordering::SeqCst);
        }
        Ok(reply(250, "queued"))
    });
    let options = Options { max_in_flight: 10, grace: Grace::within(Duration::from_millis(500)), ..staying() };
    let ready = options.health.ready();
    let run = group.start(&campaign, one(&backend), options, &stop).await;
    until("it has begun", || ready.check().is_ok()).await;
    until("it is not ready any more", || ready.check().is_err()).await;
    assert!(backend.calls().len() <= 20);
    stop.gracefully();
    let asked = Instant::now();
    let error = run.await.expect("a task").expect_err("what was sent could not be written");
    assert!(matches!(error, worker::Error::JournalSilent) && error.is_transient(), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_journal_is_away_ends_within_its_grace_and_says_why() {
    let campaign = Campaign::to(people(5, "example.com")).await;
    let (group, stop) = (Group::new(), Stop::new());
    group.down.store(true, Ordering::SeqCst);
    let backend = Scripted::that_takes_everything();
    let options = Options { grace: Grace::within(Duration::from_secs(1)), ..staying() };
    let run = group.start(&campaign, one(&backend), options, &stop).await;
    until("it tries again", || group.failed.load(Ordering::SeqCst) >= 2).await;
    assert!(!run.is_finished());
    stop.gracefully();
    let asked = Instant::now();
    // Nothing was claimed, so that there is nothing to be written.
    assert_eq!(run.await.expect("a task").expect("a run").ended, Ended::Stopped);
    assert!(asked.elapsed() < Duration::from_secs(2) && backend.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_rows_are_anothers_ends_with_the_reason() {
    let campaign = Campaign::to(people(5, "example.com")).await;
    let (group, stop) = (Group::new(), Stop::new());
    let backend = Scripted::that_takes_everything();
    let run = group.start(&campaign, one(&backend), staying(), &stop).await;
    until_counts(&campaign, |counts| counts.delivered == 5).await;
    group.fenced.store(true, Ordering::SeqCst);
    let error = run.await.expect("a task").expect_err("fenced");
    assert!(matches!(error, worker::Error::Journal(Error::Fenced)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_renewed_while_a_server_takes_its_time() {
    let script = |moment: &Moment<'_>| {
        if moment.phase == Phase::FinalDot { Action::RecordAndStall } else { Action::Accept }
    };
    let sink = Sink::start(SinkOptions::default().script(script));
    let campaign = Campaign::to(people(2, "example.com")).await;
    let (group, stop) = (Group::new(), Stop::new());
    let run = group.start(&campaign, campaign.backends(&[at(&sink, "relay")]), staying(), &stop).await;
    until("both wait for their reply", || sink.count_of(".") == 2).await;
    let commits = group.commits.lock().expect("a lock").len();
    until("the lease is renewed twice", || group.commits.lock().expect("a lock").len() >= commits + 2).await;
    let gap = {
        let commits = group.commits.lock().expect("a lock");
        commits[commits.len() - 1] - commits[commits.len() - 2]
    };
    assert!(gap < Duration::from_secs(5), "{gap:?}");
    sink.release();
    until_counts(&campaign, |counts| counts.delivered == 2).await;
    stop.gracefully();
    run.await.expect("a task").expect("a run");
}
