//! A broker that doesn't offer `group.protocol=consumer` (before Kafka 4.0, or switched off): cooperative rebalancing by the classic protocol.

use crate::common::{Post, Runner, Stage, TIMING, blocking};
use journal::Worker;
use journal::conformance::{self, Rig, account};
use journal::kafka::{Kafka, Timing};
use std::sync::OnceLock;
use std::time::Duration;
use testkit::kafka::KafkaOptions;

/// Whoever joins waits until the others have given back what was begun there; in the conformance tests nobody settles it.
const CALM: Timing = Timing {
    final_dot: Duration::from_secs(8),
    reply: Duration::from_secs(8),
    first_share: Duration::from_secs(6),
    ..TIMING
};

fn classic() -> String {
    static CLASSIC: OnceLock<testkit::kafka::Kafka> = OnceLock::new();
    let start = || {
        let options = KafkaOptions::default().property("group.coordinator.rebalance.protocols", "classic");
        testkit::kafka::Kafka::start(options)
    };
    CLASSIC.get_or_init(start).bootstrap()
}

struct OnAClassicBroker(Stage);

impl Rig for OnAClassicBroker {
    type Journal = Kafka;

    async fn fresh() -> (Self, Kafka) {
        let stage = Stage::new(blocking(classic).await, 3, CALM);
        let journal = stage.open().await;
        (Self(stage), journal)
    }

    async fn crash_and_reopen(&mut self, journal: Kafka) -> Kafka {
        journal.crash().await;
        drop(journal);
        tokio::time::sleep(CALM.lease).await;
        self.0.open().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_does_what_it_must_by_the_classic_protocol_too() {
    tokio::join!(
        conformance::a_mail_is_claimed_then_sent_then_settled::<OnAClassicBroker>(),
        conformance::a_claim_survives_a_crash_as_unknown_and_hold_keeps_it_for_a_person::<OnAClassicBroker>(),
        conformance::there_is_one_worker_at_a_time_for_a_row::<OnAClassicBroker>(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_come_and_go_by_the_classic_protocol_too() {
    let stage = Stage::new(blocking(classic).await, 4, CALM);
    let journal = stage.pinned().await;
    let mut publisher = journal::Journal::publisher(&journal, 0).await.expect("a publisher");
    crate::common::publish(&mut publisher, 2..4_002, true).await;
    let post = Post::default();
    let first = Runner::join(&journal, "first", &post).await.go_on(5);
    let other_journal = stage.open().await;
    let mut second = Runner::join(&other_journal, "second", &post).await;
    second.until("it has its half", 5, |worker| worker.share().owned == 2).await;
    let at = post.sent();
    second.until("it sends", 5, |_| post.sent() > at + 50).await;
    second.leave().await;
    let mut first = first.stop().await;
    assert!(first.longest < Duration::from_secs(2), "the first waited for {:?}", first.longest);
    first.settle_in().await;
    first.drain().await;
    let counts = account(&journal).await;
    assert_eq!(counts.delivered, 4_000, "{counts:?}");
    post.holds_once(2..4_002);
}
