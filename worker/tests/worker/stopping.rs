//! A stop, orderly or at once: everything that is known is settled.

use crate::support::{Campaign, Scripted, at, counts, options, people};
use campaign::spec::{OnUnknown, Rate};
use std::time::{Duration, Instant};
use testkit::{Action, Moment, Phase, Sink, SinkOptions};
use tokio::sync::watch;
use worker::{Backends, Ended, Finished, Options, Progress, Stop};

/// A sink that stalls in a phase.
fn stalling(phase: Phase, action: Action) -> Sink {
    let script = move |moment: &Moment<'_>| if moment.phase == phase { action.clone() } else { Action::Accept };
    Sink::start(SinkOptions::default().script(script))
}

/// Runs until `ready` holds of the progress and the sink's commands, then stops; how it ended and how long that took.
async fn stopped_when(
    campaign: &Campaign,
    sink: &Sink,
    options: Options,
    verb: &str,
    count: usize,
) -> (Finished, Duration) {
    let stop = Stop::new();
    let (progress, _) = watch::channel(Progress::default());
    let run = tokio::spawn(campaign.start(campaign.backends(&[at(sink, "relay")]), options, &stop, progress).await);
    while sink.count_of(verb) < count {
        tokio::task::yield_now().await;
        assert!(!run.is_finished(), "ended too early");
    }
    stop.gracefully();
    let asked = Instant::now();
    let finished = run.await.expect("a task").expect("a run");
    assert!(finished.counts.balances());
    (finished, asked.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_begun_is_released_and_what_waits_for_its_reply_becomes_unknown_in_time() {
    let sink = stalling(Phase::FinalDot, Action::RecordAndStall);
    let campaign = Campaign::to(people(50, "example.com")).await;
    let (finished, took) = stopped_when(&campaign, &sink, options(), ".", 4).await;
    assert_eq!(finished.ended, Ended::Stopped);
    assert_eq!(finished.counts, counts(50, |counts| (counts.unknown, counts.pending) = (4, 46)));
    assert!(took >= options().grace.reply && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_resend_what_waits_for_its_reply_is_sent_again_by_the_next_run() {
    let sink = stalling(Phase::FinalDot, Action::RecordAndStall);
    let campaign = Campaign::to(people(10, "example.com")).await;
    let options = Options { on_unknown: OnUnknown::Resend, ..options() };
    let (finished, _) = stopped_when(&campaign, &sink, options.clone(), ".", 4).await;
    assert_eq!(finished.counts, counts(10, |counts| (counts.deferred, counts.pending) = (4, 6)));
    sink.release();
    let finished = campaign.run(campaign.backends(&[at(&sink, "relay")]), options).await;
    assert_eq!(finished.counts, counts(10, |counts| counts.delivered = 10));
    assert_eq!(sink.per_recipient().values().sum::<u64>(), 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_come_to_its_final_dot_is_cut_off_and_loses_no_attempt() {
    let sink = stalling(Phase::Rcpt, Action::Stall);
    let campaign = Campaign::to(people(10, "example.com")).await;
    let (finished, took) = stopped_when(&campaign, &sink, options(), "RCPT", 4).await;
    assert_eq!((finished.ended, finished.counts), (Ended::Stopped, counts(10, |counts| counts.pending = 10)));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(sink.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_under_way_that_is_answered_in_time_is_delivered() {
    let sink = stalling(Phase::FinalDot, Action::delay(Duration::from_millis(200)));
    let campaign = Campaign::to(people(50, "example.com")).await;
    let (finished, _) = stopped_when(&campaign, &sink, options(), ".", 4).await;
    let delivered = u64::try_from(sink.count()).expect("a number");
    assert!(delivered < 50);
    assert_eq!(finished.counts, counts(50, |counts| (counts.delivered, counts.pending) = (delivered, 50 - delivered)));
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_that_wait_for_the_rate_are_released_at_once() {
    let campaign = Campaign::to(people(50, "example.com")).await;
    let stop = Stop::new();
    let options = Options { rate: Some(Rate { per_second: Some(20.0), per_domain: None }), ..options() };
    let (progress, mut seen) = watch::channel(Progress::default());
    let backends = Backends::new("relay", "here", 4, Scripted::that_takes_everything());
    let run = tokio::spawn(campaign.start(backends, options, &stop, progress).await);
    seen.wait_for(|progress| progress.counts.delivered > 0).await.expect("a report");
    stop.gracefully();
    let asked = Instant::now();
    let finished = run.await.expect("a task").expect("a run");
    assert!(asked.elapsed() < Duration::from_secs(1));
    assert!(finished.counts.balances() && finished.counts.pending + finished.counts.delivered == 50);
    assert!(finished.counts.pending > 30, "{:?}", finished.counts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_ends_it_at_once_with_what_is_known() {
    let sink = stalling(Phase::FinalDot, Action::RecordAndStall);
    let campaign = Campaign::to(people(20, "example.com")).await;
    let stop = Stop::new();
    let mut options = options();
    options.grace.reply = Duration::from_mins(10);
    let (progress, _) = watch::channel(Progress::default());
    let run = tokio::spawn(campaign.start(campaign.backends(&[at(&sink, "relay")]), options, &stop, progress).await);
    while sink.count_of(".") < 4 {
        tokio::task::yield_now().await;
    }
    stop.gracefully();
    stop.now();
    let asked = Instant::now();
    let finished = run.await.expect("a task").expect("a run");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(
        (finished.ended, finished.counts),
        (Ended::Stopped, counts(20, |counts| (counts.unknown, counts.pending) = (4, 16)))
    );
}
