//! A broker that has forgotten the group's offsets.

use crate::common::{Post, Runner, Stage, TIMING, blocking, forgetful, publish, reply, result};
use campaign::{Counts, Outcome};
use jiff::{SignedDuration, Timestamp};
use journal::conformance::account;
use journal::kafka::Kafka;
use journal::{Journal, Publisher, Worker};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::Duration;

const PARTITIONS: i32 = 2;
/// A minute, and what it takes until that is looked at.
const FORGOTTEN: Duration = Duration::from_secs(100);

/// Waits until the broker knows no offset of the group any more.
async fn until_forgotten(stage: &Stage, journal: &Kafka) {
    let consumer: BaseConsumer = stage.client().set("group.id", &journal.names().group).create().expect("a consumer");
    let known = || {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition(&journal.names().outbox, partition);
        }
        let found = consumer.committed_offsets(list, Duration::from_secs(10)).expect("answered");
        found.elements().iter().filter(|element| matches!(element.offset(), Offset::Offset(_))).count()
    };
    assert_eq!(known(), 2, "both are known as yet");
    crate::common::eventually("the offsets are forgotten", FORGOTTEN, async || known() == 0).await;
}

/// Leaves a campaign with rows in every state behind, and a list that is published half-way. What was sent is in the post.
async fn leave_behind(stage: &Stage, post: &Post) {
    let journal = stage.pinned().await;
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, 2..42, false).await;
    drop(publisher);

    let mut runner = Runner::join(&journal, "first", post).await;
    let claimed = runner.claim(20).await;
    assert_eq!(claimed.len(), 20);
    let due = Timestamp::now() + SignedDuration::from_hours(1);
    let outcome = |number: usize| match number {
        0..10 => Some(Outcome::Delivered { reply: reply(250) }),
        10..13 => Some(Outcome::Deferred { due, reply: reply(450) }),
        13..15 => Some(Outcome::Rejected { reply: reply(550) }),
        15 => Some(Outcome::Dead { reply: reply(554) }),
        16..18 => Some(Outcome::Released),
        // These two are open when the worker dies.
        _ => None,
    };
    let mut finished = Vec::new();
    for (number, mail) in claimed.iter().enumerate() {
        let row = mail.message().row;
        let Some(outcome) = outcome(number) else { continue };
        if outcome != Outcome::Released {
            post.send(row, "first");
        }
        finished.push(result(row, 1, outcome));
    }
    runner.settle(finished).await;
    journal.crash().await;
    drop(runner);

    // The second one holds what the first had open, sends some more, and dies too.
    let journal = stage.open().await;
    let mut runner = Runner::join(&journal, "second", post).await;
    runner.settle_in().await;
    runner.tick(5).await.expect("a tick");
    runner.tick(0).await.expect("a tick");
    assert_eq!(runner.claim(3).await.len(), 3);
    journal.crash().await;
    drop(runner);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_that_the_broker_has_forgotten_are_rebuilt_and_nobody_is_sent_twice_or_lost() {
    let stage = Stage::new(blocking(forgetful).await, u32::try_from(PARTITIONS).expect("few"), TIMING);
    let post = Post::default();
    leave_behind(&stage, &post).await;
    let journal = stage.open().await;
    crate::common::eventually("the last claims are over", TIMING.takeover * 2, async || {
        journal.counts().await.expect("counts").unknown == 5
    })
    .await;
    let (before, rows) = (account(&journal).await, journal.rows(0, 100).await.expect("rows"));
    let expected = Counts { delivered: 15, deferred: 3, rejected: 2, dead: 1, unknown: 5, pending: 14, ..before };
    assert_eq!(before, expected);
    until_forgotten(&stage, &journal).await;

    let journal = stage.open().await;
    assert_eq!((account(&journal).await, journal.rows(0, 100).await.expect("rows")), (before, rows));
    // The publisher goes on where it was.
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    assert_eq!(publisher.checkpoint().next_row, 42);
    publish(&mut publisher, 42..62, true).await;

    let mut runner = Runner::join(&journal, "third", &post).await;
    runner.settle_in().await;
    assert_eq!(runner.worker().counts(), Counts { total: 60, published: 60, pending: 34, ..before });
    runner.ahead = SignedDuration::from_hours(2);
    runner.drain().await;
    let counts = account(&journal).await;
    let expected = Counts { delivered: 52, rejected: 2, dead: 1, unknown: 5, ..Counts::default() };
    assert_eq!(counts, Counts { total: 60, published: 60, ..expected });
    assert_eq!(runner.worker().counts(), counts);
    let times = |n: usize| (2..62).filter(|row| post.of(*row).len() == n).count();
    // Unknown ones are held, deferred ones had a second attempt.
    assert_eq!((times(0), times(1), times(2)), (5, 52, 3));
    runner.leave().await;
    assert_eq!(account(&stage.open().await).await, counts);
}
