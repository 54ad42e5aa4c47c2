//! A broker that is away for a while.

use crate::common::{Post, Runner, Stage, TIMING, WAIT, blocking, eventually, message};
use journal::conformance::{account, after};
use journal::kafka::{Kafka, Timing};
use journal::{Entry, Error, Journal, Publisher, Worker};
use std::sync::Arc;
use std::time::Duration;
use testkit::kafka::KafkaOptions;

const END: u64 = 4_002;

/// Publishes the list, whatever happens on the way; how often something did.
async fn publish_patiently(journal: Kafka) -> u32 {
    let mut troubles = 0;
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    while !publisher.checkpoint().done {
        let first = publisher.checkpoint().next_row.max(2);
        let end = (first + 100).min(END);
        let entries: Vec<Entry> = (first..end).map(|row| Entry::Message(message(row))).collect();
        let checkpoint = after(publisher.checkpoint(), &entries, end == END);
        if let Err(error) = publisher.publish(entries, checkpoint).await {
            assert!(error.is_transient() || matches!(error, Error::OutOfTurn(_)), "{error}");
            troubles += 1;
            publisher = loop {
                match journal.publisher(0).await {
                    Ok(publisher) => break publisher,
                    Err(error) => assert!(error.is_transient(), "{error}"),
                }
            };
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    troubles
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_holds_up_the_sending_and_nothing_is_lost_or_doubled() {
    let broker = Arc::new(blocking(|| testkit::kafka::Kafka::start(KafkaOptions::default())).await);
    // An outage that outlasts a transaction costs the worker its place in the group, and its leases: on a busy machine a restart takes a while.
    let (lease, takeover) = (Duration::from_secs(30), Duration::from_secs(32));
    let timing = Timing { lease, takeover, transaction: lease, ..TIMING };
    let stage = Stage::new(broker.bootstrap(), 3, timing);
    let journal = stage.pinned().await;
    let publishing = tokio::spawn(publish_patiently(stage.open().await));
    let post = Post::default();
    let mut runner = Runner::join(&journal, "worker", &post).await;
    runner.until("it sends", 10, |_| post.sent() > 50).await;
    let lease = runner.claim(1).await.pop().expect("a claim");
    let row = lease.message().row;
    let lease = lease.lease().clone();
    assert!(lease.may_begin());
    let going = tokio::spawn(async move {
        let (mut troubles, begun) = (0, std::time::Instant::now());
        loop {
            match runner.tick(100).await {
                Ok(_) if is_over(&mut runner) || begun.elapsed() > WAIT * 2 => return (runner, troubles),
                Ok(_) => {}
                Err(error) => {
                    assert!(error.is_transient(), "{error}");
                    troubles += 1;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });

    let stopped = broker.clone();
    blocking(move || stopped.stop(0)).await;
    let held_up = eventually("nothing is begun", Duration::from_secs(5), async || !lease.may_begin()).await;
    assert!(lease.may_finish(), "what is begun may be finished, {held_up:?} after the broker went");
    let at = post.sent();
    let again = broker.clone();
    blocking(move || again.start_again(0)).await;
    eventually("it goes on", WAIT, async || post.sent() > at + 50).await;
    assert!(lease.may_begin(), "the lease is the same");

    let hiccups = publishing.await.expect("published");
    let (mut runner, troubles) = going.await.expect("went on");
    assert!(is_over(&mut runner), "{:?}, {troubles} and {hiccups} errors", runner.worker().counts());
    // The row that was claimed by hand is settled only now.
    let delivered = campaign::Outcome::Delivered { reply: crate::common::reply(250) };
    runner.settle(vec![crate::common::result(row, 1, delivered)]).await;
    post.send(row, "by hand");
    runner.drain().await;
    post.holds_once(2..END);
    assert_eq!(account(&journal).await.delivered, END - 2);
}

fn is_over(runner: &mut Runner) -> bool {
    runner.worker().exhausted()
}
