//! Who writes at the same time, and who dies in the middle.

use crate::common::{self, campaign, entries, open, pin, publish};
use journal::{Error, Journal, Pin, Publisher};
use std::collections::BTreeMap;

#[tokio::test]
async fn of_two_who_pin_at_once_one_is_refused_or_both_agree() {
    for differ in [true, false] {
        let which = campaign();
        let (one, two) = (open(&which, 1).await, open(&which, 1).await);
        let mine = pin(&which);
        let contents = BTreeMap::from([("spec.message.text".to_owned(), "bb".to_owned())]);
        let other = if differ { Pin { contents, ..mine.clone() } } else { mine.clone() };
        let (first, second) = tokio::join!(one.pin(mine.clone()), two.pin(other.clone()));
        let pinned = one.pinned().await.expect("read").expect("pinned");
        assert_eq!(two.pinned().await.expect("read"), Some(pinned.clone()));
        if differ {
            let refused = if pinned == mine { (second, first) } else { (first, second) };
            assert!(matches!(refused, (Err(Error::ContentChanged { .. }), Ok(()))), "{refused:?}");
        } else {
            assert!(matches!((&first, &second), (Ok(()), Ok(()))), "{first:?} {second:?}");
        }
    }
}

#[tokio::test]
async fn publishers_of_different_shards_do_not_fence_each_other() {
    let which = campaign();
    let journal = open(&which, 3).await;
    journal.pin(Pin { shards: 2, ..pin(&which) }).await.expect("pinned");
    let (one, two) = tokio::join!(journal.publisher(0), journal.publisher(1));
    let (mut one, mut two) = (one.expect("a publisher"), two.expect("a publisher"));
    tokio::join!(publish(&mut one, entries(2..100), true), publish(&mut two, entries(100..200), false));
    assert!(!journal.published().await.expect("read"));
    publish(&mut two, Vec::new(), true).await;
    assert!(journal.published().await.expect("read"));
    assert_eq!(journal.rows(0, 1000).await.expect("rows").len(), 198);
    let counts = journal.counts().await.expect("counts");
    assert_eq!((counts.total, counts.duplicate, counts.pending), (198, 19, 179));
}

/// What a process that was killed leaves: a transaction with records in it and no end.
#[tokio::test]
async fn a_publisher_that_died_in_the_middle_leaves_nothing_and_the_next_goes_on_at_its_checkpoint() {
    let which = campaign();
    let journal = open(&which, 2).await;
    journal.pin(pin(&which)).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, entries(2..30), false).await;
    let checkpoint = *publisher.checkpoint();
    drop(publisher);
    leave_a_transaction_open(&journal.names().outbox, &journal.names().publisher(0));

    // Who takes the shard over ends it at once; readers wait no longer.
    let mut next = journal.publisher(0).await.expect("a publisher");
    assert_eq!(*next.checkpoint(), checkpoint);
    assert_eq!(journal.rows(0, 1000).await.expect("rows").len(), 28);
    publish(&mut next, entries(30..50), true).await;
    let rows: Vec<u64> = journal.rows(0, 1000).await.expect("rows").iter().map(journal::RowState::row).collect();
    assert_eq!(rows, (2..50).collect::<Vec<_>>());
    assert_eq!(journal.counts().await.expect("counts").total, 48);
}

#[tokio::test]
async fn reading_waits_until_the_broker_has_ended_a_transaction_that_hangs() {
    let which = campaign();
    let journal = open(&which, 1).await;
    journal.pin(pin(&which)).await.expect("pinned");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, entries(2..30), false).await;
    leave_a_transaction_open(&journal.names().outbox, "another");
    // Its end is behind the high watermark that is read to; it is ended by the broker after its timeout.
    assert_eq!(journal.rows(0, 1000).await.expect("rows").len(), 28);
    assert_eq!(journal.counts().await.expect("counts").total, 28, "the counts did not have to wait");
}

/// Records in a transaction that nobody ends; the broker does after two seconds.
fn leave_a_transaction_open(topic: &str, id: &str) {
    use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", testkit::kafka::Kafka::shared().bootstrap());
    config.set("transactional.id", id).set("transaction.timeout.ms", "2000");
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = config.create().expect("a producer");
    producer.init_transactions(common::WAIT).expect("begun");
    producer.begin_transaction().expect("begun");
    producer
        .send(BaseRecord::to(topic).partition(0).key("900").payload("half"))
        .map_err(|(error, _)| error)
        .expect("sent");
    producer.flush(common::WAIT).expect("flushed");
    // A producer that ends would abort it; a dead one doesn't.
    std::mem::forget(producer);
}

#[tokio::test]
async fn records_of_others_on_the_topics_are_passed_over() {
    use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
    let which = campaign();
    let journal = open(&which, 1).await;
    journal.pin(pin(&which)).await.expect("pinned");
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", testkit::kafka::Kafka::shared().bootstrap());
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = config.create().expect("a producer");
    let names = journal.names();
    for topic in [&names.outbox, &names.outcomes, &names.control] {
        producer.send(BaseRecord::to(topic).key("900").payload("garbage")).map_err(|(error, _)| error).expect("sent");
    }
    producer.flush(common::WAIT).expect("flushed");
    let mut publisher = journal.publisher(0).await.expect("a publisher");
    publish(&mut publisher, entries(2..10), true).await;
    assert_eq!(journal.rows(0, 1000).await.expect("rows").len(), 8);
    assert!(journal.published().await.expect("read"));
    assert_eq!(journal.pinned().await.expect("read"), Some(pin(&which)));
}
