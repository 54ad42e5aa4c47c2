//! Topics that go, and topics that grow, under workers that are going.

use crate::common::{Post, Runner, Stage, TIMING, WAIT, eventually, publish, shared};
use journal::conformance::account;
use journal::kafka::{Kafka, Timing};
use journal::{Error, Journal, Publisher, Worker};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::{Duration, Instant};

/// How long sending may go on after a topic is gone. Leases hold that long too.
const BOUND: Duration = Duration::from_secs(20);

fn partitions(stage: &Stage, topic: &str) -> usize {
    let consumer: BaseConsumer = stage.client().create().expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), WAIT).expect("metadata");
    metadata.topics()[0].partitions().len()
}

async fn stops_when_gone(which: impl Fn(&Kafka) -> String) {
    let timing = Timing { lease: Duration::from_mins(2), takeover: Duration::from_mins(3), ..TIMING };
    let (stage, journal) = Stage::with_rows(2, timing, 2..2_002).await;
    let post = Post::default();
    let mut runner = Runner::join(&journal, "worker", &post).await;
    runner.tick(5).await.expect("a tick");
    let open = runner.claim(5).await;
    assert!(open.len() == 5 && open.iter().all(|mail| mail.lease().may_finish()));

    let topic = which(&journal);
    let administrator: AdminClient<DefaultClientContext> = stage.client().create().expect("an administrator");
    administrator.delete_topics(&[&topic], &AdminOptions::new()).await.expect("asked")[0].as_ref().expect("deleted");
    let begun = Instant::now();
    let error = loop {
        match runner.tick(2).await {
            Err(error) if !error.is_transient() => break error,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        assert!(begun.elapsed() < BOUND, "still going {BOUND:?} after {topic} was deleted");
    };
    assert!(matches!(&error, Error::TopicGone { topic: gone } if *gone == topic), "{topic}: {error}");
    assert!(open.iter().all(|mail| !mail.lease().may_finish()), "what is under way is cut");
    let again = runner.tick(2).await.expect_err("it stays so");
    assert!(matches!(again, Error::TopicGone { .. }), "{again}");
    runner.vanish().await;
    assert_eq!(partitions(&stage, &topic), 0, "{topic} was made anew");
    let opened = Kafka::open(stage.options.clone()).await.err().expect("refused");
    assert!(matches!(opened, Error::TopicGone { .. }), "{opened}");
    assert_eq!(partitions(&stage, &topic), 0, "{topic} was made anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_ends_the_sending_and_is_not_made_anew() {
    tokio::join!(
        stops_when_gone(|journal| journal.names().outbox.clone()),
        stops_when_gone(|journal| journal.names().outcomes.clone()),
        stops_when_gone(|journal| journal.names().control.clone()),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_may_grow_while_publisher_and_worker_go_on() {
    let stage = Stage::new(crate::common::blocking(shared).await, 2, TIMING);
    let journal = stage.pinned().await;
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, 2..52, false).await;
    let post = Post::default();
    let mut runner = Runner::join(&journal, "worker", &post).await;
    runner.until("it sends", 10, |_| post.sent() == 50).await;
    let going = runner.go_on(10);

    let mut more = stage.clone();
    more.options.partitions = 5;
    let grown = more.open().await;
    let consumer: BaseConsumer = stage.client().create().expect("a consumer");
    let outbox = journal.names().outbox.clone();
    eventually("the publisher uses all partitions", WAIT, async || {
        let next = publisher.checkpoint().next_row;
        publish(&mut publisher, next..next + 20, false).await;
        consumer.fetch_watermarks(&outbox, 4, WAIT).is_ok_and(|(_, high)| high > 0)
    })
    .await;
    let end = publisher.checkpoint().next_row + 20;
    publish(&mut publisher, end - 20..end, true).await;

    let mut runner = going.stop().await;
    runner.drain().await;
    let share = runner.worker().share();
    assert_eq!((share.owned, share.of), (5, 5));
    assert!(runner.longest < Duration::from_secs(3), "{:?}", runner.longest);
    post.holds_once(2..end);
    assert_eq!(account(&journal).await.delivered, end - 2);
    assert_eq!(account(&grown).await.delivered, end - 2);
}
