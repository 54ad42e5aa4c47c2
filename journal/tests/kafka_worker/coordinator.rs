//! The broker that keeps the group's offsets goes, and does not come back.

use crate::common::{Post, Runner, Stage, TIMING, WAIT, blocking, publish};
use journal::conformance::account;
use journal::kafka::Names;
use journal::{Journal, Worker};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::kafka::KafkaOptions;

const ROWS: std::ops::Range<u64> = 2..4_002;

/// Java's `String.hashCode`, by which a broker finds the partition of `__consumer_offsets` that a group's offsets are in.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The broker (from 0) that coordinates the group: the leader of its partition of `__consumer_offsets`.
fn coordinator(stage: &Stage, group: &str) -> usize {
    let asks: BaseConsumer = stage.client().create().expect("a client");
    let metadata = asks.fetch_metadata(Some("__consumer_offsets"), WAIT).expect("metadata");
    let partitions = metadata.topics()[0].partitions();
    let count = i32::try_from(partitions.len()).expect("few");
    let wanted = (java_hash(group) & i32::MAX) % count;
    let leader = partitions.iter().find(|partition| partition.id() == wanted).expect("the group's partition").leader();
    // Node ids begin with 1.
    usize::try_from(leader - 1).expect("a broker")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_coordinator_is_gone_for_good_goes_on_with_another() {
    let options = KafkaOptions::default().brokers(3);
    let cluster = Arc::new(blocking(|| testkit::kafka::Kafka::start(options)).await);
    let mut stage = Stage::new(cluster.bootstrap(), 3, TIMING);
    stage.options.replication = Some(3);
    let journal = stage.pinned().await;
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, ROWS, true).await;
    let post = Post::default();
    let mut runner = Runner::join(&journal, "worker", &post).await;
    runner.until("it sends", 10, |_| post.sent() > 50).await;

    let (asked, group) = (stage.clone(), Names::of(&stage.options.which).group);
    let leader = blocking(move || coordinator(&asked, &group)).await;
    let killed = cluster.clone();
    blocking(move || killed.kill(leader)).await;

    let begun = Instant::now();
    while !runner.worker().exhausted() || runner.worker().taking_over() > 0 {
        assert!(begun.elapsed() < WAIT * 2, "{:?}", runner.worker().counts());
        // While the cluster finds itself another coordinator a tick may fail.
        let ticked = tokio::time::timeout(WAIT, runner.tick(100)).await.expect("the journal answers");
        if let Err(error) = ticked {
            assert!(error.is_transient(), "{error}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    runner.drain().await;
    let counts = account(&journal).await;
    assert_eq!(counts.delivered + counts.unknown, ROWS.end - ROWS.start, "{counts:?}");
    post.holds_none_twice();
}
