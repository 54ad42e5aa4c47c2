//! When mails may leave, and when a campaign that goes wrong is paused. The clock is set forward here; nobody waits for it.

use crate::{
    member::{Group, until, until_counts},
    support::{Campaign, Scripted, at, counts, options, people, reply},
};
use campaign::{
    DeliveryWindow, Schedule,
    schedule::WaitingFor,
    spec::{Day, GuardSpec, Window},
};
use jiff::{Timestamp, tz::TimeZone};
use journal::{Command, Journal};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use testkit::{Action, Moment, Phase, Sink, SinkOptions};
use tokio::{sync::watch, task::JoinHandle};
use worker::{
    Backends, Ended, Error, Finished, Options, Progress, Stop, Until,
    backend::{Failure, Kind},
};

const HOUR: Duration = Duration::from_hours(1);
/// The rest of a day after an hour.
const REST_OF_THE_DAY: Duration = Duration::from_hours(23);

/// A window that is open from half an hour ago until half an hour from now, each day.
fn open_for_half_an_hour() -> Schedule {
    let half = Duration::from_mins(30);
    let clock = |time: Timestamp| {
        let time = time.to_zoned(TimeZone::UTC).strftime("%H:%M").to_string();
        time.parse().expect("a time of day")
    };
    let now = Timestamp::now();
    let (from, to) = (clock(now - half), clock(now + half));
    let window = Window { time_zone: "UTC".to_owned(), days: Day::ALL.to_vec(), from, to };
    Schedule { start_at: None, window: Some(DeliveryWindow::new(&window).expect("a time zone")) }
}

fn start(after: Duration) -> Schedule {
    Schedule { start_at: Some(Timestamp::now() + after), window: None }
}

struct Running {
    task: JoinHandle<Result<Finished, Error>>,
    seen: watch::Receiver<Progress>,
}

impl Running {
    async fn begin(campaign: &Campaign, backends: Backends, options: Options) -> Self {
        let (progress, seen) = watch::channel(Progress::default());
        Self { task: tokio::spawn(campaign.start(backends, options, &Stop::new(), progress).await), seen }
    }

    async fn seen(&mut self, what: &str, holds: impl FnMut(&Progress) -> bool) -> Progress {
        let seen = tokio::time::timeout(Duration::from_secs(30), self.seen.wait_for(holds)).await;
        seen.unwrap_or_else(|_| panic!("{what}: not within half a minute")).expect("a report").clone()
    }

    /// Waits for a few more reports, each of which comes of a move.
    async fn moves_on(&mut self) {
        self.seen.mark_unchanged();
        for _ in 0..3 {
            let changed = tokio::time::timeout(Duration::from_secs(30), self.seen.changed()).await;
            changed.expect("a report within half a minute").expect("a report");
        }
    }

