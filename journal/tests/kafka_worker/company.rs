//! Two and three workers at once: who comes gets a share, who goes leaves it, and the others don't wait for him.

use crate::common::{Post, Runner, Stage, TIMING, WAIT, eventually};
use journal::conformance::account;
use journal::kafka::Timing;
use journal::{Journal, Worker};
use std::time::{Duration, Instant};

/// A worker never waits that long for another: less than a takeover takes, and long enough for a busy machine.
const PAUSE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_gets_a_share_within_5_s_and_who_leaves_hands_it_on_at_once() {
    let (stage, journal) = Stage::with_rows(4, TIMING, 2..6_002).await;
    let post = Post::default();
    let first = Runner::join(&journal, "first", &post).await.go_on(5);

    let begun = Instant::now();
    let second_journal = stage.open().await;
    let mut second = Runner::join(&second_journal, "second", &post).await;
    second.until("it has its half", 5, |worker| worker.share().owned == 2).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let mut first = first.stop().await;
    first.until("the first knows", 5, |worker| worker.share().owned == 2).await;
    assert!(first.longest < PAUSE, "the first waited for {:?}", first.longest);
    let at = post.sent();
    let first = first.go_on(5);
    second.until("it sends", 5, |_| post.sent() > at + 50).await;

    let begun = Instant::now();
    second.leave().await;
    let mut first = first.stop().await;
    first.until("all is the first one's again", 5, |worker| worker.share().owned == 4).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(first.worker().taking_over(), 0, "nothing was left open");
    assert!(first.longest < PAUSE, "the first waited for {:?}", first.longest);
    first.drain().await;
    assert_eq!(account(&journal).await.delivered, 6_000);
    post.holds_once(2..6_002);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_does_not_wait_for_records_that_nobody_writes() {
    let (_, journal) = Stage::with_rows(2, TIMING, 2..102).await;
    let post = Post::default();
    let mut runner = Runner::join(&journal, "worker", &post).await;
    let mut took = Vec::new();
    while !runner.worker().exhausted() {
        let begun = Instant::now();
        runner.tick(4).await.expect("a tick");
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let median = took[took.len() / 2];
    assert!(median < Duration::from_millis(200), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gone_without_a_word_costs_its_own_rows_the_lease_and_the_others_nothing() {
    let timing = Timing { takeover: Duration::from_secs(3), ..TIMING };
    let (stage, journal) = Stage::with_rows(6, timing, 2..8_002).await;
    let post = Post::default();
    let journals = [stage.open().await, stage.open().await, stage.open().await];
    let mut runners = Vec::new();
    for (journal, who) in journals.iter().zip(["one", "two", "three"]) {
        runners.push(Runner::join(journal, who, &post).await.go_on(3));
    }
    let mut three = runners.pop().expect("three").stop().await;
    three.until("three have two each", 3, |worker| worker.share().owned == 2).await;
    let (mut two, mut one) = (runners.pop().expect("two").stop().await, runners.pop().expect("one").stop().await);
    for runner in [&mut one, &mut two] {
        runner.until("two each", 3, |worker| worker.share().owned == 2).await;
        assert_eq!(runner.worker().share().of, 6);
        runner.longest = Duration::ZERO;
    }
    let (one, two) = (one.go_on(3), two.go_on(3));

    // The third dies with claims open, of which some may have been sent.
    let open = three.claim(7).await;
    assert_eq!(open.len(), 7);
    let gone = Instant::now();
    journals[2].crash().await;
    drop(three);
    let (mut one, mut two) = (one.stop().await, two.stop().await);
    let mut over = None;
    let mut found = 0;
    let begun = Instant::now();
    while over.is_none() || one.worker().share().owned + two.worker().share().owned < 6 {
        assert!(begun.elapsed() < WAIT);
        one.tick(3).await.expect("a tick");
        two.tick(3).await.expect("a tick");
        let open = one.worker().taking_over() + two.worker().taking_over();
        found = open.max(found);
        if found > 0 && open == 0 {
            over = over.or(Some(gone.elapsed()));
        }
    }
    let over = over.expect("it is over");
    assert_eq!(found, 7);
    assert!(over >= timing.takeover, "called unknown after {over:?}");
    for runner in [&one, &two] {
        assert!(runner.longest < PAUSE, "waited for {:?}", runner.longest);
    }
    let one = one.go_on(500);
    two.drain().await;
    one.stop().await.drain().await;
    let counts = account(&journal).await;
    assert_eq!((counts.delivered, counts.unknown), (7_993, 7));
    assert!(open.iter().all(|mail| post.of(mail.message().row).is_empty()), "what is unknown is held");
    assert_eq!(post.sent(), 7_993);
    // Nobody is sent twice: as many mails as rows.
    let twice = (2..8_002).filter(|row| post.of(*row).len() > 1).count();
    assert_eq!(twice, 0);
    eventually("it is all published", WAIT, async || journal.published().await.expect("read")).await;
}
