//! A clock that is wrong. The time of day stands in marks and events for people to read; leases and takeovers go by CLOCK_BOOTTIME, which nobody sets.

use crate::common::{Post, Runner, Stage, TIMING, blocking};
use journal::Worker;
use journal::conformance::account;
use journal::kafka::wire::Mark;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// Changes the time in the mark of partition 0, as if its owner's clock had been wrong.
fn change_the_clock(stage: &Stage, change: impl Fn(i64) -> i64) {
    let names = journal::kafka::Names::of(&stage.options.which);
    let consumer: BaseConsumer = stage.client().set("group.id", &names.group).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition(&names.outbox, 0);
    let found = consumer.committed_offsets(list, crate::common::WAIT).expect("answered");
    let element = found.find_partition(&names.outbox, 0).expect("a mark");
    let mut mark = Mark::decode(element.metadata()).expect("a mark");
    assert_eq!(mark.c, [3, 0], "three are claimed");
    mark.at = change(mark.at);
    let mut list = TopicPartitionList::new();
    let Offset::Offset(offset) = element.offset() else { panic!("no offset") };
    list.add_partition_offset(&names.outbox, 0, Offset::Offset(offset)).expect("an offset");
    list.find_partition(&names.outbox, 0).expect("there").set_metadata(mark.encode());
    consumer.commit(&list, CommitMode::Sync).expect("committed");
}

async fn takes_over_in_time(change: impl Fn(i64) -> i64 + Send + 'static) {
    let (stage, journal) = Stage::with_rows(1, TIMING, 2..12).await;
    let post = Post::default();
    let mut runner = Runner::join(&journal, "first", &post).await;
    assert_eq!(runner.claim(3).await.len(), 3);
    journal.crash().await;
    drop(runner);
    let changed = stage.clone();
    blocking(move || change_the_clock(&changed, change)).await;

    let journal = stage.open().await;
    let joining = Instant::now();
    let mut runner = Runner::join(&journal, "next", &post).await;
    assert_eq!(runner.worker().taking_over(), 3);
    let joined = Instant::now();
    runner.settle_in().await;
    assert!(joining.elapsed() >= TIMING.takeover, "too early: {:?}", joining.elapsed());
    assert!(joined.elapsed() < TIMING.takeover + Duration::from_secs(3), "too late: {:?}", joined.elapsed());
    runner.drain().await;
    let counts = account(&journal).await;
    assert_eq!((counts.unknown, counts.delivered), (3, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_neither_hastens_nor_delays_a_takeover() {
    let ten_years = 10 * 365 * 86_400_000;
    tokio::join!(
        takes_over_in_time(move |at| at + ten_years),
        takes_over_in_time(move |at| at - ten_years),
        takes_over_in_time(|_| 1),
    );
}
