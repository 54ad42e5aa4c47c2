//! Several producers and workers, and nothing goes wrong: everybody exactly once, shares that follow who is there, and a rate that holds.

use campaign::spec::OnUnknown;
use chaos::{Campaign, Evidence, Process, Programs, Rig, check};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};
use testkit::Received;

/// More than the stretch that stays in one shard, so that both have some.
const ROWS: u64 = 20_000;

/// What is measured here is time: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rig(campaign: Campaign, slots: usize, shards: usize) -> Rig {
    Rig::new(&Programs::built().expect("the programs"), campaign, 1, slots, shards).expect("a rig")
}

fn campaign(rows: u64, reply_after: std::ops::Range<u64>) -> Campaign {
    let (connections, max_in_flight, on_unknown) = (10, 500, OnUnknown::Hold);
    Campaign { rows, on_unknown, reply_after, connections, max_in_flight, per_second: None }
}

/// Waits for something to become true.
fn until(what: &str, patience: Duration, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn publish(rig: &Rig, shards: usize) {
    let mut producers: Vec<Process> =
        (0..shards).map(|shard| rig.producer(shard, &format!("producer-{shard}")).expect("a producer")).collect();
    for producer in &mut producers {
        let status = producer.wait(Duration::from_mins(1)).expect("it ends");
        assert!(status.success(), "{}: {status}", producer.name);
    }
}

fn sent(rig: &Rig) -> u64 {
    rig.slots().iter().map(|slot| slot.sink.count() as u64).sum()
}

#[test]
fn e2e_two_producers_and_three_workers_mail_everybody_exactly_once() {
    let _alone = alone();
    let rig = rig(campaign(ROWS, 1..3), 3, 2);
    let mut workers: Vec<Process> = (0..3).map(|slot| rig.worker(slot).expect("a worker")).collect();
    publish(&rig, 2);
    until("everything is sent", Duration::from_mins(2), || sent(&rig) >= ROWS);
    until("status says so", Duration::from_mins(1), || rig.status().expect("a status")["finished"] == true);
    assert_eq!(Rig::stop(&mut workers), Vec::<String>::new());
    let evidence = Evidence::gather(&rig).expect("evidence");
    let (violations, tally) = check(&evidence);
    assert!(violations.is_empty(), "{}", violations[0]);
    assert_eq!((tally.delivered, sent(&rig)), (ROWS, ROWS));
    assert!(rig.slots().iter().all(|slot| slot.sink.count() > 0), "each worker has sent some");
}

#[test]
fn e2e_a_worker_that_is_added_takes_over_its_share_within_five_seconds() {
    let _alone = alone();
    let rig = rig(campaign(ROWS, 40..60), 2, 1);
    let mut workers = vec![rig.worker(0).expect("a worker")];
    publish(&rig, 1);
    until("the first worker sends", Duration::from_secs(30), || sent(&rig) > 100);
    workers.push(rig.worker(1).expect("a worker"));
    // As much as ten connections bring in half a second.
    until("the second one sends as well", Duration::from_secs(5), || rig.slots()[1].sink.count() > 100);
    assert_eq!(Rig::stop(&mut workers), Vec::<String>::new());
}

#[test]
fn e2e_the_rate_of_all_workers_holds_while_they_join_and_leave() {
    const RATE: u32 = 200;
    let _alone = alone();
    let rig = rig(Campaign { per_second: Some(RATE), ..campaign(ROWS, 1..3) }, 3, 1);
    let mut first = vec![rig.worker(0).expect("a worker")];
    publish(&rig, 1);
    let goes_on = |mails: u64| {
        let target = sent(&rig) + mails;
        until("the campaign goes on", Duration::from_mins(1), || sent(&rig) >= target);
    };
    goes_on(400);
    let mut others = vec![rig.worker(1).expect("a worker"), rig.worker(2).expect("a worker")];
    goes_on(1200);
    assert_eq!(Rig::stop(&mut first), Vec::<String>::new());
    goes_on(800);
    let mut again = vec![rig.worker(0).expect("a worker")];
    goes_on(1000);
    others.append(&mut again);
    assert_eq!(Rig::stop(&mut others), Vec::<String>::new());
    let mut times: Vec<Duration> =
        rig.slots().iter().flat_map(|slot| slot.sink.received()).map(|mail| since(&mail)).collect();
    times.sort();
    // A rate is judged by ten seconds; in a single one the servers' own clocks on a busy machine count too.
    for (seconds, extra) in [(1, 15), (10, 5)] {
        let most = most_within(&times, Duration::from_secs(seconds));
        let allowed = u64::from(RATE) * seconds * (100 + extra) / 100;
        assert!(most as u64 <= allowed, "{most} mails in {seconds} s, and {allowed} are allowed");
    }
}

fn since(mail: &Received) -> Duration {
    mail.at.duration_since(UNIX_EPOCH).expect("a time")
}

/// The most mails in any span of that length.
fn most_within(times: &[Duration], span: Duration) -> usize {
    let mut from = 0;
    let counts = times.iter().enumerate().map(|(place, time)| {
        while time.saturating_sub(times[from]) >= span {
            from += 1;
        }
        place + 1 - from
    });
    counts.max().unwrap_or(0)
}