    async fn end(self) -> Finished {
        let end = tokio::time::timeout(Duration::from_mins(1), self.task).await;
        end.expect("an end within a minute").expect("a task").expect("a run")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_window_closes_what_was_begun_is_finished_and_the_rest_goes_when_it_opens() {
    let script = |moment: &Moment<'_>| {
        if moment.phase == Phase::FinalDot { Action::RecordAndStall } else { Action::Accept }
    };
    let sink = Sink::start(SinkOptions::default().script(script));
    let campaign = Campaign::to(people(50, "example.com")).await;
    let options = Options { schedule: open_for_half_an_hour(), ..options() };
    let clock = options.clock.clone();
    let mut run = Running::begin(&campaign, campaign.backends(&[at(&sink, "relay")]), options).await;
    until("four mails wait for their reply", || sink.count_of(".") == 4).await;
    assert_eq!(run.seen.borrow().waiting, None);

    clock.set_forward(HOUR);
    let progress = run.seen("the window is closed", |progress| progress.waiting.is_some()).await;
    let waiting = progress.waiting.expect("it is waited for");
    assert_eq!(waiting.reason, WaitingFor::Window);
    assert!(waiting.to_string().starts_with("waiting for the window, opens "), "{waiting}");
    sink.release();
    run.seen("the rest is handed back", |progress| progress.in_flight == 0 && progress.counts.delivered >= 4).await;
    run.moves_on().await;
    let closed = campaign.journal.counts().await.expect("counts");
    // On each connection the next one may have been begun along with the first.
    assert!((4..=8).contains(&closed.delivered) && closed.pending == 50 - closed.delivered, "{closed:?}");
    assert_eq!((sink.count() as u64, run.task.is_finished()), (closed.delivered, false));

    clock.set_forward(REST_OF_THE_DAY);
    let finished = run.end().await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(50, |counts| counts.delivered = 50)));
    assert!(sink.per_recipient().values().all(|count| *count == 1), "{:?}", sink.per_recipient());
    assert!(campaign.settlements().await.iter().all(|settlement| settlement.attempt <= 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_start_nothing_is_begun_and_at_it_everything_goes() {
    let campaign = Campaign::to(people(30, "example.com")).await;
    let backend = Scripted::that_takes_everything();
    let options = Options { schedule: start(HOUR), ..options() };
    let clock = options.clock.clone();
    let mut run = Running::begin(&campaign, Backends::new("relay", "here", 4, backend.clone()), options).await;
    let progress = run.seen("the start is waited for", |progress| progress.waiting.is_some()).await;
    assert_eq!(progress.waiting.map(|waiting| waiting.reason), Some(WaitingFor::Start));
    run.moves_on().await;
    assert_eq!((backend.calls().len(), run.seen.borrow().in_flight), (0, 0));
    clock.set_forward(HOUR);
    let finished = run.end().await;
    assert_eq!((finished.ended, finished.counts), (Ended::Done, counts(30, |counts| counts.delivered = 30)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_wakes_by_itself_at_the_start() {
    let campaign = Campaign::to(people(5, "example.com")).await;
    let backend = Scripted::that_takes_everything();
    let schedule = start(Duration::from_millis(700));
    let starts = schedule.start_at.expect("a start");
    let run = campaign
        .run(Backends::new("relay", "here", 4, backend.clone()), Options { until: Until::Done, schedule, ..options() });
    assert_eq!(run.await.ended, Ended::Done);
    assert!(campaign.settlements().await.iter().all(|settlement| settlement.at >= starts));
    assert_eq!(backend.calls().len(), 5);
}

fn guard() -> GuardSpec {
    GuardSpec { max_rejected_percent: Some(20), max_refused_percent: None, min_sent: 10 }
}

/// A backend that rejects everybody until the list is mended.
fn rejecting() -> (Scripted, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&mended);
    let script = move |_: &str, _| {
        if flag.load(Ordering::SeqCst) {
            return Ok(reply(250, "queued"));
        }
        Err(Failure::of_mail(Kind::Rejected, reply(550, "5.1.1 no such user")))
    };
    (Scripted::new(script), mended)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_limit_pauses_the_campaign_with_its_reason_and_no_failure_pauses_it_twice() {
    let campaign = Campaign::to(people(300, "example.com")).await;
    let (backend, mended) = rejecting();
    let options = Options { guard: Some(guard()), max_in_flight: 20, ..options() };
    let finished = campaign.run(Backends::new("relay", "here", 4, backend.clone()), options.clone()).await;
    let Ended::Paused(reason) = finished.ended else { panic!("{:?}", finished.ended) };
    assert!(reason.contains("guard.maxRejectedPercent"), "{reason}");
    let stopped = finished.counts;
    assert!(
        stopped.rejected >= 10 && stopped.rejected <= 60 && stopped.pending == 300 - stopped.rejected,
        "{stopped:?}"
    );
    let paused = campaign.journal.paused().await.expect("read");
    assert_eq!(paused.map(|paused| paused.reason), Some(reason));

    mended.store(true, Ordering::SeqCst);
    campaign.journal.command(Command::Resume).await.expect("resumed");
    let finished = campaign.run(Backends::new("relay", "here", 4, backend), options).await;
    let expected = counts(300, |counts| (counts.delivered, counts.rejected) = (stopped.pending, stopped.rejected));
    assert_eq!((finished.ended, finished.counts), (Ended::Done, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stays_pauses_claims_no_more_and_goes_on_when_it_is_resumed() {
    let campaign = Campaign::to(people(300, "example.com")).await;
    let (backend, mended) = rejecting();
    let options = Options { guard: Some(guard()), max_in_flight: 20, until: Until::Stopped, ..options() };
    let (group, stop) = (Group::new(), Stop::new());
    let run = group.start(&campaign, Backends::new("relay", "here", 4, backend.clone()), options, &stop).await;
    until_counts(&campaign, |counts| counts.rejected >= 10).await;
    let asked = group.takes.lock().expect("a lock").len();
    until("the journal is asked on", || group.takes.lock().expect("a lock").len() > asked + 3).await;
    let tried = backend.calls().len();
    until("and on", || group.takes.lock().expect("a lock").len() > asked + 6).await;
    assert_eq!((backend.calls().len(), run.is_finished()), (tried, false));
    assert!(tried <= 60, "{tried}");
    let paused = campaign.journal.paused().await.expect("read").expect("paused");
    assert!(paused.reason.contains("were rejected"), "{paused:?}");

    mended.store(true, Ordering::SeqCst);
    campaign.journal.command(Command::Resume).await.expect("resumed");
    until_counts(&campaign, |counts| counts.pending == 0).await;
    assert_eq!(campaign.journal.paused().await.expect("read"), None);
    stop.gracefully();
    run.await.expect("a task").expect("a run");
}
